"""Real rows for a comparison: always the same ones, drawn without touching any other randomness."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source

PART = 1024
"""Rows taken at once."""


def reference(source: Source) -> Source:
    """What samples are compared with: the split that training never sees, the training rows where there is none."""
    return source.held_out or source


def shuffled(source: Source) -> Tensor:
    """All row numbers (N,) in an order that depends on N alone."""
    return torch.randperm(len(source), generator=torch.Generator().manual_seed(0))


def some(source: Source, n: int) -> Tensor:
    """n rows in random order, in the scale of training; all where there are fewer."""
    return source.take(shuffled(source)[:n])


def stream(source: Source, n: int | None = None) -> Iterator[Tensor]:
    """The rows of `some`, a part at a time; all rows where n is None."""
    for index in shuffled(source)[:n].split(PART):
        yield source.take(index)


def halves(source: Source, n: int) -> tuple[Tensor, Tensor]:
    """Twice min(n, N / 2) rows, none in both: what tells real from real."""
    size = min(n, len(source) // 2)
    first, second = shuffled(source)[: 2 * size].split(size)
    return source.take(first), source.take(second)
