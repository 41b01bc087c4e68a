"""Are generated rows as good to learn from as real ones? Train on synthetic, test on real (Esteban et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.rivals import Comparison


@dataclass(frozen=True)
class Utility(Comparison):
    """The accuracy on held-out rows of classifiers that learnt the label from samples; see `Comparison`.

    `tstr_accuracy` is the mean of `tstr_forest`, a random forest, and `tstr_logistic`, logistic regression, that learnt
    from `n` samples, for these are free; `tstr_equal` is the mean of those that learnt from no more samples than there
    are training rows. The floor of each is what the same classifiers reach that learnt from the training rows, at
    most `n` of them. Finds nothing without a label.
    """

    n: int = 2000

    def amount(self, real: Tensor) -> int:
        return self.n

    def missing(self, source: Source) -> str:
        return super().missing(source) or ("" if source.target is not None else "dataset.label")

    def score(self, made: Tensor, source: Source) -> dict[str, float]:
        assert source.held_out is not None and source.target is not None
        real = source.held_out.decode(source.held_out.take(torch.arange(len(source.held_out)))).cpu()
        equal = tstr(made[: len(source)], real, source.levels, source.target)["tstr_accuracy"]
        return tstr(made, real, source.levels, source.target) | {"tstr_equal": equal}


def tstr(made: Tensor, real: Tensor, levels: Sequence[Sequence[str]], label: int) -> dict[str, float]:
    """Accuracies on real rows (m, p) of classifiers that learnt from made ones (n, p); both in natural units.

    Args:
        levels: texts of the categories of each column, none for numbers.
        label: the column that they predict from the others.
    """
    found = {}
    for name, model in classifiers().items():
        x, y = features(made, levels, label)
        learnt = model.fit(x, y) if len(set(y)) > 1 else Always(y[0])
        x, y = features(real, levels, label)
        found[f"tstr_{name}"] = float(np.mean(learnt.predict(x) == y))
    return {"tstr_accuracy": sum(found.values()) / len(found), **found}


def classifiers() -> dict[str, Any]:
    """Fresh ones, always the same."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "forest": RandomForestClassifier(100, random_state=0),
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    }


@dataclass(frozen=True)
class Always:
    """A classifier that has seen one class only."""

    label: int

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), self.label)


def features(x: Tensor, levels: Sequence[Sequence[str]], label: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, f) and labels (n,) of rows (n, p): numbers, whether they are missing, and one-hot categories.

    A gap counts as 0; the column beside it tells.
    """
    columns = []
    for j, texts in enumerate(levels):
        if j == label:
            continue
        v = x[:, j]
        columns += [v == k for k in range(len(texts))] if texts else [v.nan_to_num(), v.isnan()]
    return torch.stack([c.double() for c in columns], 1).numpy(), x[:, label].long().numpy()
