"""Does a generator favour some classes, and are they clear? What a classifier says of its samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.features import Pixels, Space
from gan_runner.metrics.probe import Draw, Findings

CLEAR = 0.9
"""Share of real rows that are recognised, by definition."""


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
    """`class_entropy` of samples, and `class_kl` and `class_js` from the training labels, in nats; see `entropy`,
    `divergence` and `jensen_shannon`.

    `class_entropy_real` is that of the training labels: log k for k even classes. `class_kl_floor` and `class_js_floor`
    are what as many real rows score, sorted by the same classifier: held out, or training rows where none are. Finds
    nothing without labels.

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
    _known: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.labels is None:
            return Findings()
        judge = self.classifier.judge(source)
        if source.digest not in self._known:
            floor = apart(judge(rows.some(rows.reference(source), self.n)), source.labels)
            floors = {f"{name}_floor": value for name, value in floor.items()}
            self._known[source.digest] = {"class_entropy_real": entropy(source.labels)} | floors
        found = judge(draw(self.n))
        found = {"class_entropy": entropy(found)} | apart(found, source.labels)
        return Findings(found | self._known[source.digest])


class Scorer(Protocol):
    """A recipe for a classifier that says how sure it is."""

    def logits(self, source: Source) -> Space:
        """Images (n, C, H, W) in the scale of training, or a stream of them, to logits (n, classes)."""
        ...


@dataclass(frozen=True)
class ClassifierScore:
    """`classifier_score` of samples, from 1 to the number of classes, and `classifier_score_floor` of real rows.

    The formula of the Inception score on the probabilities of a classifier of these very data: comparable neither with
    Inception scores nor with those of other classifiers; see `classifier_score`. `recognised` is the share of samples
    whose class it is as sure of as of nine in ten real rows. Finds nothing without labels.

    Args:
        classifier: who is asked.
        every: steps between two calls.
        n: samples, and real rows.
        splits: parts whose scores are averaged; the paper's 50,000 samples are in ten.
    """

    classifier: Scorer
    every: int = 0
    n: int = 5000
    splits: int = 1

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "unseen"
    _known: dict[str, tuple[float, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.labels is None:
            return Findings()
        space = self.classifier.logits(source)
        if source.digest not in self._known:
            real = space(rows.stream(rows.reference(source), self.n))
            line = float(certainty(real).quantile(1 - CLEAR))
            self._known[source.digest] = classifier_score(real, self.splits), line
        floor, line = self._known[source.digest]
        fake = space(draw.stream(self.n))
        found = {"classifier_score": classifier_score(fake, self.splits), "classifier_score_floor": floor}
        found["recognised"] = float((certainty(fake) >= line).double().mean())
        return Findings({**found, **space.facts})


def classifier_score(logits: Tensor, splits: int = 1) -> float:
    """exp(E_x KL(p(y | x) || p(y))) (Salimans et al. 2016), p(y) the mean of p(y | x): mean over splits in given order.

    1 where all samples are alike to the classifier, k where it is sure of each and all k classes are as frequent.

    Args:
        logits: (n, k), n at least `splits`.
    """
    log_p = logits.double().log_softmax(1)
    scores = []
    for part in log_p.tensor_split(splits):
        marginal = part.exp().mean(0)
        scores.append(((part.exp() * part).sum(1).mean() + torch.special.entr(marginal).sum()).exp())
    return float(torch.stack(scores).mean())


def certainty(logits: Tensor) -> Tensor:
    """The largest probability (n,) of logits (n, k)."""
    return logits.double().softmax(1).max(1).values


def apart(labels: Tensor, real: Tensor) -> dict[str, float]:
    """Both divergences of labels (n,) int64 from real ones (m,)."""
    return {"class_kl": divergence(labels, real), "class_js": jensen_shannon(labels, real)}


def divergence(labels: Tensor, real: Tensor) -> float:
    """KL(p || q) in nats of the class shares p of labels (n,) int64 from those q of real ones (m,).

    (k - 1) / 2n on average where labels are n draws from k classes of shares q; infinite where q lacks a class of p.
    """
    return kl(*shares(labels, real))


def jensen_shannon(labels: Tensor, real: Tensor) -> float:
    """The mean of the KL of both shares from their mean: symmetric, at most log 2, and finite whatever is missing."""
    p, q = shares(labels, real)
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def shares(*labels: Tensor) -> list[Tensor]:
    """Class shares (k,) of each set of labels, over the classes of all."""
    classes = int(max(x.max() for x in labels)) + 1
    return [x.cpu().bincount(minlength=classes).double() / len(x) for x in labels]


def kl(p: Tensor, q: Tensor) -> float:
    """KL(p || q) of shares (k,)."""
    return float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())


def entropy(labels: Tensor) -> float:
    """Entropy in nats of the classes of labels (n,) int64: 0 if all are the same, log k if k are equally frequent."""
    share = labels.bincount().double() / len(labels)
    return float(torch.special.entr(share).sum())
