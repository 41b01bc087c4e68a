"""Has a generator found the centre of contaminated data? Huber's model knows where it is (Gao et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
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

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "location" not in source.truth:
            return Findings()
        real, truth = source.decode(source.data).cpu(), source.truth["location"]

        def error(estimate: Tensor) -> float:
            return float((estimate - truth).norm())

        return Findings(
            {
                "location_error": error(source.decode(draw(self.n)).cpu().mean(0)),
                "location_error_mean": error(real.mean(0)),
                "location_error_median": error(real.median(0).values),
                "location_error_floor": error(real[~source.truth["outlier"]].mean(0)),
            }
        )
