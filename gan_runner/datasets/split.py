"""Rows kept aside: what a run is judged by must never have been seen in training."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.errors import DataError, UsageError

PER_ROW = frozenset({"outlier", "blocks"})
"""What a simulator knows of each row; the rest of its truth is about all of them."""


def split(source: Source, share: float, aside: str = "test") -> Source:
    """The source with a share of its rows moved to `held_out`; one that holds rows back already stays as it is.

    Which rows depends on their number and the share alone. Those of a series are the last ones, since neighbours in
    time resemble each other, and the windows that overlap them are left out. The rows are copied. A coding has been
    fitted to all of them: data sets that have a `held_out` of their own do better.

    Args:
        share: in (0, 1).
        aside: the name of the rows moved, part of their digest.

    Raises:
        DataError: no row would be left on one side.
    """
    n = len(source)
    if source.held_out is not None:
        return source
    kept = n - round(n * share)
    if not 0 < kept < n:
        what = f"train.held_out={share} divides the {n} rows of dataset {source.name} into {kept} and {n - kept}"
        raise DataError(what, "choose a share that leaves rows on both sides", id="F51")
    order = torch.arange(n) if source.spec.kind == "series" else torch.randperm(n, generator=seeded())
    if source.spec.kind == "series":
        order = torch.cat([order[: max(kept - overlap(source.data), 0)], order[kept:]])
        kept = len(order) - (n - kept)
    if not kept:
        raise DataError(f"train.held_out={share}: all windows overlap those held out", "set dataset.held_out", id="F51")
    seen, unseen = order[:kept].sort().values, order[kept:].sort().values
    note = f"{n - kept} of {n} rows held out"
    return replace(part(source, seen, "train"), held_out=part(source, unseen, aside), notes=(*source.notes, note))


def select(source: Source, share: float) -> Source:
    """The source with a share of its training rows as its `held_out`, and what was held out before as `reported`.

    So that whoever chooses by what looks find, as the best checkpoint is chosen, does not choose by what is reported.

    Raises:
        UsageError: nothing is held out, so that nothing would be left to report.
        DataError: no row would be left on one side.
    """
    if source.held_out is None:
        what = f"train.selection={share} leaves dataset {source.name} no rows to report, since it holds none out"
        raise UsageError(what, "set train.held_out=0.1 as well", id="F59")
    return replace(split(replace(source, held_out=None), share, "selection"), reported=source.held_out)


def overlap(windows: Tensor) -> int:
    """How many windows (n, columns, time) before one of them share days with it."""
    shifts = range(1, windows.shape[2] if len(windows) > 1 else 1)
    found = (shift for shift in shifts if torch.equal(windows[1:, :, :-shift], windows[:-1, :, shift:]))
    stride = next(found, windows.shape[2])
    return -(-windows.shape[2] // stride) - 1


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def part(source: Source, index: Tensor, name: str) -> Source:
    """The rows `index` with their labels and whatever else is known of each row."""
    return replace(
        source,
        data=source.data.index_select(0, index),
        labels=None if source.labels is None else source.labels[index],
        truth={k: v[index] if k in PER_ROW else v for k, v in source.truth.items()},
        digest=hashlib.sha256(f"{source.digest} {name} {len(index)}".encode()).hexdigest(),
    )
