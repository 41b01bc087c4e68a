"""How likely unseen rows are, for methods that know it or bound it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class Likelihood:
    """`log_likelihood_K`, the mean of log p(x) over held-out rows as bounded by K samples each, in nats a row.

    For an autoencoder K = 1 is the ELBO, and the bound rises with K (Burda et al. 2016, theorem 1).
    `log_likelihood_K_error` is the standard error over rows. Training rows are judged where none are held out. Pixels
    that are drawn, as Bernoulli ones, are drawn once. Finds nothing where the method knows no likelihood.

    Args:
        every: steps between two calls.
        n: rows, all where there are fewer.
        samples: the K.

    Raises:
        ValueError: `n` is below 2, or a K below 1.
    """

    every: int = 0
    n: int = 1000
    samples: Sequence[int] = (1, 100)

    kinds: ClassVar[frozenset[str]] = KINDS
    against: ClassVar[str] = "unseen"

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError(f"n={self.n} must be 2 or more")
        if not self.samples or min(self.samples) < 1:
            raise ValueError(f"samples={list(self.samples)} must be numbers of 1 or more")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        x, found = rows.some(rows.reference(source), self.n), Findings()
        for k in self.samples:
            bound = draw.likelihood(x, k)
            if bound is None:
                return found
            found.scalars[f"log_likelihood_{k}"] = float(bound.double().mean())
            found.scalars[f"log_likelihood_{k}_error"] = float(bound.double().std()) / math.sqrt(len(bound))
        return found
