"""What a few seeds can say about a mean, and about a difference of means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

LEVEL = 0.95
DRAWS = 10_000
"""Bootstrap samples, and flips of signs where there are too many to try them all."""
ROUNDING = 1e-12
"""Values that are apart by no more than this share of themselves are the same."""
ENUMERATED = 14
"""Most differences whose flips are all tried."""

Interval = tuple[float, float]
NONE: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        n: seeds.
        sd: their standard deviation, n - 1 in the denominator; NaN for one seed.
        student: 95 % interval of the mean by Student's t, exact for Gaussian values; NaN for one seed.
        bootstrap: that of the percentile bootstrap. Of three seeds it is just their range, whatever they are, and
            covers the median of what they come from three times in four, not nineteen in twenty.
    """

    n: int
    mean: float
    sd: float
    student: Interval
    bootstrap: Interval


@dataclass(frozen=True)
class Difference(Mean):
    """A mean of differences on the same seeds.

    Attributes:
        p: two-sided, of the sign-flip test: the share of all choices of signs whose mean is as far from 0.
    """

    p: float

    @property
    def excludes_zero(self) -> bool:
        """Whether Student's interval does; one without width, of seeds that differ by the same, shows nothing."""
        low, high = self.student
        return self.sd > 0 and (low > 0 or high < 0)


def mean(values: Sequence[float] | np.ndarray, scale: float | None = None) -> Mean:
    """The mean of one value a seed, and how sure it is; `scale` is of what was rounded, the largest value if None."""
    x = np.asarray(values, float)
    same = np.ptp(x) <= ROUNDING * (np.abs(x).max() if scale is None else scale)
    sd = math.nan if len(x) < 2 else 0.0 if same else float(x.std(ddof=1))
    return Mean(len(x), float(x.mean()), sd, student(x), bootstrap(x))


def difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """The mean of a - b, values of the same seeds in the same order."""
    x = np.asarray(a, float) - np.asarray(b, float)
    return Difference(**vars(mean(x, scale=float(np.abs([*a, *b]).max()))), p=sign_flips(x))


def student(values: Sequence[float] | np.ndarray) -> Interval:
    """mean -+ t(n - 1) sd / sqrt(n)."""
    from scipy.stats import t

    x = np.asarray(values, float)
    if len(x) < 2:
        return NONE
    half = float(t.ppf((1 + LEVEL) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return float(x.mean()) - half, float(x.mean()) + half


def bootstrap(values: Sequence[float] | np.ndarray, seed: int = 0) -> Interval:
    """Percentiles of the means of samples drawn with replacement (Efron 1979)."""
    x = np.asarray(values, float)
    if len(x) < 2:
        return NONE
    drawn = np.random.default_rng(seed).integers(len(x), size=(DRAWS, len(x)))
    low, high = np.quantile(x[drawn].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def sign_flips(differences: Sequence[float] | np.ndarray, seed: int = 0) -> float:
    """The exact p of the paired permutation test (Fisher 1935), by chance flips where there are more than 2^14.

    Under the hypothesis that the two methods are alike, each difference might as well have had the other sign.
    """
    x = np.asarray(differences, float)
    if len(x) <= ENUMERATED:
        signs = np.array([*product((1, -1), repeat=len(x))])
    else:
        signs = np.random.default_rng(seed).choice((1, -1), size=(DRAWS, len(x)))
        signs[0] = 1  # what was seen is one of the choices (Phipson and Smyth 2010)
    means = np.abs(signs @ x)
    return float(np.mean(means >= means[0] * (1 - 1e-9)))


def least(n: int) -> float:
    """The smallest p that n differences can have in `sign_flips`: that of equal signs."""
    return min(2.0 ** (1 - n), 1.0)
