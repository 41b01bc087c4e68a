"""Where chains have been: what lets short ones go on where earlier ones ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.errors import UsageError

Memory = dict[str, Tensor]
ROWS, KEPT = "replay", "replay.kept"
"""What the memory calls the rows (capacity, *shape), and how many have ever been written (0-d)."""


@dataclass(frozen=True)
class Replay:
    """A queue: chains go on from a random row of it, and their ends replace the oldest (Du & Mordatch 2019).

    Rows in a box are kept as bytes, and read with the noise that undoes their rounding; others as they are.

    Attributes:
        capacity: rows, at least as many as a batch has.
        restart: share of chains that begin anew instead; until there are rows to go on from, all do.

    Raises:
        ValueError: a number is out of range.
    """

    capacity: int = 10_000
    restart: float = 0.05

    filled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"capacity={self.capacity} is below 1")
        if not 0 <= self.restart <= 1:
            raise ValueError(f"restart={self.restart} is not in [0, 1]")

    def setup(self, memory: Memory, fresh: Tensor, bound: float | None) -> None:
        """Make room at its full size, from beginnings (capacity, *shape)."""
        memory[ROWS] = encode(fresh, bound)
        memory[KEPT] = torch.tensor(self.capacity if self.filled else 0, device=fresh.device)

    def starts(self, memory: Memory, fresh: Tensor, bound: float | None) -> tuple[Tensor, Tensor]:
        """Where chains go on: which rows (n,), and the rows (n, *shape), of which some are `fresh` (n, *shape).

        Raises:
            UsageError: there are more than the capacity.
        """
        n, there = len(fresh), memory[KEPT].clamp(max=self.capacity)
        if n > self.capacity:
            raise UsageError(
                f"loss.replay.capacity={self.capacity} has no room for a batch of {n}",
                f"set loss.replay.capacity to {n} or more",
                id="F59",
            )
        index = self.choose(n, there)
        again = (torch.rand(n, device=fresh.device) < self.restart) | (there == 0)
        rows = decode(memory[ROWS][index], bound, fresh.dtype)
        return index, torch.where(again.view(-1, *[1] * (fresh.dim() - 1)), fresh, rows)

    def choose(self, n: int, there: Tensor) -> Tensor:
        """n numbers of rows, of the first `there` (0-d)."""
        return (torch.rand(n, device=there.device) * there).long()

    def keep(self, memory: Memory, index: Tensor, ends: Tensor, bound: float | None) -> None:
        """Write the ends (n, *shape) of chains that went on from rows `index` (n,)."""
        memory[ROWS].index_copy_(0, self.places(memory[KEPT], index), encode(ends, bound))
        memory[KEPT].add_(len(ends))

    def places(self, kept: Tensor, index: Tensor) -> Tensor:
        """Which rows (n,) to replace: the oldest."""
        return (kept + torch.arange(len(index), device=index.device)) % self.capacity


class InPlace(Replay):
    """Persistent chains: each row is one, full of beginnings at first, and its end takes its own place (PCD)."""

    filled: ClassVar[bool] = True

    def choose(self, n: int, there: Tensor) -> Tensor:
        return torch.randperm(self.capacity, device=there.device)[:n]

    def places(self, kept: Tensor, index: Tensor) -> Tensor:
        return index


def encode(x: Tensor, bound: float | None) -> Tensor:
    """Rows in [-bound, bound] as bytes (n, *shape); as they are where there is no bound."""
    return x if bound is None else ((x / bound + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def decode(rows: Tensor, bound: float | None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rows as they were before `encode`, anywhere between what rounds to the same byte."""
    if bound is None:
        return rows
    level = rows.to(dtype) + torch.rand(rows.shape, dtype=dtype, device=rows.device) - 0.5
    return (level / 127.5 - 1).clamp(-1, 1) * bound
