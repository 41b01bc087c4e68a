"""What data promises: a shape, a kind, rows by index, and the way back to pixels or prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gan_runner.datasets.coding import Coding, Typed

CPU = torch.device("cpu")

KINDS = frozenset({"image", "table", "series", "correlation"})
"""The kinds of data that there are."""


@dataclass(frozen=True)
class Spec:
    """Shape of one sample and what it is.

    Attributes:
        shape: (channels, height, width) of an image, (columns,) of a table row, (columns, time) of a series,
            (1, p, p) of a correlation matrix of p variables.
        kind: "image", "table", "series", "correlation", or "game" where there are no data.
        classes: number of labels, 0 where there are none.
        names: column names of a table or a series.
        groups: of a coded table, how many of its columns belong together, in order: 1 for a number, more for the
            one-hot code of a category; empty where all are numbers.
    """

    shape: tuple[int, ...]
    kind: str
    classes: int = 0
    names: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Source:
    """A data set in memory or memory-mapped, addressed by row.

    Attributes:
        spec: shape and kind of a row.
        data: (n, *spec.shape); uint8 pixels for images, float32 otherwise.
        name: what to call it in tables and file names.
        labels: (n,) int64, for evaluation and conditional models; never seen by an unconditional game.
        held_out: a second split that training never sees, by which looks judge.
        reported: a third split that no look in training sees, either, for `gan_runner.evaluate` alone.
        truth: what a simulator knows and data does not: mode centres, location, scatter, outlier flags.
        coding: how all but images were brought to the scale of training; None where they were not touched.
        digest: hex sha256 of the decoded rows; part of a run's fingerprint.
        notes: one-line facts about how the rows were made, for the run's manifest: crop, conversion, columns dropped.
    """

    spec: Spec
    data: Tensor
    name: str = "data"
    labels: Tensor | None = None
    held_out: Source | None = None
    reported: Source | None = None
    truth: Mapping[str, Tensor] = field(default_factory=dict)
    coding: Coding | None = None
    digest: str = ""
    notes: tuple[str, ...] = ()
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.data)

    def to(self, device: torch.device, limit: int = 4 << 30) -> Source:
        """The same source with its rows on `device`; larger than `limit` bytes they stay where they are."""
        fits = self.data.numel() * self.data.element_size() <= limit
        data = self.data.to(device) if fits else self.data
        held_out = self.held_out.to(device, limit) if self.held_out is not None else None
        return replace(self, data=data, held_out=held_out, device=device)

    def take(self, index: Tensor) -> Tensor:
        """Rows `index` (n,) as float32 (n, *shape) on the device, in the scale of training: images in [-1, 1]."""
        rows = self.data.index_select(0, index.to(self.data.device)).to(self.device)
        return rows.float().div_(127.5).sub_(1) if rows.dtype == torch.uint8 else rows

    def decode(self, x: Tensor) -> Tensor:
        """Samples (n, *shape) back in natural units: uint8 pixels for images, decoded by the coding otherwise."""
        x = x.detach()
        if self.spec.kind == "image":
            return x.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        return self.coding.decode(x) if self.coding else x

    @property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Of each decoded column of a table, the texts of its categories; none for numbers."""
        return self.coding.levels if isinstance(self.coding, Typed) else ((),) * self.spec.shape[0]

    @property
    def target(self) -> int | None:
        """Which decoded column of a table is to be predicted from the others, if any."""
        return self.coding.target if isinstance(self.coding, Typed) else None

    def frame(self, x: Tensor) -> Any:
        """Samples (n, *shape) in natural units as a DataFrame, its columns named where each number has a name.

        Those of a series are its columns, day by day: "return 1", "return 2".
        """
        if isinstance(self.coding, Typed):
            return self.coding.frame(x.detach())
        import pandas as pd

        names = list(self.spec.names)
        if len(self.spec.shape) == 2:
            names = [f"{name} {day}" for name in names for day in range(1, self.spec.shape[1] + 1)]
        rows = self.decode(x).cpu().flatten(1).numpy()
        return pd.DataFrame(rows, columns=names if len(names) == rows.shape[1] else None)


@dataclass(frozen=True)
class Stacked(Source):
    """Rows of which each joins three one-channel images, made from their numbers when they are taken.

    Attributes:
        single: the one-channel images, with their labels 0 to 9; `data` is theirs.
        triples: (n, 3) which of them are the channels of each row.
    """

    single: Source = field(kw_only=True)
    triples: Tensor = field(kw_only=True)

    def __len__(self) -> int:
        return len(self.triples)

    def take(self, index: Tensor) -> Tensor:
        """Rows `index` (n,) as float32 (n, 3, H, W) on the device, in [-1, 1]."""
        chosen = self.triples[index.to(self.triples.device)]
        return super().take(chosen.flatten()).unflatten(0, chosen.shape).squeeze(2)

    def to(self, device: torch.device, limit: int = 4 << 30) -> Source:
        moved = super().to(device, limit)
        return replace(moved, single=replace(self.single, data=moved.data, device=device))
