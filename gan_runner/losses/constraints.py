"""What must hold of a player's weights after each of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from gan_runner.state import Player


class Constraint(Protocol):
    def __call__(self, player: Player) -> None:
        """Change the player's weights in place."""
        ...


@dataclass(frozen=True)
class Simplex:
    """Each weight vector (n,) is the nearest probability vector (Duchi et al. 2008, Figure 1)."""

    @torch.no_grad()
    def __call__(self, player: Player) -> None:
        for p in player.params:
            falling = p.sort(descending=True).values
            excess = (falling.cumsum(0) - 1) / torch.arange(1, len(p) + 1, dtype=p.dtype, device=p.device)
            last = (falling > excess).sum() - 1
            p.copy_((p - excess.gather(0, last[None])).clamp(min=0))


@dataclass(frozen=True)
class ClipWeights:
    """Every weight, bias and normalisation gain lies in [-bound, bound] (Arjovsky et al. 2017, Algorithm 1: 0.01).

    Raises:
        ValueError: `bound` is not positive.
    """

    bound: float = 0.01

    def __post_init__(self) -> None:
        if self.bound <= 0:
            raise ValueError(f"bound={self.bound} is not positive")

    @torch.no_grad()
    def __call__(self, player: Player) -> None:
        torch._foreach_clamp_min_(player.params, -self.bound)
        torch._foreach_clamp_max_(player.params, self.bound)
