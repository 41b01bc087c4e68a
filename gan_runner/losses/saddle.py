"""Saddle-point games: what every method for GANs does where its rate of convergence is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.errors import UsageError
from gan_runner.losses.games import Game
from gan_runner.losses.objective import Objective
from gan_runner.losses.orders import Order, Side
from gan_runner.state import Logs, Nets, State


@dataclass(frozen=True)
class Saddle(Objective):
    """A game of x against y by one method; data only keep its time.

    Its samples are copies of (x, y). The state remembers the way: `path` (keep, m + n), where row t % keep holds what
    was played after t steps, and `mean` (m + n,), the plain average of all plays after the first.

    Attributes:
        game: what each player descends.
        method: in which order they look and move; x before y.
        keep: how many of the last plays to remember.

    Raises:
        ValueError: `keep` is below 2.
    """

    game: Game
    method: Order
    keep: int = 2000

    players: ClassVar = {"x": ("x",), "y": ("y",)}
    averaged: ClassVar = ("x", "y")

    def __post_init__(self) -> None:
        if self.keep < 2:
            raise ValueError(f"keep={self.keep} is below 2: there is no way to see")

    def setup(self, s: State, rows: int) -> None:
        for role, size in zip(("x", "y"), self.game.sizes, strict=True):
            found = s.nets[role]().numel()
            if found != size:
                raise UsageError(
                    f"model.{role} has {found} numbers, this game needs {size}",
                    f"set model.{role}.start to a list of {size} numbers",
                    id="F59",
                )
        for player in s.players.values():
            for constrain in self.game.constraints:
                constrain(player)
        start = self.played(s.nets)
        s.memory["path"] = start.repeat(self.keep, 1)
        s.memory["mean"] = start.clone()
        s.memory["row"] = torch.zeros(1, dtype=torch.int64, device=start.device)
        s.memory["weight"] = torch.ones_like(start[0])

    def prepare(self, s: State) -> None:
        s.memory["row"].fill_((s.clock.step + 1) % self.keep)
        s.memory["weight"].fill_(1 / (s.clock.step + 1))

    def step(self, s: State, x: Tensor, key: None) -> Logs:
        logs = self.method(lambda: self.sides(s))
        now, mean = self.played(s.nets), s.memory["mean"]
        s.memory["path"].index_copy_(0, s.memory["row"], now[None])
        mean.add_(s.memory["weight"] * (now - mean))
        return logs

    def sides(self, s: State) -> list[Side]:
        return [
            Side(player, partial(self.loss, i, name), s.nets, constraints=self.game.constraints)
            for i, (name, player) in enumerate(s.players.items())
        ]

    def loss(self, i: int, name: str, nets: Nets) -> tuple[Tensor, Logs]:
        value = self.game.losses(nets["x"](), nets["y"]())[i]
        return value, {f"{name}/loss": value}

    @torch.no_grad()
    def played(self, nets: Nets) -> Tensor:
        """(m + n,): what x and y play, one after the other."""
        return torch.cat(self.game.plays(nets["x"](), nets["y"]()))

    def latent(self, s: State, n: int) -> Tensor:
        """(n, 1): nothing is random here."""
        return torch.ones(n, 1, device=s.nets["x"]().device)

    def generate(self, s: State, z: Tensor) -> Tensor:
        return self.played(s.nets).expand(len(z), -1)
