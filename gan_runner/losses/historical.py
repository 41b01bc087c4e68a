"""Historical averaging: players are drawn to the mean of their past (Salimans et al. 2016, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_runner.losses.adversarial import Adversarial
from gan_runner.state import Logs, LossFn, Nets, State


@dataclass(frozen=True)
class Historical(Adversarial):
    """Each player's loss gains weight * |theta - (1/t) sum_{i=1..t} theta_i|^2, as fictitious play would have it.

    theta_i are the weights with which the player began its i-th step, the present one included; the memory holds their
    running mean and t.

    Attributes:
        weight: of the term, for both players. The paper has none, which is 1: against Adam's small steps on the toys
            that holds the weights where they began.

    Raises:
        ValueError: `weight` is negative.
    """

    weight: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight < 0:
            raise ValueError(f"weight={self.weight} must not be negative")

    def setup(self, s: State, rows: int) -> None:
        super().setup(s, rows)
        for name, player in s.players.items():
            s.memory[f"{name}.steps"] = player.params[0].new_zeros(())
            s.memory |= {f"{name}.mean.{i}": torch.zeros_like(p) for i, p in enumerate(player.params)}

    def turn(self, s: State, name: str, loss: LossFn, real: Tensor, fake: Tensor) -> Logs:
        params = s.players[name].params
        steps, mean = s.memory[f"{name}.steps"], [s.memory[f"{name}.mean.{i}"] for i in range(len(params))]
        with torch.no_grad():
            steps += 1
            for average, p in zip(mean, params, strict=True):
                average.lerp_(p, 1 / steps)

        def anchored(nets: Nets, *inputs: Tensor) -> tuple[Tensor, Logs]:
            value, logs = loss(nets, *inputs)
            drift = torch.stack([(p - m).square().sum() for p, m in zip(params, mean, strict=True)]).sum()
            return value + self.weight * drift, logs | {f"{name}/history": self.weight * drift}

        return super().turn(s, name, anchored, real, fake)
