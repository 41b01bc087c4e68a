"""What every training method is: a frozen recipe that directs the players one step at a time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.state import Clock, Logs, Nets, State


class Generator(Protocol):
    """What the role "generator" promises beyond being a module."""

    def noise(self, n: int) -> Tensor:
        """(n, latent) draws from its prior."""
        ...

    def __call__(self, z: Tensor) -> Tensor: ...


@runtime_checkable
class Beginner(Protocol):
    """A network whose first values come from data.

    Attributes:
        begun: the names of the parameters that `begin` sets; they are not drawn at random.
    """

    begun: tuple[str, ...]

    def begin(self, rows: Tensor) -> None:
        """Look at real rows (n, *shape), once, before training; a checkpoint overwrites what is found here."""
        ...


class Objective:
    """A method with its rules of play. Frozen: all that changes lives in the State.

    Attributes:
        players: who moves which roles, and so which networks a model must offer.
        averaged: the roles that make samples and are sampled through their moving average.
        slow: whether samples are the ends of chains, so that a look at some costs as much as many steps.
    """

    players: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    slow: ClassVar[bool] = False

    @property
    def per_sample(self) -> bool:
        """Whether the discriminator must judge each sample by itself, as a gradient penalty supposes."""
        return False

    @property
    def scale(self) -> str:
        """What scores are where data and samples are judged: "logit", "distance", or "" for anything else."""
        return ""

    @property
    def middle(self) -> float:
        """The score of a sample that is as likely under the data as under the generator, where scores are logits."""
        return 0.0

    def batches(self, clock: Clock) -> int:
        """How many batches of real data the step at this time consumes."""
        return 1

    def setup(self, s: State, rows: int) -> None:
        """Make the memory the method needs, once, at its full size."""

    def weigh(self, s: State, source: Source) -> Tensor | None:
        """On the host, before `prepare`: how likely the step is to draw each real row (rows,), after a look at them.

        None, as nearly always, gives every row once an epoch.
        """
        return None

    def prepare(self, s: State) -> Hashable:
        """On the host, before each step: write schedules into tensors; return what selects the program."""
        return None

    def step(self, s: State, x: Tensor, key: Hashable) -> Logs:
        """One iteration on real rows `x` (batch * batches, *shape): device work that cannot see the clock."""
        raise NotImplementedError

    def judge(self, nets: Nets, x: Tensor) -> Tensor | None:
        """Scores (n,) of samples (n, *shape), higher for more real, by whoever judges here; None if nobody does."""
        return None

    def features(self, nets: Nets, x: Tensor) -> Tensor | None:
        """What whoever judges samples (n, *shape) sees in them, (n, f); None where that is not known."""
        return None

    def reconstruct(self, s: State, x: Tensor) -> Tensor | None:
        """Samples (n, *shape) made anew from the latents found for them; None if nobody finds latents here."""
        return None

    def likelihood(self, s: State, x: Tensor, samples: int) -> Tensor | None:
        """log p(x) (n,) of samples (n, *shape) in nats, or a bound below it; None where nobody knows it.

        Args:
            samples: how many draws an estimate may take for each row; of no concern where it is exact.
        """
        return None

    def energy(self, s: State, x: Tensor) -> Tensor | None:
        """Energies (n,), lower for more likely samples (n, *shape), where samples are ends of chains; None elsewhere.

        Nothing in it is random: it is what such a model is, as `generate` is what others are.
        """
        return None

    def summary(self, pooled: Mapping[str, Tensor]) -> dict[str, float]:
        """What the pooled logs of an interval mean: "quantity" to number, computed at ticks only."""
        return {}

    def latent(self, s: State, n: int) -> Tensor:
        """(n, latent) draws from the prior of the generator."""
        return cast(Generator, s.nets["generator"]).noise(n)

    def generate(self, s: State, z: Tensor) -> Tensor:
        """(n, *shape) samples from latents (n, latent)."""
        return s.nets["generator"](z)

    def law(self, s: State) -> dict[str, Tensor] | None:
        """The "location" (p,) and "scatter" (p, p) of table rows, by a generator that knows its own; None otherwise."""
        describe = getattr(s.nets["generator"], "law", None) if "generator" in self.averaged else None
        return describe() if describe else None

    @torch.no_grad()
    def sample(self, s: State, n: int) -> Tensor:
        """(n, *shape) samples in the scale of training."""
        return self.generate(s, self.latent(s, n))


@dataclass(frozen=True)
class Around(Objective):
    """A game under further rules: whatever these do not change is the game's own.

    Attributes:
        game: what is played.
    """

    game: Objective

    @property
    def players(self) -> Mapping[str, tuple[str, ...]]:  # type: ignore[override]
        return self.game.players

    @property
    def averaged(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.game.averaged

    @property
    def slow(self) -> bool:  # type: ignore[override]
        return self.game.slow

    @property
    def per_sample(self) -> bool:
        return self.game.per_sample

    @property
    def scale(self) -> str:
        return self.game.scale

    @property
    def middle(self) -> float:
        return self.game.middle

    def batches(self, clock: Clock) -> int:
        return self.game.batches(clock)

    def setup(self, s: State, rows: int) -> None:
        self.game.setup(s, rows)

    def prepare(self, s: State) -> Hashable:
        return self.game.prepare(s)

    def step(self, s: State, x: Tensor, key: Any) -> Logs:
        return self.game.step(s, x, key)

    def weigh(self, s: State, source: Source) -> Tensor | None:
        return self.game.weigh(s, source)

    def judge(self, nets: Nets, x: Tensor) -> Tensor | None:
        return self.game.judge(nets, x)

    def features(self, nets: Nets, x: Tensor) -> Tensor | None:
        return self.game.features(nets, x)

    def reconstruct(self, s: State, x: Tensor) -> Tensor | None:
        return self.game.reconstruct(s, x)

    def likelihood(self, s: State, x: Tensor, samples: int) -> Tensor | None:
        return self.game.likelihood(s, x, samples)

    def energy(self, s: State, x: Tensor) -> Tensor | None:
        return self.game.energy(s, x)

    def law(self, s: State) -> dict[str, Tensor] | None:
        return self.game.law(s)

    def summary(self, pooled: Mapping[str, Tensor]) -> dict[str, float]:
        return self.game.summary(pooled)

    def latent(self, s: State, n: int) -> Tensor:
        return self.game.latent(s, n)

    def generate(self, s: State, z: Tensor) -> Tensor:
        return self.game.generate(s, z)
