"""Has a generator found the centre of contaminated data? Huber's model knows where it is (Gao et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class Location:
    """`location_error`, the distance of the mean of samples from the true location, beside what statistics achieve.

    `location_error_mean` and `location_error_median` are those of the training rows' mean and coordinate-wise median,
    `location_error_floor` that of the mean of the clean rows, which nobody can tell apart in practice. The mean of n
    samples is itself uncertain: the square root of p / n in p columns of variance 1.

    Finds nothing where the true location is not known.

    Args:
        every: steps between two calls.
        n: samples.
    """

    every: int = 5000
    n: int = 50_000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    _known: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "location" not in source.truth:
            return Findings()
        if source.digest not in self._known:
            self._known[source.digest] = baselines(source)
        made = source.decode(draw(self.n)).cpu().mean(0)
        return Findings({"location_error": error(made, source), **self._known[source.digest]})


def baselines(source: Source) -> dict[str, float]:
    """What statistics achieve on the same rows; they never change, so a run computes them once."""
    real = source.decode(source.data).cpu()
    return {
        "location_error_mean": error(real.mean(0), source),
        "location_error_median": error(real.median(0).values, source),
        "location_error_floor": error(real[~source.truth["outlier"]].mean(0), source),
    }


def error(estimate: Tensor, source: Source) -> float:
    """Distance of an estimate (p,) from the true location."""
    return float((estimate - source.truth["location"]).norm())
