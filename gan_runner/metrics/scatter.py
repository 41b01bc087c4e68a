"""Has a generator found the scatter of contaminated data? Huber's model knows it (Gao et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import outliers, rows
from gan_runner.metrics.location import in_units, likeliest
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class Scatter:
    """`scatter_error` and `scatter_error_operator`: Frobenius and operator norm of scatter less the true one.

    Beside them `_covariance` of the training rows' sample covariance, `_mcd` of scikit-learn's MinCovDet, and `_floor`
    of what is likeliest for the clean rows, which nobody can tell apart in practice. Of t distributions only the shape
    counts: each matrix is divided by its mean diagonal.

    Finds nothing where the true scatter is not known.

    Args:
        every: steps between two calls.
        n: rows that MinCovDet sees: half a minute for 50,000 of 50 columns.
    """

    every: int = 0
    n: int = 10_000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "truth"
    _known: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "scatter" not in source.truth:
            return Findings()
        if source.digest not in self._known:
            self._known[source.digest] = self.baselines(source)
        found = in_units(*outliers.moments(draw), source)[1]
        return Findings({**named("", found, source), **self._known[source.digest]})

    def baselines(self, source: Source) -> dict[str, float]:
        """What statistics achieve on the same rows; they never change, so a run computes them once."""
        real, few = (source.decode(x).cpu().double() for x in (source.data, rows.some(source, self.n)))
        clean = real[~source.truth["outlier"]]
        freedom = float(source.truth.get("freedom", math.inf))
        return {
            **named("_covariance", torch.cov(real.T).view(real.shape[1], -1), source),
            **named("_mcd", outliers.covariance_determinant(few)[1], source),
            **named("_floor", likeliest(clean, freedom)[1], source),
        }


def named(suffix: str, estimate: Tensor, source: Source) -> dict[str, float]:
    """Both errors of an estimate (p, p) under their names."""
    truth = source.truth["scatter"].double()
    if "freedom" in source.truth:
        estimate, truth = (matrix / matrix.diagonal().mean() for matrix in (estimate, truth))
    off = estimate - truth
    norms = {"": off.norm(), "_operator": torch.linalg.matrix_norm(off, 2)}
    return {f"scatter_error{norm}{suffix}": float(value) for norm, value in norms.items()}
