"""The columns of a table on the scale of training: numbers as normal scores, categories one-hot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.files import nearest
from gan_runner.datasets.sheet import GAPS, Sheet, by_name

KNOTS = 101
"""Quantiles that a column of numbers keeps at most."""
INTEGER, DECIMAL = re.compile(r"-?(0|[1-9]\d*)"), re.compile(r"-?(0|[1-9]\d*)\.\d+(e[-+]?\d+)?", re.IGNORECASE)
"""Levels that are numbers and not codes such as 007."""


class Column(Protocol):
    """One column: cells of a file, values in natural units, and numbers of the coding.

    Attributes:
        name: in the file.
        levels: the texts of a category; empty for numbers.
        groups: sizes of its groups in the coding: 1 for a number, the number of levels for a one-hot code.
    """

    @property
    def name(self) -> str: ...
    @property
    def levels(self) -> Sequence[str]: ...
    @property
    def groups(self) -> tuple[int, ...]: ...
    def read(self, sheet: Sheet, j: int) -> np.ndarray:
        """Values (rows,) of the sheet's column j: numbers, or which level."""
        ...

    def fitted(self, values: Tensor) -> Column:
        """The same column, its scale that of training values (n,)."""
        ...

    def encode(self, values: Tensor) -> Tensor:
        """Values (n,) as (n, sum of groups)."""
        ...

    def decode(self, x: Tensor) -> Tensor:
        """Samples (n, sum of groups) as values (n,)."""
        ...

    def series(self, values: Tensor) -> Any:
        """Values (n,) as pandas would have read them."""
        ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Number:
    """A column of numbers: its quantiles become those of the standard Gaussian, with straight lines in between.

    Values beyond the training range are encoded along a straight line too, but decoded values stay inside. A value that
    takes more than its share of the rows is encoded in the middle of the scores it takes, all of which decode to it.
    Kept in fp32, values come back exactly where the range is up to about a million times the last digit.
    Normal scores bring skewed columns, long tails and outliers to one scale, and what is decoded has the quantiles of
    the data wherever the scores are Gaussian; unlike the mixture per column of CTGAN (Xu et al. 2019, section 4.2) they
    need no fit that can fail and no further columns.

    Args:
        decimals: digits after the point; with 0 the values are integers.
        knots: quantiles of the training values at equally spaced shares from 0 to 1.
    """

    name: str
    decimals: int
    knots: Sequence[float] = ()

    levels = ()
    groups = (1,)

    def read(self, sheet: Sheet, j: int) -> np.ndarray:
        values = sheet.numbers(j)
        for row in np.flatnonzero(~np.isfinite(values))[:1]:
            gap = np.isnan(values[row])
            what = "a gap where training data had none" if gap else "not finite"
            raise sheet.fault(f"'{sheet.columns[j][row]}' is {what}", row, j, id="F12" if gap else "F54")
        return values

    def fitted(self, values: Tensor) -> Number:
        shares = np.linspace(0, 1, min(len(values), KNOTS))
        return replace(self, knots=np.quantile(values.double().numpy(), shares).tolist())

    def line(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """`points`, where a tensor is."""
        q, z = self.points
        return q.to(like.device), z.to(like.device)

    @cached_property
    def points(self) -> tuple[Tensor, Tensor]:
        """Values and their scores (k + 2,), ascending: the knots, and a point at their distance on either side."""
        q = torch.tensor(self.knots, dtype=torch.float64)
        z = torch.special.ndtri((torch.arange(len(q)).double() + 0.5) / len(q))
        far, wide = q[-1] - q[0], 2 * z[-1] + 1
        far = far.where(far > 0, 1.0)
        return torch.cat([q[:1] - far, q, q[-1:] + far]), torch.cat([z[:1] - wide, z, z[-1:] + wide])

    def encode(self, values: Tensor) -> Tensor:
        q, z = self.line(values)
        v = values.double()
        right = below(q, v).clamp(1, len(q) - 1)
        between = z[right - 1] + (v - q[right - 1]) * (z[right] - z[right - 1]) / (q[right] - q[right - 1])
        last = (len(q) - below(-q, -v)).clamp(min=1) - 1
        return torch.where(q[right] == v, (z[right] + z[last]) / 2, between).unsqueeze(1)

    def decode(self, x: Tensor) -> Tensor:
        q, z = self.line(x)
        s = x.double().squeeze(1)
        right = below(z, s).clamp(1, len(z) - 1)
        v = q[right - 1] + (s - z[right - 1]) * (q[right] - q[right - 1]) / (z[right] - z[right - 1])
        return v.clamp(q[1], q[-2]).round(decimals=self.decimals) + 0.0  # and not -0.0

    def series(self, values: Tensor) -> Any:
        import pandas as pd

        whole = self.decimals == 0
        kind = ("Int64" if values.isnan().any() else "int64") if whole else "float64"
        return pd.Series(values.numpy(), name=self.name).astype(kind)

    def describe(self) -> dict[str, Any]:
        return {
            "_target_": f"{__name__}.Number",
            "name": self.name,
            "decimals": self.decimals,
            "knots": [*self.knots],
        }


@dataclass(frozen=True)
class Category:
    """A column of categories: one-hot over all levels; decoded to the largest. One level alone needs no code.

    Args:
        levels: the texts, in order; "" stands for a gap.
    """

    name: str
    levels: Sequence[str]

    @property
    def groups(self) -> tuple[int, ...]:
        return (len(self.levels),) if len(self.levels) > 1 else ()

    def read(self, sheet: Sheet, j: int) -> np.ndarray:
        number = {key(level): i for i, level in enumerate(self.levels)}
        for row, cell in enumerate(sheet.columns[j]):
            found = canonical(sheet, cell)
            if key(found) not in number:
                what = f"'{cell}' is none of the {len(self.levels)} categories"
                raise sheet.fault(what, row, j, id="F54", fix=nearest(found, filter(None, self.levels)))
        return np.array([number[key(canonical(sheet, cell))] for cell in sheet.columns[j]], dtype=np.float64)

    def fitted(self, values: Tensor) -> Category:
        return self

    def encode(self, values: Tensor) -> Tensor:
        return F.one_hot(values.long(), len(self.levels))[:, : sum(self.groups)].double()

    def decode(self, x: Tensor) -> Tensor:
        return (x.argmax(1) if self.groups else x.new_zeros(len(x))).double()

    def series(self, values: Tensor) -> Any:
        import pandas as pd

        levels = typed(self.levels)
        return pd.Series(levels.take(values.long().numpy()), name=self.name)

    def describe(self) -> dict[str, Any]:
        return {"_target_": f"{__name__}.Category", "name": self.name, "levels": [*self.levels]}


@dataclass(frozen=True)
class Gappy:
    """A column of numbers with gaps: a category that says whether there is one, and the number, 0 where there is none.

    Args:
        number: what the column is where it is known.
    """

    number: Number

    levels = ()
    groups = (2, 1)

    @property
    def name(self) -> str:
        return self.number.name

    def read(self, sheet: Sheet, j: int) -> np.ndarray:
        values = sheet.numbers(j)
        for row in np.flatnonzero(np.isinf(values))[:1]:
            raise sheet.fault(f"'{sheet.columns[j][row]}' is not finite", row, j, id="F54")
        return values

    def fitted(self, values: Tensor) -> Gappy:
        known = values[~values.isnan()]
        return Gappy(self.number.fitted(known if len(known) else values.new_zeros(1)))

    def encode(self, values: Tensor) -> Tensor:
        gap = values.isnan()
        score = self.number.encode(values.nan_to_num()).masked_fill(gap.unsqueeze(1), 0)
        return torch.cat([F.one_hot(gap.long(), 2).double(), score], 1)

    def decode(self, x: Tensor) -> Tensor:
        return self.number.decode(x[:, 2:]).masked_fill(x[:, 1] > x[:, 0], torch.nan)

    def series(self, values: Tensor) -> Any:
        return self.number.series(values)

    def describe(self) -> dict[str, Any]:
        return {"_target_": f"{__name__}.Gappy", "number": self.number.describe()}


@dataclass(frozen=True)
class Columns:
    """The coding of a whole table: its columns side by side.

    Natural units are (n, columns) float64: a number itself, NaN for a gap, and of a category which level it is.

    Args:
        columns: in the order of the file.
        label: name of the category that stands for what is to be predicted, if any.
    """

    columns: Sequence[Column]
    label: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def groups(self) -> tuple[int, ...]:
        """Sizes of all groups of the coding, in order."""
        return tuple(size for column in self.columns for size in column.groups)

    @property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """The texts of each column's categories; none for numbers."""
        return tuple(tuple(column.levels) for column in self.columns)

    @property
    def target(self) -> int | None:
        """Which column is the label."""
        return self.names.index(self.label) if self.label else None

    def read(self, sheet: Sheet) -> Tensor:
        """The values (n, columns) of a sheet that has at least these columns.

        Raises:
            DataError: a column is missing, a cell is no number or an unknown category; the message names the line.
        """
        found = by_name(sheet, self.names)
        return torch.from_numpy(np.stack([c.read(sheet, j) for c, j in zip(self.columns, found, strict=True)], 1))

    def encode(self, x: Tensor) -> Tensor:
        return torch.cat([column.encode(v) for column, v in zip(self.columns, x.T, strict=True)], 1)

    def decode(self, x: Tensor) -> Tensor:
        parts = x.split([sum(column.groups) for column in self.columns], 1)
        return torch.stack([column.decode(part) for column, part in zip(self.columns, parts, strict=True)], 1)

    def frame(self, x: Tensor) -> Any:
        """Samples (n, width) as a DataFrame with the names, the order, the types and the decimals of the file."""
        import pandas as pd

        values = self.decode(x.cpu())
        return pd.concat([column.series(v) for column, v in zip(self.columns, values.T, strict=True)], axis=1)

    def describe(self) -> dict[str, Any]:
        columns = [column.describe() for column in self.columns]
        return {"_target_": f"{__name__}.Columns", "columns": columns, "label": self.label}


def below(points: Tensor, values: Tensor) -> Tensor:
    """How many of points (k,) are below each of values (n,): `torch.searchsorted`, by what ONNX has, too."""
    return (points < values.unsqueeze(1)).sum(1)


# -- cells ---------------------------------------------------------------------------------------


def canonical(sheet: Sheet, cell: str) -> str:
    """A cell as a level: of all ways to write a number one, and empty if it is a gap."""
    if cell.lower() in GAPS:
        return ""
    if not sheet.is_number(cell) or is_code(sheet, cell):
        return cell
    plain = sheet.plain(cell)
    return str(int(plain)) if INTEGER.fullmatch(plain.lstrip("+")) else repr(float(plain))


def is_code(sheet: Sheet, cell: str) -> bool:
    """Whether a cell looks like a number but is none: 007 is a name."""
    return sheet.is_number(cell) and len(cell) > 1 and cell[0] == "0" and cell[1].isdecimal()


def key(level: str) -> float | str:
    """What two ways to write the same category have in common: 1 is 1.0, but 01 is not."""
    return float(level) if INTEGER.fullmatch(level) or DECIMAL.fullmatch(level) else level


def typed(levels: Sequence[str]) -> Any:
    """Levels as the array that pandas would read them as: truth values, integers, decimals or text."""
    import pandas as pd

    known = [level for level in levels if level]
    cells = [level or None for level in levels]
    if set(known) <= {"True", "False"}:
        made = pd.array([cell and cell == "True" for cell in cells], dtype="boolean")
        return made if None in cells else made.astype(bool)
    if all(INTEGER.fullmatch(level) for level in known):
        made = pd.array([cell and int(cell) for cell in cells], dtype="Int64")
        return made if None in cells else made.astype("int64")
    if all(key(level) != level for level in known):
        return pd.array([float(cell) if cell else np.nan for cell in cells], dtype="float64")
    return pd.array(cells, dtype="object")
