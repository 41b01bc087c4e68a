"""In which order the players of a game look and move: the same methods for a toy in two numbers and for a GAN.

Write z for all players' parameters, F(z) for the gradients of their losses, each for its own player, and eta for the
step: "z - eta F" stands for one step of each player's optimizer, whichever it is, and of the constraints after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gan_runner.losses.constraints import Constraint
from gan_runner.state import Logs, LossFn, Nets, Player, pull


@dataclass(frozen=True)
class Side:
    """A player, the loss it descends, and what must hold of its weights after each of its steps."""

    player: Player
    loss: LossFn
    nets: Nets
    inputs: Sequence[Tensor] = ()
    constraints: Collection[Constraint] = ()

    def look(self, create_graph: bool = False) -> tuple[Sequence[Tensor], Logs]:
        """The gradient of its loss where all players now stand."""
        return self.player.gradient(self.loss, self.nets, *self.inputs, create_graph=create_graph)

    def move(self, grads: Sequence[Tensor]) -> None:
        self.player.apply(grads)
        for constrain in self.constraints:
            constrain(self.player)


Play = Callable[[], Sequence[Side]]
"""The sides of the game where the players now stand; asked again, it makes what they share, such as samples, anew."""


class Order(Protocol):
    def __call__(self, play: Play) -> Logs:
        """One step of every player; the logs are those of the first look."""
        ...


@dataclass(frozen=True)
class Alternating:
    """Each player moves before the next one looks: x' = x - eta F_x(x, y), y' = y - eta F_y(x', y)."""

    def __call__(self, play: Play) -> Logs:
        logs: Logs = {}
        for side in play():
            grads, found = side.look()
            side.move(grads)
            logs |= found
        return logs


@dataclass(frozen=True)
class Simultaneous:
    """All players look before any moves: z' = z - eta F(z)."""

    def __call__(self, play: Play) -> Logs:
        sides = play()
        looks = [side.look() for side in sides]
        for side, (grads, _) in zip(sides, looks, strict=True):
            side.move(grads)
        return joined(looks)


@dataclass(frozen=True)
class Extragradient:
    """A trial step, and then the step that would have been right there (Korpelevich 1976; Gidel et al. 2019).

    z_ahead = z - eta F(z), z' = z - eta F(z_ahead). The optimizers' moments see both gradients: with Adam it is
    ExtraAdam (Gidel et al. 2019, Algorithm 4), on the same samples twice (Mishchenko et al. 2020, Algorithm 1).
    """

    def __call__(self, play: Play) -> Logs:
        sides = play()
        start = [[p.detach().clone() for p in side.player.params] for side in sides]
        looks = [side.look() for side in sides]
        for side, (grads, _) in zip(sides, looks, strict=True):
            side.move(grads)
        ahead = [side.look()[0] for side in play()]
        for side, grads, weights in zip(sides, ahead, start, strict=True):
            with torch.no_grad():
                torch._foreach_copy_(side.player.params, weights)
            side.move(grads)
        return joined(looks)


@dataclass(frozen=True)
class Consensus:
    """Consensus optimization: all players also descend |F|^2 / 2 (Mescheder et al. 2017, Algorithm 2).

    z' = z - eta (F(z) + gamma J(z)^T F(z)), where J is the Jacobian of F. It costs a second backward pass through the
    first ones. A penalty that cuts the graph to the samples it is taken at, as gradient penalties do, is to J as if
    these samples were data.

    Args:
        gamma: weight of the second term; 0 is `Simultaneous`.

    Raises:
        ValueError: `gamma` is negative.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise ValueError(f"gamma={self.gamma} is negative")

    def __call__(self, play: Play) -> Logs:
        sides = play()
        looks = [side.look(create_graph=True) for side in sides]
        pulls = pull([side.player for side in sides], [grads for grads, _ in looks])
        for side, (grads, _), toward in zip(sides, looks, pulls, strict=True):
            side.move([g.detach() + self.gamma * t for g, t in zip(grads, toward, strict=True)])
        return joined(looks)


def joined(looks: Sequence[tuple[Sequence[Tensor], Logs]]) -> Logs:
    return {name: value for _, logs in looks for name, value in logs.items()}
