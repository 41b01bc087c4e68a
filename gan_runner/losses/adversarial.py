"""The generic game between a generator and a discriminator, in the orders in which papers let them move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_runner.losses import orders
from gan_runner.losses.constraints import Constraint
from gan_runner.losses.objective import Objective
from gan_runner.losses.payoffs import Payoff
from gan_runner.losses.penalties import Penalty, full
from gan_runner.state import Clock, Logs, LossFn, Nets, State


@dataclass(frozen=True)
class CriticWarmup:
    """`updates` critic steps in the first `first` iterations and in every `every`-th (code of Arjovsky et al. 2017)."""

    first: int = 25
    every: int = 500
    updates: int = 100

    def __post_init__(self) -> None:
        if self.first < 0 or self.every < 1 or self.updates < 1:
            raise ValueError(f"first={self.first} must be >= 0, every={self.every} and updates={self.updates} >= 1")

    def __call__(self, step: int, usual: int) -> int:
        return self.updates if step < self.first or step % self.every == 0 else usual


@dataclass(frozen=True)
class Adversarial(Objective):
    """Alternating updates with fresh noise for each (Goodfellow et al. 2014, Algorithm 1; k = n_critic).

    Attributes:
        payoff: what each side wants, given both scores.
        penalties: added to the discriminator's loss, logged under their names.
        extras: added to the generator's loss, likewise.
        constraints: applied after each discriminator step.
        n_critic: discriminator steps per iteration, each on its own batch of real data.
        warmup: (iteration, n_critic) -> discriminator steps in that iteration.

    Raises:
        ValueError: `n_critic` is below 1.
    """

    payoff: Payoff
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    extras: Mapping[str, Penalty] = field(default_factory=dict)
    constraints: Mapping[str, Constraint] = field(default_factory=dict)
    n_critic: int = 1
    warmup: CriticWarmup | None = None

    players: ClassVar = {"discriminator": ("discriminator",), "generator": ("generator",)}

    def __post_init__(self) -> None:
        if self.n_critic < 1:
            raise ValueError(f"n_critic={self.n_critic} is below 1")
        for kind in ("penalties", "extras", "constraints"):
            require_parts(kind, getattr(self, kind))

    @property
    def per_sample(self) -> bool:
        return bool(self.penalties)

    @property
    def scale(self) -> str:
        return getattr(self.payoff, "scale", "")

    @property
    def middle(self) -> float:
        return getattr(self.payoff, "middle", 0.0)

    def batches(self, clock: Clock) -> int:
        return self.warmup(clock.step, self.n_critic) if self.warmup else self.n_critic

    def prepare(self, s: State) -> int:
        return self.batches(s.clock)

    def step(self, s: State, x: Tensor, key: int) -> Logs:
        for real in x.chunk(key):
            with torch.no_grad():
                fake = self.sample(s, len(real))
            logs = self.criticise(s, real, fake)
        fake = self.sample_with_graph(s, len(real))
        return logs | self.turn(s, "generator", self.generator_loss, real, fake)

    def turn(self, s: State, name: str, loss: LossFn, real: Tensor, fake: Tensor) -> Logs:
        """One step of a player down its loss."""
        return s.players[name].descend(loss, s.nets, real, fake)

    def criticise(self, s: State, real: Tensor, fake: Tensor) -> Logs:
        """One discriminator step and what must hold after it."""
        logs = self.turn(s, "discriminator", self.discriminator_loss, real, fake)
        for constrain in self.constraints.values():
            constrain(s.players["discriminator"])
        return logs

    def sample_with_graph(self, s: State, n: int) -> Tensor:
        """Samples (n, *shape) that remember how the generator made them."""
        return self.generate(s, self.latent(s, n))

    def discriminator_loss(self, nets: Nets, real: Tensor, fake: Tensor) -> tuple[Tensor, Logs]:
        """The payoff plus penalties; logs the loss without penalties, each penalty, and both scores."""
        D = nets["discriminator"]
        score_real, score_fake = full(D(real)), full(D(fake))
        loss = self.payoff.discriminator(score_real, score_fake)
        logs = {"discriminator/loss": loss, "score/real": score_real, "score/fake": score_fake}
        for name, penalty in self.penalties.items():
            logs[f"discriminator/{name}"] = term = penalty(D, real, fake)
            loss = loss + term
        return loss, logs

    def generator_loss(self, nets: Nets, real: Tensor, fake: Tensor) -> tuple[Tensor, Logs]:
        """The payoff plus extras, on generated samples that carry their graph."""
        D = nets["discriminator"]
        score_fake = full(D(fake))
        score_real = full(D(real)) if self.payoff.paired else score_fake
        loss = self.payoff.generator(score_real, score_fake)
        logs = {"generator/loss": loss}
        for name, extra in self.extras.items():
            logs[f"generator/{name}"] = term = extra(D, real, fake)
            loss = loss + term
        return loss, logs

    def judge(self, nets: Nets, x: Tensor) -> Tensor:
        return nets["discriminator"](x)

    def summary(self, pooled: Mapping[str, Tensor]) -> dict[str, float]:
        return self.payoff.summary(pooled["score/real"].float(), pooled["score/fake"].float())


class Reusing(Adversarial):
    """The generator learns from the very samples the discriminator has just judged (the DCGAN authors' order).

    One forward pass of the generator fewer per iteration than `Adversarial`.
    """

    def step(self, s: State, x: Tensor, key: int) -> Logs:
        for real in x.chunk(key):
            fake = self.sample_with_graph(s, len(real))
            logs = self.criticise(s, real, fake.detach())
        return logs | self.turn(s, "generator", self.generator_loss, real, fake)


@dataclass(frozen=True)
class Repeating(Adversarial):
    """`n_generator` steps of the generator in each iteration, each on fresh noise (as Salimans et al. 2016 train).

    Raises:
        ValueError: `n_generator` or `n_critic` is below 1.
    """

    n_generator: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_generator < 1:
            raise ValueError(f"n_generator={self.n_generator} is below 1")

    def step(self, s: State, x: Tensor, key: int) -> Logs:
        logs, real = super().step(s, x, key), x.chunk(key)[-1]
        for _ in range(self.n_generator - 1):
            logs |= self.turn(s, "generator", self.generator_loss, real, self.sample_with_graph(s, len(real)))
        return logs


class Simultaneous(Adversarial):
    """Both players look before either moves (the code of Goodfellow et al. 2014); one forward pass of the generator.

    The discriminator judges these samples once for each player, with dropout of its own each time. Orders in which
    players look more than once see the same real rows and latents each time.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_critic != 1:
            raise ValueError(f"n_critic={self.n_critic}: players that look together know only n_critic=1")
        if self.warmup is not None:
            raise ValueError("warmup=...: players that look together have no critic steps to warm up")

    @property
    def order(self) -> orders.Order:
        return orders.Simultaneous()

    def step(self, s: State, x: Tensor, key: int) -> Logs:
        z = self.latent(s, len(x))
        return self.order(lambda: self.sides(s, x, self.generate(s, z)))

    def sides(self, s: State, real: Tensor, fake: Tensor) -> list[orders.Side]:
        """Both players where they stand; `fake` carries its graph."""
        D, G, judged = s.players["discriminator"], s.players["generator"], self.judged(fake)
        return [
            orders.Side(D, self.discriminator_loss, s.nets, (real, judged), self.constraints.values()),
            orders.Side(G, self.generator_loss, s.nets, (real, fake)),
        ]

    def judged(self, fake: Tensor) -> Tensor:
        """Samples as the discriminator's loss sees them: its gradient does not need to know how they were made."""
        return fake.detach()


class Extragradient(Simultaneous):
    """Extragradient for GANs (Gidel et al. 2019): twice the work of a simultaneous step; see `orders.Extragradient`."""

    @property
    def order(self) -> orders.Order:
        return orders.Extragradient()


@dataclass(frozen=True)
class Consensus(Simultaneous):
    """Consensus optimization for GANs (Mescheder et al. 2017); see `orders.Consensus`.

    Attributes:
        gamma: weight of the gradient of |F|^2 / 2.

    Raises:
        ValueError: `gamma` is negative, or `n_critic` is not 1.
    """

    gamma: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        orders.Consensus(self.gamma)

    @property
    def order(self) -> orders.Order:
        return orders.Consensus(self.gamma)

    def judged(self, fake: Tensor) -> Tensor:
        """With their graph: the generator has a part in the discriminator's gradient, and J says which."""
        return fake


def require_parts(kind: str, parts: Mapping[str, Any]) -> None:
    """Refuse settings of a part that no class is named for."""
    for name, part in parts.items():
        if not callable(part):
            raise ValueError(f"{kind}.{name}={part} has no _target_: name its class, or choose a loss that has it")
