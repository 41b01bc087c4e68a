"""A sampler that knows no more than one number at a time: what a metric says of it, any generator should beat."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NoReturn, cast

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Metric
from gan_runner.metrics.rivals import independent

POOL = 5000
"""Training rows whose numbers are drawn."""
CHUNK = 256
"""Rows drawn at once."""


class OnlyRows(Exception):
    """A metric asks for more than samples, of which nobody has trained a generator."""


class Independent:
    """Rows whose numbers are drawn by themselves from training rows: all marginals and no dependence.

    Pixels, columns, days, or the entries above the diagonal of a correlation matrix.
    """

    def __init__(self, source: Source):
        self.source = source

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return torch.cat([*self.stream(n)])

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        real, g = rows.some(self.source, POOL), torch.Generator().manual_seed(0)
        natural = self.source.decode(real) if self.source.coding else real
        for first in range(0, n, CHUNK):
            made = independent(natural.flatten(1).cpu(), min(CHUNK, n - first), g).unflatten(1, natural.shape[1:])
            if self.source.spec.kind == "correlation":
                made = made.triu() + made.triu(1).mT
            yield (self.source.coding.encode(made) if self.source.coding else made).to(real)

    def paths(self, n: int, days: int) -> Tensor:
        """(n, columns, days) of a series, each day's numbers those of any day."""
        pool = rows.some(self.source, POOL).transpose(0, 1).flatten(1)
        index = torch.randint(pool.shape[1], (len(pool), n * days), generator=torch.Generator().manual_seed(0))
        return pool.gather(1, index.to(pool.device)).view(-1, n, days).transpose(0, 1)

    def __getattr__(self, name: str) -> NoReturn:
        raise OnlyRows(name)


def ceiling(probe: Metric, source: Source) -> dict[str, float]:
    """What a metric says of independent numbers; nothing where it asks for a generator, or fails."""
    try:
        return probe(cast(Draw, Independent(source)), source).scalars
    except OnlyRows:
        return {}
    except Exception as error:  # what it says of samples counts all the same
        warnings.warn(f"no ceiling: {type(probe).__name__} fails on independent numbers: {error!r}", stacklevel=2)
        return {}
