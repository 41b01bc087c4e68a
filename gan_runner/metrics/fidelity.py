"""Are generated rows of numbers and categories like rows that training has never seen?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.rivals import Comparison

Levels = Sequence[Sequence[str]]
FOLDS = 5


@dataclass(frozen=True)
class Fidelity(Comparison):
    """Distances of samples from held-out rows; each has its floor and its rivals, see `Comparison`.

    `ks_mean` and `ks_max` over numbers, `tv_mean` and `tv_max` over categories, `association_error`, `detection_auroc`.
    """

    def score(self, made: Tensor, source: Source) -> dict[str, float]:
        assert source.held_out is not None
        real, levels = source.held_out.decode(source.held_out.take(rows.shuffled(source.held_out))).cpu(), source.levels
        found: dict[str, float] = {}
        for name, distance, chosen in (
            ("ks", ks, [j for j, texts in enumerate(levels) if not texts]),
            ("tv", tv, [j for j, texts in enumerate(levels) if len(texts) > 1]),
        ):
            far = [distance(made[:, j], real[:, j]) for j in chosen]
            found |= {f"{name}_mean": sum(far) / len(far), f"{name}_max": max(far)} if far else {}
        return found | {
            "association_error": association_error(made, real, levels),
            "detection_auroc": detection(made, real, levels),
        }


# -- columns ---------------------------------------------------------------------------------------


def ks(a: Tensor, b: Tensor) -> float:
    """Kolmogorov-Smirnov distance of samples (n,) and (m,): the largest between their distribution functions.

    Gaps count as smaller than any number.
    """
    a, b = (x.double().nan_to_num(nan=-torch.inf).sort().values for x in (a, b))
    at = torch.cat([a, b])
    shares = [torch.searchsorted(x, at, right=True).double() / len(x) for x in (a, b)]
    return float((shares[0] - shares[1]).abs().max())


def tv(a: Tensor, b: Tensor) -> float:
    """Total variation distance of categories (n,) and (m,): half the sum of the differences of their shares."""
    most = int(torch.cat([a, b]).max()) + 1
    shares = [torch.bincount(x.long(), minlength=most).double() / len(x) for x in (a, b)]
    return float((shares[0] - shares[1]).abs().sum() / 2)


# -- pairs -----------------------------------------------------------------------------------------


def association_error(a: Tensor, b: Tensor, levels: Levels) -> float:
    """Mean distance between the associations of all pairs of different columns; 0 where there is one column."""
    p = len(levels)
    apart = (association(a, levels) - association(b, levels)).abs()
    return float(apart.sum() / (p * (p - 1))) if p > 1 else 0.0


def association(x: Tensor, levels: Levels) -> Tensor:
    """How columns of rows (n, p) go together, a symmetric matrix (p, p) with 0 on its diagonal.

    Of two numbers Pearson's correlation, in [-1, 1]; of a number and a category the correlation ratio; of two
    categories Cramer's V; both in [0, 1]. A column that never changes goes with nothing; gaps are at the mean.
    """
    numbers = [standard(v) for v in x.double().T]
    codes = {j: F.one_hot(x[:, j].long(), len(texts)).double() for j, texts in enumerate(levels) if texts}
    made = torch.zeros(len(levels), len(levels), dtype=torch.float64)
    for i in range(len(levels)):
        for j in range(i):
            if not levels[i] and not levels[j]:
                value = numbers[i] @ numbers[j] / len(x)
            elif levels[i] and levels[j]:
                value = cramer(codes[i].T @ codes[j])
            else:
                value = ratio(codes[i], numbers[j]) if levels[i] else ratio(codes[j], numbers[i])
            made[i, j] = made[j, i] = value
    return made


def standard(v: Tensor) -> Tensor:
    """Values (n,) with mean 0 and variance 1; zeros where they do not vary or are missing."""
    known = ~v.isnan()
    v = (v - v[known].mean()).where(known, 0.0)
    sd = v.square().mean().sqrt()
    return v / sd.where(sd > 1e-12, torch.inf)


def ratio(code: Tensor, v: Tensor) -> Tensor:
    """The correlation ratio of a one-hot category (n, k) and standardised numbers (n,): the root of the share of the
    variance that lies between categories."""
    count = code.sum(0)
    return ((code.T @ v).square() / count.clamp(min=1)).sum().div(len(v)).sqrt().clamp(max=1)


def cramer(counts: Tensor) -> Tensor:
    """Cramer's V of a table of counts (k, l), over the categories that occur."""
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    expected = counts.sum(1, keepdim=True) * counts.sum(0) / counts.sum()
    chi2, smaller = ((counts - expected).square() / expected).sum(), min(counts.shape) - 1
    return (chi2 / counts.sum() / max(smaller, 1)).sqrt() * (smaller > 0)


# -- rows ------------------------------------------------------------------------------------------


def detection(made: Tensor, real: Tensor, levels: Levels) -> float:
    """The AUROC of gradient boosting that tells samples from real rows, cross-validated; 1/2 where it cannot.

    As many of each, the first. Of disjoint halves of real rows it is about 1/2; of the same rows on both sides far
    below, for what is learnt of a row is wrong of its twin. NaN where there are too few to learn from.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    m = min(len(made), len(real))
    if m < 2:
        return float("nan")
    x = torch.cat([made[:m], real[:m]]).numpy()
    y = np.repeat([0, 1], m)
    categories: Any = [0 < len(texts) < 255 for texts in levels]  # the most that it takes
    model = HistGradientBoostingClassifier(categorical_features=categories, max_iter=50, random_state=0)
    folds = StratifiedKFold(min(FOLDS, m), shuffle=True, random_state=0)
    return float(cross_val_score(model, x, y, cv=folds, scoring="roc_auc").mean())
