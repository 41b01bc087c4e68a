"""How many of the thousand modes of stacked images are there, and how evenly? (VEEGAN, Srivastava et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source, Stacked
from gan_runner.metrics import rows
from gan_runner.metrics.histogram import Judge
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class StackedModes:
    """`stacked_modes` and `stacked_kl` of samples, and as `_floor` those of as many real rows; see `census`.

    A classifier of single channels sorts them. `stacked_accuracy` is the share of the real rows, held out if there are
    such, in which it is right about all three: one that errs makes modes out of nothing.
    At 26,000 even samples the KL is (k - 1) / 2n = 0.0192. Finds nothing where the data are not stacked.

    Args:
        classifier: who sorts.
        every: steps between two calls.
        n: samples.
    """

    classifier: Judge
    every: int = 0
    n: int = 26_000

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "truth"
    _known: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if not isinstance(source, Stacked):
            return Findings()
        judge = self.classifier.judge(source.single)
        if source.digest not in self._known:
            self._known[source.digest] = self.floor(source, judge)
        found = census(sort(draw(self.n), judge), source.spec.classes)
        return Findings({f"stacked_{name}": value for name, value in found.items()} | self._known[source.digest])

    def floor(self, source: Source, judge: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """What real rows score, and how well they are known."""
        split = rows.reference(source)
        assert split.labels is not None
        labels = split.labels[rows.shuffled(split)[: self.n]].cpu()
        found = sort(rows.some(split, self.n), judge)
        floors = {f"stacked_{name}_floor": value for name, value in census(found, source.spec.classes).items()}
        return floors | {"stacked_accuracy": float((found == labels).double().mean())}


def sort(images: Tensor, judge: Callable[[Tensor], Tensor]) -> Tensor:
    """The mode 100a + 10b + c (n,) of images (n, 3, H, W) whose channels are of the classes a, b, c."""
    classes = judge(images.flatten(0, 1).unsqueeze(1)).view(-1, 3).cpu()
    return classes @ torch.tensor([100, 10, 1])


def census(modes: Tensor, of: int) -> dict[str, float]:
    """What the modes (n,) of samples say, of so many there are.

    Returns:
        modes: how many have a sample.
        kl: KL(share of each mode || even shares) in nats: log `of` if all samples are in one mode.
    """
    share = modes.bincount(minlength=of).double() / len(modes)
    return {
        "modes": float((share > 0).sum()),
        "kl": math.log(of) - float(torch.special.entr(share).sum()),
    }
