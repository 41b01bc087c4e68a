"""Heavy tails made light and back: Lambert W x Gaussian transforms (Goerg 2015), as Quant GANs prepare returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_runner.datasets.coding import along

START, MOST = 0.01, 0.48
"""The smallest first guess of delta, and the largest delta: from 0.5 on there is no variance."""
LEAST = 1e-9
"""The smallest delta: nothing is taken from the tails."""
NEWTON, HALVINGS, ROUNDS, SETTLED = 8, 45, 100, 1e-10


@dataclass(frozen=True)
class Lambert:
    """Each column standardised, its tails taken off by the inverse Lambert W transform, and standardised once more.

    Computed in double precision, whatever comes and goes. Values beyond what was fitted have a code, too: both
    directions are defined everywhere.

    Args:
        offset, scale: of the columns themselves.
        delta: weight of the tails, from 0 for a Gaussian.
        offset_light, scale_light: of what is left.
    """

    offset: Sequence[float]
    scale: Sequence[float]
    delta: Sequence[float]
    offset_light: Sequence[float]
    scale_light: Sequence[float]

    def encode(self, x: Tensor) -> Tensor:
        z = (x.double() - self.along("offset", x)) / self.along("scale", x)
        u = lighten(z, self.along("delta", x))
        return ((u - self.along("offset_light", x)) / self.along("scale_light", x)).to(x.dtype)

    def decode(self, x: Tensor) -> Tensor:
        u = x.double() * self.along("scale_light", x) + self.along("offset_light", x)
        z = burden(u, self.along("delta", x))
        return (z * self.along("scale", x) + self.along("offset", x)).to(x.dtype)

    def describe(self) -> dict[str, Any]:
        return {"_target_": f"{__name__}.Lambert", **{name: [*values] for name, values in vars(self).items()}}

    def along(self, name: str, x: Tensor) -> Tensor:
        return along(getattr(self, name), x.double())


def burden(u: Tensor, delta: Tensor | float) -> Tensor:
    """Values with heavy tails: u exp(delta u^2 / 2)."""
    return u * (delta * u.square() / 2).exp()


def lighten(z: Tensor, delta: Tensor | float) -> Tensor:
    """The inverse of `burden`: sign(z) sqrt(W(delta z^2) / delta), written as z exp(-W / 2), which knows delta = 0."""
    return z * (-lambert_w(delta * z.square()) / 2).exp()


def lambert_w(x: Tensor) -> Tensor:
    """The w >= 0 with w exp(w) = x (...), x >= 0: Newton's steps on log w + w = log x, from above."""
    target = x.clamp_min(1e-300).log()
    w = torch.where(x < 1, x.clamp_min(1e-300), 1 + target.clamp_min(0))
    for _ in range(NEWTON):
        w = w * (1 + target - w.log()) / (1 + w)
    return torch.where(x > 0, w, 0.0)


def fit(x: Tensor) -> Lambert:
    """The transform of columns (n, p) whose light values have the kurtosis of a Gaussian, 3, and mean 0, variance 1."""
    columns = [fit_column(column) for column in x.double().T]
    return Lambert(*(list(values) for values in zip(*columns, strict=True)))


def fit_column(y: Tensor) -> tuple[float, float, float, float, float]:
    """(offset, scale, delta, offset_light, scale_light) by IGMM (Goerg 2015, algorithm 2) on values (n,).

    Offset and scale are those of the light values before they got their tails; they and delta are found in turn.
    """
    delta = first_guess(kurtosis(y))
    offset, scale = y.median(), y.std(correction=0) * (1 - 2 * delta) ** 0.75
    for _ in range(ROUNDS):
        z = (y - offset) / scale
        delta = best_delta(z)
        light = lighten(z, delta) * scale + offset
        moved = (light.mean() - offset).abs() + (light.std(correction=0) - scale).abs()
        offset, scale = light.mean(), light.std(correction=0)
        if moved < SETTLED * scale:
            break
    u = lighten((y - offset) / scale, delta)
    return float(offset), float(scale), delta, float(u.mean()), float(u.std(correction=0))


def first_guess(kurtosis: float) -> float:
    """delta from the kurtosis, 3 for a Gaussian: the Taylor approximation of Goerg (2015)."""
    root = max(66 * kurtosis - 162, 0.0) ** 0.5
    return min(max((root - 6) / 66, START), MOST)


def best_delta(z: Tensor) -> float:
    """The delta for which light values of z (n,) have kurtosis 3, which falls with delta; halved in log delta."""
    low, high = torch.tensor([LEAST, MOST], dtype=torch.float64).log()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        heavy = kurtosis(lighten(z, middle.exp())) > 3
        low, high = (middle, high) if heavy else (low, middle)
    return float(high.exp())


def kurtosis(x: Tensor) -> float:
    """Fourth standardised moment of values (n,): 3 for a Gaussian."""
    centred = x - x.mean()
    return float(centred.pow(4).mean() / centred.square().mean().square())
