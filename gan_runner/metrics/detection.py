"""Does a run tell outliers from the rest? Its scores beside those of the usual detectors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import outliers, rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.ranking import ranking
from gan_runner.pictures.detection import detection

Scored = dict[str, tuple[Tensor, Tensor]]
"""Name of a score -> (scores (m,), outlier (m,) bool)."""


@dataclass(frozen=True)
class Detection:
    """`auroc_X`, `average_precision_X`, `precision_X` and `f1_X` of scores X, see `ranking`; the picture `detection`.

    Scores of the run: logit, mahalanobis, and of fewer rows density and inversion. Scores without it: the distances
    from mean and median, forest (IsolationForest), and of fewer rows mcd (MinCovDet) and lof (LocalOutlierFactor). As
    many rows are flagged as there are outliers. `logit_clean` is the median logit of clean rows, whose value in theory
    is `logit_clean_expected` = log(1 - eps).

    Finds nothing where it is not known which training rows are outliers.

    Args:
        every: steps between two calls.
        n: rows, all where there are fewer.
        few: rows for the slow scores.
        inversion: steps of Adam for each row; 0 for none.

    Raises:
        ValueError: `n` or `few` is below 2, or `inversion` is negative.
    """

    every: int = 0
    n: int = 50_000
    few: int = 2000
    inversion: int = 500

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "truth"
    _known: dict[str, Scored] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n < 2 or self.few < 2:
            raise ValueError(f"n={self.n} and few={self.few} must be 2 or more")
        if self.inversion < 0:
            raise ValueError(f"inversion={self.inversion} is negative: set 0 for no inversion")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "outlier" not in source.truth:
            return Findings()
        index = rows.shuffled(source)[: self.n]
        x, outlier = source.take(index), source.truth["outlier"][index]
        if source.digest not in self._known:
            self._known[source.digest] = self.rivals(x, outlier)
        scored = self.own(draw, x, outlier) | self._known[source.digest]
        found = {
            f"{view}_{name}": value
            for name, (scores, sought) in scored.items()
            for view, value in ranking(scores, sought, int(sought.sum())).items()
        }
        expected = math.log1p(-float(source.truth["eps"]))
        if "logit" not in scored:
            return Findings(found)
        logits, made = scored["logit"][0], outliers.logit(draw, draw(self.few))
        assert made is not None
        found |= {"logit_clean": float(logits[~outlier].median()), "logit_clean_expected": expected}
        return Findings(found, {"detection": detection(logits, outlier, made, expected, scored)})

    def own(self, draw: Draw, x: Tensor, outlier: Tensor) -> Scored:
        """The run's scores."""
        fast = {"logit": outliers.logit(draw, x), "mahalanobis": outliers.mahalanobis(draw, x)}
        slow: dict[str, Tensor | None] = {"density": outliers.rarity(draw, x[: self.few])}
        if self.inversion and fast["logit"] is not None:
            slow["inversion"] = outliers.inversion(draw, x[: self.few], self.inversion)
        return paired({**fast, **slow}, outlier)

    def rivals(self, x: Tensor, outlier: Tensor) -> Scored:
        """What needs no run; these scores never change, so a run computes them once."""
        few = x[: self.few]
        slow = {"mcd": outliers.determinant(few), "lof": outliers.local(few)}
        return paired({**outliers.centres(x), "forest": outliers.forest(x), **slow}, outlier)


def paired(scores: dict[str, Tensor | None], outlier: Tensor) -> Scored:
    """Scores that there are, each beside the truth about its rows."""
    return {name: (found, outlier[: len(found)]) for name, found in scores.items() if found is not None}
