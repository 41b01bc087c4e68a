"""The interface between a run and what looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from gan_runner.datasets.spec import Source


@dataclass
class Findings:
    """What a probe saw.

    Attributes:
        scalars: name to number; logged as `eval/<name>`.
        pictures: name to uint8 RGB (height, width, 3); logged as `pictures/<name>` and written as PNG.
        films: names of pictures whose whole history is to be a GIF when the run ends.
        stop: why the run is at its end, if it is; it is then completed at this step.
        sizes: of numbers found from fewer samples than the probe drew, from how many.
        rows: of numbers found from fewer real rows than there are, from how many.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    films: tuple[str, ...] = ()
    stop: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


class Draw(Protocol):
    """Samples as a probe may ask for them: always the same noise, so that pictures can be compared over time.

    Attributes:
        objective, state: the method and all it remembers, to be read by probes of that method alone.
    """

    objective: Any
    state: Any

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        """(n, *shape) in the scale of training, on the source's device; from the moving average of the weights
        unless `live`. The first k of n samples come from the noise of a call for k."""
        ...

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        """The same samples, some at a time, for those who need not hold all."""
        ...

    def latents(self, n: int) -> Tensor:
        """(n, latent): what a call for n samples makes them from."""
        ...

    def generate(self, z: Tensor) -> Tensor:
        """(n, *shape) samples of latents (n, latent), in the scale of training, from the moving average."""
        ...

    def interpolate(self, rows: int, columns: int) -> Tensor | None:
        """(rows * columns, *shape): each row walks on the sphere between two latents; None where there is no latent."""
        ...

    def paths(self, n: int, days: int) -> Tensor | None:
        """(n, columns, days): long paths; None if the generator makes windows of one length alone."""
        ...

    def judge(self, x: Tensor) -> Tensor | None:
        """Scores, higher for more real, of samples (n, *shape) by the run's discriminator in evaluation mode: (n,), or
        (n // k,) where it judges packs of k; None if nobody judges."""
        ...

    def slope(self, x: Tensor) -> Tensor | None:
        """Gradients (n, *shape) of the sum of those scores by samples (n, *shape); None if nobody judges."""
        ...

    def features(self, x: Tensor) -> Tensor | None:
        """What whoever judges sees in samples (n, *shape), their last hidden layer (n, f); None where not known."""
        ...

    def likelihood(self, x: Tensor, samples: int) -> Tensor | None:
        """log p(x) (n,) of samples (n, *shape) by the moving average, in nats, or a bound below it by so many draws a
        row; None where nobody knows it."""
        ...

    def law(self) -> dict[str, Tensor] | None:
        """The "location" (p,) and "scatter" (p, p) of samples, in the scale of training, where the generator knows its
        own; None elsewhere."""
        ...

    def reconstruct(self, x: Tensor) -> Tensor | None:
        """Samples (n, *shape) as they come back from their latents; None where the method finds none."""
        ...


class Probe(Protocol):
    """A metric or a picture. Constructed from YAML with its own settings.

    Attributes:
        every: steps between two calls, the last at the end; 0 means at the end only, -1 before the first step only.
        kinds: the kinds of data it understands.
    """

    every: int
    kinds: frozenset[str]

    def __call__(self, draw: Draw, source: Source) -> Findings: ...


@runtime_checkable
class Metric(Probe, Protocol):
    """A probe that finds numbers about samples: what `python -m gan_runner.evaluate` asks.

    Attributes:
        against: which rows it compares samples with: "unseen", those held out, or training rows where there are none;
            "training"; "both"; or "truth", what a simulator knows. Whatever it says, figures called unseen_NAME and
            NAME_held_out are about those held out, NAME_train about training rows.
    """

    against: str
