"""How well a score ranks outliers above the rest, with ties as what they are."""

from __future__ import annotations

import torch
from torch import Tensor


def ranking(scores: Tensor, outlier: Tensor, k: int) -> dict[str, float]:
    """Four views on scores (n,), higher for more outlying, of which `outlier` (n,) bool says what was sought.

    Args:
        k: how many are flagged.

    Returns:
        auroc, average_precision, precision (at k), f1 (at k); see the functions of these names. NaN where all rows
        or none are outliers.
    """
    if not 0 < int(outlier.sum()) < len(outlier) or not 0 < k <= len(outlier):
        return dict.fromkeys(("auroc", "average_precision", "precision", "f1"), float("nan"))
    return {
        "auroc": auroc(scores, outlier),
        "average_precision": average_precision(scores, outlier),
        "precision": precision(scores, outlier, k),
        "f1": f1(scores, outlier, k),
    }


def auroc(scores: Tensor, outlier: Tensor) -> float:
    """The chance that an outlier scores higher than another row, half of it where they tie (Mann and Whitney 1947)."""
    _, place, count = scores.double().unique(return_inverse=True, return_counts=True)
    rank = (count.cumsum(0) - (count.double() - 1) / 2)[place]  # mid-ranks
    m = int(outlier.sum())
    return float((rank[outlier].sum() - m * (m + 1) / 2) / (m * (len(outlier) - m)))


def average_precision(scores: Tensor, outlier: Tensor) -> float:
    """Precision at each threshold, weighted by the share of outliers that it adds; those that tie come at once."""
    flagged, found = steps(scores, outlier)
    return float((found.diff(prepend=found.new_zeros(1)) * found / flagged).sum() / found[-1])


def precision(scores: Tensor, outlier: Tensor, k: int) -> float:
    """Share of outliers among the k highest scores, in the mean over all ways to break ties."""
    least = scores.double().topk(k).values[-1]
    above, tied = scores.double() > least, scores.double() == least
    return (float(outlier[above].sum()) + (k - int(above.sum())) * float(outlier[tied].double().mean())) / k


def f1(scores: Tensor, outlier: Tensor, k: int) -> float:
    """Harmonic mean of precision and recall where all are flagged that score as high as the k-th."""
    flagged = scores >= scores.topk(k).values[-1]
    return 2 * float((flagged & outlier).sum()) / float(flagged.sum() + outlier.sum())


def roc(scores: Tensor, outlier: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the other rows, and of the outliers, that are flagged at each threshold, from none to all of them."""
    flagged, found = steps(scores, outlier)
    wrong, right = flagged - found, found
    origin = found.new_zeros(1)
    return torch.cat([origin, wrong / wrong[-1]]), torch.cat([origin, right / right[-1]])


def steps(scores: Tensor, outlier: Tensor) -> tuple[Tensor, Tensor]:
    """How many rows, and how many outliers, score as high as each of the distinct scores, from the highest down."""
    values, place, count = scores.double().unique(return_inverse=True, return_counts=True)
    found = torch.zeros(len(values), dtype=torch.float64).index_add(0, place, outlier.double())
    return count.double().flip(0).cumsum(0), found.flip(0).cumsum(0)
