"""Do long generated paths behave like the real one? The scores of Quant GANs (Wiese et al. 2020, section 7.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

HORIZONS = (1, 5, 20, 100)
"""Days over which returns are summed."""
LAGS = 250
"""A year of trading days."""


@dataclass(frozen=True)
class Scale:
    """How the scores are counted, which papers leave open.

    Args:
        points_per_bin: real values in each bin of the DY metric; the fewer, the higher its floor.
        norm: of differences of curves: l2, or rms, which is l2 over the root of the number of lags.

    Raises:
        ValueError: a setting is out of range or unknown.
    """

    points_per_bin: int = 25
    norm: str = "l2"

    def __post_init__(self) -> None:
        if self.points_per_bin < 1:
            raise ValueError(f"points_per_bin={self.points_per_bin} is not positive")
        if self.norm not in ("l2", "rms"):
            raise ValueError(f"norm={self.norm} is not one of l2, rms")

    def distance(self, a: Tensor, b: Tensor) -> float:
        """Between curves (lags,)."""
        gap = (a - b).square()
        return float((gap.sum() if self.norm == "l2" else gap.mean()).sqrt())


def compare(
    real: Tensor, fake: Tensor, scale: Scale | None = None, horizons: Sequence[int] = HORIZONS, lags: int = LAGS
) -> dict[str, float]:
    """Scores of paths against one real path; lower is better.

    Args:
        real: (time,) log-returns.
        fake: (n, time), of any length above the lags.

    Returns:
        emd_T: first Wasserstein distance of overlapping sums over T days, in standard deviations of the real ones.
        dy_T: sum over bins of |log P_real - log P_fake| of the same (Drăgulescu and Yakovenko 2002).
        acf, acf_abs, acf_square: distance of the autocorrelations of r, |r|, r^2, mean over paths, from the real ones.
        leverage: the same of the correlation of later squares with returns.
    """
    scale, found = scale or Scale(), {}
    known = [days for days in horizons if days < len(real)]
    for days in known:
        found[f"emd_{days}"] = emd(sums(real, days), sums(fake, days))
    for days in known:
        found[f"dy_{days}"] = dy(sums(real, days), sums(fake, days), scale.points_per_bin)
    ours, theirs = curves(real[None], lags), curves(fake, lags)
    return found | {name: scale.distance(ours[name][0], theirs[name].mean(0)) for name in ours}


def sums(paths: Tensor, days: int) -> Tensor:
    """All sums over so many consecutive days (count,) of paths (..., time)."""
    total = torch.nn.functional.pad(paths.double().cumsum(-1), (1, 0))
    return (total[..., days:] - total[..., :-days]).flatten()


def emd(real: Tensor, fake: Tensor) -> float:
    """First Wasserstein distance of values (n,) and (m,), in standard deviations of the real ones."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(real.numpy(), fake.numpy()) / real.std(correction=0))


def dy(real: Tensor, fake: Tensor, points_per_bin: int) -> float:
    """Sum over bins, equally full of real values (n,), of |log P_real - log P_fake|.

    Bins at the ends are open; one that no value of fake (m,) falls into counts as if half a value did.
    """
    bins = max(len(real) // points_per_bin, 1)
    inner = real.quantile(torch.linspace(0, 1, bins + 1, dtype=real.dtype)[1:-1])

    def shares(x: Tensor) -> Tensor:
        return torch.bincount(torch.bucketize(x, inner), minlength=bins).clamp_min(0.5) / len(x)

    return float((shares(real).log() - shares(fake).log()).abs().sum())


def curves(paths: Tensor, lags: int = LAGS) -> dict[str, Tensor]:
    """Memory of paths (n, time), each curve (n, lags): autocorrelation of r, |r|, r^2, and the leverage effect."""
    r, square = paths.double(), paths.double().square()
    of = {"acf": (r, r), "acf_abs": (r.abs(), r.abs()), "acf_square": (square, square), "leverage": (r, square)}
    return {name: correlations(early, late, lags) for name, (early, late) in of.items()}


def correlations(early: Tensor, late: Tensor, lags: int) -> Tensor:
    """corr(early_t, late_(t + lag)) (n, lags) at lags 1, 2, ... of paths (n, time): with each path's own mean and
    variance, and sums over the days that there are divided by all days, as is usual for autocorrelations."""
    a, b = (x - x.mean(1, keepdim=True) for x in (early, late))
    size = a.shape[1] + lags + 1  # room enough that no product wraps around
    products = torch.fft.irfft(torch.fft.rfft(a, size).conj() * torch.fft.rfft(b, size), size)[:, 1 : lags + 1]
    scale = a.square().sum(1, keepdim=True) * b.square().sum(1, keepdim=True)
    return products / scale.clamp_min(1e-300).sqrt()


def within(paths: Tensor, real: Tensor, times: float = 2.0) -> Tensor:
    """Which paths (n, time) have no return beyond so many times the real path's extremes: a mask (n,).

    A published replication drops the others before it counts.
    """
    return (paths.amax(1) <= times * real.max()) & (paths.amin(1) >= times * real.min())


def join(windows: Tensor) -> Tensor:
    """The series (columns, time) that overlapping windows (n, columns, time), in order and evenly spaced, were cut
    from; windows that do not overlap one after the other."""
    days = windows.shape[2]
    stride = days
    for shift in range(1, days if len(windows) > 1 else 1):
        if torch.equal(windows[1:, :, :-shift], windows[:-1, :, shift:]):
            stride = shift
            break
    return torch.cat([windows[0], *windows[1:, :, days - stride :]], dim=1)


def spread(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each score over several paths."""
    return {name: float(np.mean([scores[name] for scores in found])) for name in found[0]}
