"""A sampler that knows no more than one number at a time: what a metric says of it, any generator should beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, cast

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Metric
from gan_runner.metrics.rivals import independent

KINDS = frozenset({"image", "table"})
"""The kinds of data of which there can be such rows: numbers that stand in no order, which all others have."""
POOL = 5000
"""Training rows whose numbers are drawn."""
CHUNK = 256
"""Rows drawn at once."""


class OnlyRows(Exception):
    """A metric asks for more than samples, of which nobody has trained a generator."""


class Independent:
    """Rows whose pixels, or columns, are drawn by themselves from training rows: all marginals and no dependence."""

    def __init__(self, source: Source):
        self.source = source

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return torch.cat([*self.stream(n)])

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        real, g = rows.some(self.source, POOL), torch.Generator().manual_seed(0)
        natural = self.source.decode(real) if self.source.coding else real
        for first in range(0, n, CHUNK):
            made = independent(natural.flatten(1).cpu(), min(CHUNK, n - first), g).unflatten(1, natural.shape[1:])
            yield (self.source.coding.encode(made) if self.source.coding else made).to(real)

    def __getattr__(self, name: str) -> NoReturn:
        raise OnlyRows(name)


def ceiling(probe: Metric, source: Source) -> dict[str, float]:
    """What a metric says of independent numbers; nothing of data that have none, or where it asks for a generator."""
    if source.spec.kind not in KINDS:
        return {}
    try:
        return probe(cast(Draw, Independent(source)), source).scalars
    except OnlyRows:
        return {}
