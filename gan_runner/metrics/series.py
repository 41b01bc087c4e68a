"""Do generated returns behave like returns? Memory of signs and of sizes, and heavy tails (Cont 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.tables import spread, wasserstein

LAGS = 20
"""Lags of the autocorrelations."""


@dataclass(frozen=True)
class SeriesQuality:
    """Stylised facts of samples against training windows, and as `_floor` of their later half against the earlier.

    `wasserstein_mean`, `acf_error`, `acf_abs_error`, see `compare`; `kurtosis` and `kurtosis_real`, mean over columns.

    Args:
        every: steps between two calls.
        n: samples.
    """

    every: int = 5000
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"series"})
    against: ClassVar[str] = "training"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        count = len(source)
        real = between(source, 0, count, self.n)
        earlier, later = (between(source, first, first + count // 2, self.n) for first in (0, count - count // 2))
        fake = source.decode(draw(len(real))).cpu()
        floor = {f"{name}_floor": value for name, value in compare(later, earlier).items()}
        kurtoses = {"kurtosis": float(kurtosis(fake).mean()), "kurtosis_real": float(kurtosis(real).mean())}
        return Findings(compare(fake, real) | floor | kurtoses)


def between(source: Source, first: int, last: int, n: int) -> Tensor:
    """Windows evenly spaced in [first, last), n at most, in natural units."""
    return source.decode(source.take(torch.linspace(first, last - 1, min(n, last - first)).long())).cpu()


def compare(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Distances between windows of returns, equally many.

    Args:
        fake, real: (n, columns, time).

    Returns:
        wasserstein_mean: first Wasserstein distance of single returns, in real standard deviations, mean over columns.
        acf_error: root mean square difference of the autocorrelations at lags 1 to 20 of the returns r.
        acf_abs_error: the same of |r|: volatility comes in clusters.
    """
    a, b = values(fake), values(real)
    return {
        "wasserstein_mean": float(wasserstein(a, b).div(spread(b)).mean()),
        "acf_error": float((acf(fake) - acf(real)).square().mean().sqrt()),
        "acf_abs_error": float((acf(fake.abs()) - acf(real.abs())).square().mean().sqrt()),
    }


def acf(x: Tensor, lags: int = LAGS) -> Tensor:
    """Autocorrelation (columns, lags) at lags 1, 2, ... of windows (n, columns, time) that share mean and variance.

    Where windows are shorter than that, as many lags as they have.
    """
    z = x.double() - x.double().mean((0, 2), keepdim=True)
    lags, variance = min(lags, x.shape[2] - 1), z.square().mean((0, 2)).clamp_min(1e-300)
    return torch.stack([(z[..., lag:] * z[..., :-lag]).mean((0, 2)) / variance for lag in range(1, lags + 1)], 1)


def kurtosis(x: Tensor) -> Tensor:
    """Excess kurtosis (columns,) of all values of windows (n, columns, time): 0 for Gaussian ones."""
    z = (values(x) - values(x).mean(0)) / spread(values(x))
    return z.pow(4).mean(0) - 3


def values(x: Tensor) -> Tensor:
    """All values of each column (n * time, columns) of windows (n, columns, time)."""
    return x.double().transpose(1, 2).flatten(0, 1)
