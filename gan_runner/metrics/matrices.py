"""Do generated correlation matrices have the stylised facts of real ones? (CorrGAN, Marti 2019)"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.spectra import cophenetic, eigen, one_signed, tree_degrees

RARE = 1e-3
"""Degrees that a smaller share of the real variables reaches are left out of the slope: there, chance rules."""


@dataclass(frozen=True)
class CorrelationFacts:
    """Stylised facts of samples against training rows, see `compare`, after projection to correlation matrices.

    `NAME_held_out` is the same against rows that training never sees, `NAME_floor` that of these against training
    rows. Where no rows are held out, both halves of the training rows take their places. `facts_held` says for how
    many of the five facts samples are as near to training rows as `held` asks; `smallest_eigenvalue` is that of all
    samples; `projected`, how far the projection has moved them, as the root mean square over entries.

    Args:
        every: steps between two calls.
        n: samples, and rows of each kind.
    """

    every: int = 1000
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"correlation"})
    against: ClassVar[str] = "training"
    _known: dict[str, tuple[Facts, Facts]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.digest not in self._known:
            self._known[source.digest] = references(source, self.n)
        real, unseen = self._known[source.digest]
        raw = draw(self.n)
        made = source.decode(raw)
        fake = facts(made.squeeze(1).cpu())
        found = compare(fake, real)
        return Findings(
            found
            | {f"{name}_held_out": x for name, x in compare(fake, unseen).items()}
            | {f"{name}_floor": x for name, x in compare(unseen, real).items()}
            | {"one_signed": fake.one_signed, "one_signed_real": real.one_signed, "smallest_eigenvalue": fake.smallest}
            | {"facts_held": float(sum(held(found, fake, real).values()))}
            | {"projected": float((made - raw.double()).square().mean().sqrt())}
        )


@dataclass(frozen=True)
class Facts:
    """What is to be known of correlation matrices (n, p, p).

    Attributes:
        coefficients: above all diagonals, sorted (n p (p - 1) / 2,).
        largest: the mean of the largest eigenvalues.
        smallest: the smallest eigenvalue of all.
        one_signed: share of the first eigenvectors whose entries have one sign.
        cophenetic: mean cophenetic correlation.
        degrees: (n, p) in minimum spanning trees.
    """

    coefficients: Tensor
    largest: float
    smallest: float
    one_signed: float
    cophenetic: float
    degrees: Tensor


def references(source: Source, n: int) -> tuple[Facts, Facts]:
    """The facts of training rows and of others; both never change, so a run computes them once."""
    both = (rows.some(source, n), rows.some(rows.reference(source), n)) if source.held_out else rows.halves(source, n)
    seen, unseen = (facts(source.decode(x).squeeze(1).cpu()) for x in both)
    return seen, unseen


def facts(c: Tensor) -> Facts:
    """The facts of correlation matrices (n, p, p)."""
    values, first = eigen(c)
    return Facts(
        coefficients=coefficients(c).sort().values,
        largest=float(values[:, 0].mean()),
        smallest=float(values[:, -1].min()),
        one_signed=float(one_signed(first).double().mean()),
        cophenetic=float(cophenetic(c).mean()),
        degrees=tree_degrees(c),
    )


def coefficients(c: Tensor) -> Tensor:
    """All correlations above the diagonals (n p (p - 1) / 2,) of matrices (n, p, p)."""
    above = torch.triu_indices(c.shape[1], c.shape[2], 1)
    return c.double()[:, above[0], above[1]].flatten()


def compare(fake: Facts, real: Facts) -> dict[str, float]:
    """Distances between the facts of two sets of correlation matrices.

    Returns:
        rho_ks, rho_mean_error: of single correlations, the largest difference of their distribution functions
            (Kolmogorov-Smirnov) and that of their means.
        lambda_1_error: of the mean largest eigenvalues, relative to the real one.
        cophenetic_error: of the mean cophenetic correlations.
        degree_max_error, degree_slope_error: relative, of the mean largest degree in the minimum spanning tree, and of
            the slope of the degrees' distribution in logarithms.
    """
    real_slope, fake_slope = slopes(real.degrees, fake.degrees)
    largest = [float(x.degrees.double().amax(1).mean()) for x in (fake, real)]
    return {
        "rho_ks": kolmogorov_smirnov(fake.coefficients, real.coefficients),
        "rho_mean_error": abs(float(fake.coefficients.mean() - real.coefficients.mean())),
        "lambda_1_error": abs(fake.largest / real.largest - 1),
        "cophenetic_error": abs(fake.cophenetic - real.cophenetic),
        "degree_max_error": abs(largest[0] / largest[1] - 1),
        "degree_slope_error": abs(fake_slope / real_slope - 1),
    }


def held(found: dict[str, float], fake: Facts, real: Facts) -> dict[str, bool]:
    """Which of the five facts hold, by the distances of `compare`.

    Coefficients within 0.1 in distribution and 0.03 in mean; the largest eigenvalue within a tenth; 99 % of first
    eigenvectors with one sign, where as many real ones have; the hierarchy within 0.05; degrees within a fifth.
    """
    return {
        "coefficients": found["rho_ks"] < 0.1 and found["rho_mean_error"] < 0.03,
        "eigenvalues": found["lambda_1_error"] < 0.1,
        "eigenvector": fake.one_signed >= 0.99 or real.one_signed < 0.99,
        "hierarchy": found["cophenetic_error"] < 0.05,
        "tree": found["degree_max_error"] < 0.2 and found["degree_slope_error"] < 0.2,
    }


def kolmogorov_smirnov(a: Tensor, b: Tensor) -> float:
    """The largest difference between the distribution functions of sorted numbers a and b."""
    points = torch.cat([a, b])
    below = [torch.searchsorted(x, points, right=True) / len(x) for x in (a, b)]
    return float((below[0] - below[1]).abs().max())


def slopes(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Slopes of log P(degree >= k) over log k, fitted to k = 1, 2, ... as far as real degrees are not rare."""
    last = int(np.quantile(real.numpy(), 1 - RARE, method="higher"))
    return slope(real, last), slope(fake, last)


def slope(degrees: Tensor, last: int) -> float:
    """The least squares slope for k up to `last`; where no degree reaches k, as if half of one did."""
    k = torch.arange(1, last + 1)
    reached = (degrees.flatten() >= k[:, None]).sum(1).clamp_min(0.5).double() / degrees.numel()
    x, y = k.double().log(), reached.log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
