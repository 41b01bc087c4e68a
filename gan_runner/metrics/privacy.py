"""Do generated rows repeat training rows? Distances to the nearest of them, beside those of unseen rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.rivals import Comparison


@dataclass(frozen=True)
class Privacy(Comparison):
    """Whether samples are nearer to training rows than held-out rows are, which stand as the floor; see `Comparison`.

    `neighbour_ratio`: the median distance to the nearest training row, over that of the held-out rows.
    `neighbour_ratio_low`: the same of the lowest twentieth. `copies`: the share of rows that are training rows.
    Rows are compared as coded: numbers by normal scores, a category that differs counts 1. A ratio says nothing (NaN,
    or infinite) where so many held-out rows are training rows, too.
    """

    against: ClassVar[str] = "both"

    def floor(self, real: Tensor, source: Source) -> Tensor:
        assert source.held_out is not None
        return source.held_out.decode(rows.some(source.held_out, self.n)).cpu()

    def score(self, made: Tensor, source: Source) -> dict[str, float]:
        assert source.held_out is not None
        train = source.decode(source.take(torch.arange(len(source)))).cpu()
        unseen = source.held_out.decode(rows.some(source.held_out, self.n)).cpu()
        far, usual = (nearest(coded(x, source), coded(train, source)) for x in (made, unseen))
        level = torch.tensor([0.5, 0.05], dtype=far.dtype)
        middle, low = (far.quantile(level) / usual.quantile(level)).tolist()
        return {"neighbour_ratio": middle, "neighbour_ratio_low": low, "copies": copies(made, train)}


def coded(x: Tensor, source: Source) -> Tensor:
    """Rows (n, columns) in natural units on the scale of training, where two categories are at distance 1."""
    z = source.coding.encode(x) if source.coding else x
    return z.double() * scale(source.spec.groups or (1,) * z.shape[1])


def scale(groups: Sequence[int]) -> Tensor:
    """Of each coded column (width,): 1 for a number, the root of 1/2 in a one-hot code."""
    return torch.tensor([1.0 if size == 1 else 0.5**0.5 for size in groups for _ in range(size)], dtype=torch.float64)


def nearest(x: Tensor, to: Tensor) -> Tensor:
    """Distances (n,) of rows (n, d) from the nearest of others (m, d)."""
    return torch.cat(
        [torch.cdist(part, to, compute_mode="donot_use_mm_for_euclid_dist").amin(1) for part in x.split(256)]
    )


def copies(x: Tensor, of: Tensor) -> float:
    """Share of rows (n, p) that are among others (m, p), gap for gap."""
    known = {row.tobytes() for row in of.double().numpy()}
    return sum(row.tobytes() in known for row in x.double().numpy()) / len(x)
