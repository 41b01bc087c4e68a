"""What a learnt energy says: the density it stands for in the plane, and whether strange rows have more of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.ranking import auroc
from gan_runner.pictures.energy import densities, energies


@dataclass(frozen=True)
class LearnedDensity:
    """`density_kl`, KL(p || q) in nats of a mixture p whose modes are known from q = exp(score) / Z in the plane.

    Z is a sum over a mesh of a square; the floor of the KL is 0. It means something where scores are log-densities but
    for a constant, as minus energies are. The picture `learned_density` has both.

    Args:
        every: steps between two calls.
        reach: half the side of the square, in the scale of training.
        mesh: points along it; `density_kl` is missing where fewer than two lie within a standard deviation of p.

    Raises:
        ValueError: `reach` or `mesh` is not positive.
    """

    every: int = 0
    reach: float = 3.0
    mesh: int = 600

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "truth"

    def __post_init__(self) -> None:
        if self.reach <= 0 or self.mesh < 2:
            raise ValueError(f"reach={self.reach} must be above 0, and mesh={self.mesh} 2 or more")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "modes" not in source.truth or source.spec.shape != (2,):
            return Findings()
        line = torch.linspace(-self.reach, self.reach, self.mesh)
        at = torch.cartesian_prod(line, line).to(source.device)
        score, points = draw.judge(at), source.decode(at).cpu().double()
        sd, step = float(source.truth["sd"]), float(points[1, 1] - points[0, 1])
        if score is None or len(score) != len(at) or 2 * step > sd:
            return Findings()
        log_p = log_mixture(points, source.truth["modes"].cpu().double(), sd)
        log_q = log_normalised(score.cpu().double(), step**2)
        picture = densities(points, log_p.exp(), log_q.exp(), source.truth["modes"].cpu(), source.spec.names)
        return Findings({"density_kl": divergence(log_p, log_q, step**2)}, {"learned_density": picture})


def log_mixture(points: Tensor, modes: Tensor, sd: float) -> Tensor:
    """Log-density (n,) of equally likely round Gaussians at modes (k, 2), of points (n, 2)."""
    heights = -0.5 * torch.cdist(points, modes).square() / sd**2
    return heights.logsumexp(1) - math.log(len(modes) * 2 * math.pi * sd**2)


def log_normalised(score: Tensor, cell: float) -> Tensor:
    """Log-density (n,) of a law that is exp(score) / Z on a mesh whose points stand for an area of `cell` each."""
    return score - score.logsumexp(0) - math.log(cell)


def divergence(log_p: Tensor, log_q: Tensor, cell: float) -> float:
    """KL(p || q) in nats of log-densities (n,) on a mesh."""
    return float((log_p.exp() * (log_p - log_q)).sum() * cell)


@dataclass(frozen=True)
class Outsiders:
    """`auroc_NAME`: how often a strange image has more energy than one that training never saw; 0.5 by chance.

    Beside it `energy_real` and `energy_generated`, means of unseen images and of samples, and the picture `energies`.
    Energies are minus the scores of whoever judges. Strange images are resized by bilinear interpolation where their
    size is another; strange sets of other channels are left out. Since plain images may well have little energy, those
    of a set are judged once more as `auroc_NAME_framed`: shrunk to 5/8 of the height and width, in black.

    Args:
        others: name -> a data set of images, given by its `_target_`.
        every: steps between two calls.
        n: images of each kind.
    """

    others: Mapping[str, Source]
    every: int = 0
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "unseen"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        groups = {"real": rows.some(rows.reference(source), self.n), "generated": draw(self.n)}
        for name, other in self.others.items():
            if other.spec.shape[0] == source.spec.shape[0]:
                strange, size = rows.some(other, self.n).to(source.device), source.spec.shape[1:]
                groups |= {name: resized(strange, size), f"{name}_framed": framed(strange, size)}
        judged = {name: draw.judge(x) for name, x in groups.items()}
        found = {name: -score.cpu().double() for name, score in judged.items() if score is not None}
        if len(found) < len(groups) or any(len(found[name]) != len(x) for name, x in groups.items()):
            return Findings()
        scalars = {f"energy_{name}": float(found[name].mean()) for name in ("real", "generated")}
        for name in groups.keys() - {"real", "generated"}:
            both = torch.cat([found["real"], found[name]])
            scalars[f"auroc_{name}"] = auroc(both, torch.arange(len(both)) >= len(found["real"]))
        return Findings(scalars, {"energies": energies(found)})


def framed(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images (n, C, H, W) at 5/8 of a height and width, as MNIST's digits fill theirs, in the middle of black."""
    height, width = (round(length * 5 / 8) for length in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    made = images.new_full((*images.shape[:2], *size), -1.0)
    made[:, :, top : top + height, left : left + width] = resized(images, (height, width))
    return made


def resized(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images (n, C, H, W) at a height and width."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, tuple(size), mode="bilinear", antialias=True)
