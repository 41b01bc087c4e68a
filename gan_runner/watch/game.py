"""Alarms about players: weights that stand still, losses that do, a discriminator too sure, no gradient left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw
from gan_runner.watch.alarm import Alarm, Row


@dataclass(frozen=True)
class Frozen(Alarm):
    """Not one weight of a player moved between two ticks, although it plays and its rate is not 0.

    `health/weights_NAME` is the Euclidean norm of a player's weights. It has no threshold: steps of any optimizer
    change its last bits, so that two equal norms would do; one tick more is for networks so small that they may meet.
    """

    patience: int = 2

    advice: ClassVar[str] = "to find out who detaches its gradient, or never steps"

    @torch.no_grad()
    def measure(self, draw: Draw, source: Source) -> dict[str, float]:
        return {f"health/weights_{name}": float(norm(p.params)) for name, p in draw.state.players.items()}

    def symptom(self, rows: Sequence[Row]) -> str:
        now, before = rows[-1], rows[-2] if len(rows) > 1 else {}
        for key in (k for k in now if k.startswith("health/weights_")):
            name = key.removeprefix("health/weights_")
            plays = any(k.startswith(f"game/{name}_") for k in now) and now.get(f"optimizer/{name}_lr")
            if plays and now[key] == before.get(key):
                return f"no weight of the {name} moves"
        return ""


@dataclass(frozen=True)
class Flat(Alarm):
    """No player's mean loss differs from that of the tick before by more than `tolerance` of its size.

    Batches are random, so that means over 50 steps of any game that is played differ by a hundredth or so, and by a
    thousandth where D = 1/2; they are equal where a discriminator is dead or scores have run into their bounds.

    Args:
        tolerance: a share; 1e-5 is a hundred roundings of fp32.
    """

    tolerance: float = 1e-5

    advice: ClassVar[str] = "a lower optimizer.lr, or another discriminator_norm: somebody's scores have stopped"

    def symptom(self, rows: Sequence[Row]) -> str:
        losses = {k: v for k, v in rows[-1].items() if k.startswith("game/") and k.endswith("_loss")}
        before = rows[-2] if len(rows) > 1 else {}
        if not losses or not losses.keys() <= before.keys():
            return ""
        moved = max(abs(v - before[k]) / max(abs(v), abs(before[k]), self.tolerance) for k, v in losses.items())
        return f"losses move by {moved:.1g} of their size, limit {self.tolerance:g}" if moved <= self.tolerance else ""


@dataclass(frozen=True)
class Saturated(Alarm):
    """The discriminator is right about all real rows and all samples but for a share of 1 - `limit`.

    Every accuracy that the game logs counts; critics, which have none, cannot saturate. Early in a healthy run of
    images that lasts for some ticks, not for ten.

    Args:
        limit: 0.999 is 3 mistakes in each of the 3,200 real rows and samples of 50 batches of 64.
    """

    patience: int = 10
    limit: float = 0.999

    advice: ClassVar[str] = "a lower optimizer.discriminator.lr, loss=r1 or loss=wgan_gp; does anything mark real rows?"

    def symptom(self, rows: Sequence[Row]) -> str:
        found = [v for k, v in rows[-1].items() if k.startswith("game/accuracy_")]
        if not found or min(found) < self.limit:
            return ""
        return f"the discriminator tells {min(found):.2%} of rows and samples apart, limit {self.limit:.1%}"


@dataclass(frozen=True)
class Vanishing(Alarm):
    """The gradient of a player that makes samples is a vanishing share of its weights.

    `health/pull_NAME` is |gradient| / |weights| at the last step of a tick.

    Args:
        limit: of it. In runs that go well it is above 0.01, and below 0.00003 where minimax has saturated.
    """

    limit: float = 1e-4

    advice: ClassVar[str] = "loss=ns in place of minimax, or a weaker discriminator"

    @torch.no_grad()
    def measure(self, draw: Draw, source: Source) -> dict[str, float]:
        made = {name for name, roles in draw.objective.players.items() if {*roles} & {*draw.objective.averaged}}
        players = {name: player for name, player in draw.state.players.items() if name in made}
        return {f"health/pull_{k}": float(p.gradient_norm() / norm(p.params)) for k, p in players.items()}

    def symptom(self, rows: Sequence[Row]) -> str:
        for key, found in rows[-1].items():
            if key.startswith("health/pull_") and found < self.limit:
                name = key.removeprefix("health/pull_")
                return f"the gradient of the {name} is {found:.1g} times its weights, limit {self.limit:g}"
        return ""


def norm(params: list[Tensor]) -> Tensor:
    """The Euclidean norm (0-d, float64) of tensors."""
    return torch.stack(torch._foreach_norm(params)).double().norm()
