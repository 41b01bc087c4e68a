"""Does a generator favour some classes? A classifier sorts its samples, and the entropy of the counts tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.features import Pixels
from gan_runner.metrics.probe import Draw, Findings


class Judge(Protocol):
    """A recipe for a classifier."""

    def judge(self, source: Source) -> Callable[[Tensor], Tensor]:
        """Images (n, C, H, W) in the scale of training to classes (n,) int64, learnt from the training rows."""
        ...


@dataclass(frozen=True)
class SVM:
    """A support vector machine with a Gaussian kernel on pixels: right for sets of a few thousand small images.

    Args:
        size: height and width to average images to before; as they are if None.
    """

    size: int | None = None

    def judge(self, source: Source) -> Callable[[Tensor], Tensor]:
        from sklearn.svm import SVC

        assert source.labels is not None
        pixels = Pixels(self.size)(source)
        everything = source.take(torch.arange(len(source)))
        fit = SVC().fit(pixels(everything).numpy(), source.labels.cpu().numpy())
        return lambda images: torch.from_numpy(fit.predict(pixels(images).numpy()))


@dataclass(frozen=True)
class ClassHistogram:
    """`class_entropy` of samples in nats, and `class_entropy_real` of the training labels; log k for k even classes.

    Finds nothing where the data has no labels.

    Args:
        classifier: who sorts.
        every: steps between two calls.
        n: samples.
    """

    classifier: Judge
    every: int = 0
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "training"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.labels is None:
            return Findings()
        found = self.classifier.judge(source)(draw(self.n))
        return Findings({"class_entropy": entropy(found), "class_entropy_real": entropy(source.labels)})


def entropy(labels: Tensor) -> float:
    """Entropy in nats of the classes of labels (n,) int64: 0 if all are the same, log k if k are equally frequent."""
    share = labels.bincount().double() / len(labels)
    return float(torch.special.entr(share).sum())
