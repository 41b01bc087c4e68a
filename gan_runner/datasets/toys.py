"""Points in the plane whose law is known: where modes are lost, it can be counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gan_runner.datasets.coding import Affine
from gan_runner.datasets.files import choose, digest, require
from gan_runner.datasets.spec import Source, Spec


@dataclass(frozen=True)
class Cloud:
    """Points in natural units.

    Attributes:
        points: (n, 2).
        reach: half the width of the square that holds the shape; training sees points / reach.
        labels: (n,) the component each point was drawn from, where there are several.
        modes: (k, 2) centres of the components, where they are round.
        sd: standard deviation around them in each coordinate.
    """

    points: np.ndarray
    reach: float
    labels: np.ndarray | None = None
    modes: np.ndarray | None = None
    sd: float = 0.0


def toy2d(shape: str = "ring8", n: int = 100_000, seed: int = 0, scale: float = 1.0) -> Source:
    """A named shape in the plane.

    Args:
        shape: ring8, grid25, swissroll, gmm, spiral or circles; see the functions of these names.
        n: points.
        seed: decides the points and nothing else; the centres are always the same.
        scale: enlarges the shape, spread included: ring8 with 2 has radius 2 and standard deviation 0.02.

    Returns:
        A table (n, 2) with `truth` "modes" (k, 2) and "sd" () in natural units where there are round modes.

    Raises:
        UsageError: an argument is out of range.
    """
    choose("shape", shape, SHAPES)
    return source(shape, SHAPES[shape], n, seed, scale)


def gmm(modes: int = 10, n: int = 64_000, seed: int = 0, places: int = 0) -> Source:
    """AdaGAN's mixture of `modes` Gaussians (Tolstikhin et al. 2017, Table 1); arguments otherwise like `toy2d`.

    Args:
        places: decides the centres and nothing else.
    """
    require(modes > 0, "modes", modes, "choose a number above 0")
    require(places >= 0, "places", places, "choose 0 or more")
    return source("gmm", lambda rng, count: scattered(rng, count, modes, places), n, seed)


def normal1d(n: int = 100_000, mean: float = 2.0, sd: float = 0.5, seed: int = 0) -> Source:
    """Numbers from one Gaussian: the setting of Goodfellow et al. (2014), Figure 1.

    Raises:
        UsageError: an argument is out of range.
    """
    require(n > 0, "n", n, "choose a number above 0")
    require(sd > 0, "sd", sd, "choose a number above 0")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    data = torch.from_numpy(np.random.default_rng(seed).normal(mean, sd, (n, 1))).float()
    return Source(
        Spec((1,), "table", names=("x",)),
        data,
        name="normal1d",
        digest=digest(data),
        notes=(f"{n} simulated numbers, seed {seed}",),
    )


def source(name: str, draw: Callable[[np.random.Generator, int], Cloud], n: int, seed: int, scale: float = 1) -> Source:
    """The points of one shape as a `Source`."""
    require(n > 0, "n", n, "choose a number above 0")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    require(scale > 0, "scale", scale, "choose a number above 0")
    cloud = draw(np.random.default_rng(seed), n)
    data = torch.from_numpy(cloud.points * (scale / cloud.reach)).float()
    labels = None if cloud.labels is None else torch.from_numpy(cloud.labels)
    truth = {}
    if cloud.modes is not None:
        truth = {"modes": torch.from_numpy(cloud.modes * scale).float(), "sd": torch.tensor(cloud.sd * scale)}
    return Source(
        Spec((2,), "table", classes=0 if labels is None else int(labels.max()) + 1, names=("x", "y")),
        data,
        name=name,
        labels=labels,
        truth=truth,
        coding=Affine([0.0, 0.0], [float(cloud.reach)] * 2),
        digest=digest(data),
        notes=(f"{n} simulated points, seed {seed}",),
    )


# -- shapes --------------------------------------------------------------------------------------


def mixture(rng: np.random.Generator, n: int, modes: np.ndarray, sd: float, reach: float) -> Cloud:
    """Equally likely round Gaussians."""
    labels = rng.integers(len(modes), size=n)
    return Cloud(modes[labels] + sd * rng.standard_normal((n, 2)), reach, labels, modes, sd)


def ring8(rng: np.random.Generator, n: int) -> Cloud:
    """Eight modes on a circle of radius 1, standard deviation 0.01 (VEEGAN, Srivastava et al. 2017)."""
    angle = np.arange(8) * (np.pi / 4)
    return mixture(rng, n, np.stack([np.cos(angle), np.sin(angle)], 1), sd=0.01, reach=1)


def grid25(rng: np.random.Generator, n: int) -> Cloud:
    """Modes at {-4, -2, 0, 2, 4} squared, standard deviation 0.05 (VEEGAN, Srivastava et al. 2017)."""
    side = np.arange(-4.0, 5.0, 2.0)
    return mixture(rng, n, np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), sd=0.05, reach=4)


def scattered(rng: np.random.Generator, n: int, modes: int = 10, places: int = 0) -> Cloud:
    """Modes uniform on the square of side 30, closer to each other the more there are (AdaGAN)."""
    factor = {1: 3, 2: 3, 3: 8, 4: 20, 5: 10}.get(modes, 3 * modes**2)
    centres = np.random.default_rng(places).uniform(-15, 15, (modes, 2))
    return mixture(rng, n, centres, sd=(15 / factor) ** 0.5, reach=15)


def swissroll(rng: np.random.Generator, n: int) -> Cloud:
    """One and a half turns of a spiral from radius 0.63 to 1.88 (WGAN-GP's toy, Gulrajani et al. 2017)."""
    angle = 1.5 * np.pi * (1 + 2 * rng.random(n))
    roll = np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1) + 0.25 * rng.standard_normal((n, 2))
    return Cloud(roll / 7.5, reach=2)


def spiral(rng: np.random.Generator, n: int) -> Cloud:
    """Two arms of one and a half turns each, standard deviation 0.1 (FFJORD, Grathwohl et al. 2019)."""
    arm = rng.integers(2, size=n)
    angle = 3 * np.pi * np.sqrt(rng.random(n))
    curve = np.stack([-angle * np.cos(angle), angle * np.sin(angle)], 1) + 0.5 * rng.random((n, 2))
    return Cloud((1 - 2 * arm)[:, None] * curve / 3 + 0.1 * rng.standard_normal((n, 2)), 4, arm)


def circles(rng: np.random.Generator, n: int) -> Cloud:
    """Circles of radius 15 and 5, standard deviation 0.5; two thirds of the points on the outer (PGVGrow)."""
    inner = (rng.random(n) >= 0.67).astype(np.int64)
    angle = 2 * np.pi * rng.random(n)
    curve = np.where(inner, 5, 15)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return Cloud(curve + 0.5 * rng.standard_normal((n, 2)), 15, inner)


SHAPES: dict[str, Callable[[np.random.Generator, int], Cloud]] = {
    "ring8": ring8,
    "grid25": grid25,
    "swissroll": swissroll,
    "gmm": scattered,
    "spiral": spiral,
    "circles": circles,
}
