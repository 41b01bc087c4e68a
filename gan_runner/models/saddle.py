"""The players of a saddle-point game: each is a handful of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_runner.models import roles


class Point(nn.Module):
    """Numbers that a player moves: (n,), called without arguments.

    Args:
        start: where they begin, n numbers; with it goes how many there are.
        spread: standard deviation of a random part, by the run's seed.

    Raises:
        ValueError: `start` is empty, or `spread` is negative.
    """

    def __init__(self, spec: roles.Spec, start: Sequence[float] = (1.0,), spread: float = 0.1):
        super().__init__()
        if not start:
            raise ValueError("start=[] is empty: give a number for each coordinate")
        if not spread >= 0:
            raise ValueError(f"spread={spread} is negative")
        self.point = nn.Parameter(torch.tensor([float(v) for v in start]) + spread * torch.randn(len(start)))

    def forward(self) -> Tensor:
        return self.point
