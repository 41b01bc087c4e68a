"""What AdaGAN's next component was to see: real points coloured by their weights, beside samples of the mixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, REAL, around, label, panels, render


@dataclass(frozen=True)
class Rounds:
    """`round_1`, `round_2`, ...: what round t was given and what the mixture makes of it, the latest look at each.

    Finds nothing where a method has no weights, or points are not in the plane.

    Args:
        every: steps between two calls.
        n: points of each kind.
    """

    every: int = 1000
    n: int = 2000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        memory = draw.state.memory
        if source.spec.shape != (2,) or not {"weights", "stage"} <= memory.keys():
            return Findings()
        t = int(memory["stage"]) // 2 + 1
        index = rows.shuffled(source)[: self.n]
        real, fake = (source.decode(x).cpu() for x in (source.take(index), draw(self.n)))
        weights = memory["weights"][index] * len(source)
        return Findings(pictures={f"round_{t}": weighted(real, weights, fake, t, source.spec.names)})


def weighted(real: Tensor, weights: Tensor, fake: Tensor, t: int, names: tuple[str, ...]) -> Tensor:
    """The picture, both panels framed by the real points.

    Args:
        real, fake: (n, 2).
        weights: (n,) of `real`, 1 where they are uniform.
        t: the round.
        names: of the two axes.
    """
    figure, (left, right) = panels(1, 2, 400, 400)
    low, high = around(real)
    order = weights.argsort()  # the heaviest on top
    left.scatter(*real[order].T.numpy(), s=5, c=weights[order].numpy(), cmap="viridis", vmin=0, linewidths=0)
    label(left, f"real points by weight in round {t}, 0 to {float(weights.max()):.1f} times the mean", *names)
    right.plot(*real.T.numpy(), ".", color=REAL, markersize=4, alpha=0.3, markeredgewidth=0)
    right.plot(*fake.T.numpy(), ".", color=FAKE, markersize=4, alpha=0.6, markeredgewidth=0)
    label(right, f"samples of {t} generator{'s' if t > 1 else ''}", *names)
    for ax in (left, right):
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return render(figure)
