"""Parzen-window log-likelihood of test data under samples (Breuleux et al. 2011; Goodfellow et al. 2014, table 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings

CHUNK = 1024
"""Rows of a distance matrix that are in memory at once."""
WIDTHS = [10 ** (k / 9 - 1) for k in range(10)]
"""Candidates for sigma, of which validation rows choose."""


@dataclass(frozen=True)
class Parzen:
    """`parzen`, the mean log-likelihood (nats) of held-out images in [0, 1], with `parzen_error` and `parzen_sigma`.

    For comparison with papers before 2016 only: in many dimensions it ranks models wrongly (Theis et al. 2016). The
    validation rows that choose sigma and the test rows are disjoint; they are training rows where none are held out.

    Args:
        every: steps between two calls.
        n: samples, and at most so many test rows.
        validation: rows that choose sigma.
    """

    every: int = 0
    n: int = 10_000
    validation: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "unseen"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        split = rows.reference(source)
        size = min(self.validation, len(split) // 2)
        held = pixels(rows.some(split, size + self.n))
        centres = pixels(draw(self.n))
        sigma = choose(held[:size], centres)
        found = log_density(held[size:], centres, sigma)
        error = float(found.std()) / math.sqrt(len(found))
        return Findings({"parzen": float(found.mean()), "parzen_error": error, "parzen_sigma": sigma})


def pixels(x: Tensor) -> Tensor:
    """Images (n, *shape) in [-1, 1] as rows (n, d) in [0, 1]."""
    return (x.double().flatten(1) + 1) / 2


def choose(validation: Tensor, centres: Tensor, widths: Sequence[float] = WIDTHS) -> float:
    """The width under which the validation rows (n, d) are likeliest, given centres (m, d)."""
    return max(widths, key=lambda sigma: float(log_density(validation, centres, sigma).mean()))


def log_density(x: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """log (1/m) sum_i N(x; mu_i, sigma^2 I) (n,) at rows x (n, d), given centres mu (m, d); nats."""
    volume = math.log(len(centres)) + x.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    exponents = (-torch.cdist(part, centres).square() / (2 * sigma**2) for part in x.split(CHUNK))
    return torch.cat([e.logsumexp(1) for e in exponents]) - volume
