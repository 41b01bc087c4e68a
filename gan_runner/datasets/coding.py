"""Between natural units and the scale of training: invertible maps, fitted once and kept with every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


class Coding(Protocol):
    """What a data set did to its rows, so that samples can be brought back and further rows be treated alike."""

    def encode(self, x: Tensor) -> Tensor:
        """Rows (n, ...) of natural units in the scale of training."""
        ...

    def decode(self, x: Tensor) -> Tensor:
        """Samples (n, *shape) in natural units."""
        ...

    def describe(self) -> dict[str, Any]:
        """The node of plain values, `_target_` among them, that constructs it again from a run's manifest."""
        ...


@runtime_checkable
class Typed(Coding, Protocol):
    """A coding that knows what its columns are: numbers, or categories."""

    @property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Of each column in natural units, the texts of its categories; none for numbers."""
        ...

    @property
    def target(self) -> int | None:
        """Which column is to be predicted from the others, if any."""
        ...

    def frame(self, x: Tensor) -> Any:
        """Samples (n, *shape) as a DataFrame."""
        ...


@dataclass(frozen=True)
class Affine:
    """Each column less its offset, over its scale.

    Args:
        offset, scale: one number per column.
    """

    offset: Sequence[float]
    scale: Sequence[float]

    def encode(self, x: Tensor) -> Tensor:
        return (x - along(self.offset, x)) / along(self.scale, x)

    def decode(self, x: Tensor) -> Tensor:
        return x * along(self.scale, x) + along(self.offset, x)

    def describe(self) -> dict[str, Any]:
        return {
            "_target_": f"{type(self).__module__}.{type(self).__name__}",
            "offset": [*self.offset],
            "scale": [*self.scale],
        }


def along(values: Sequence[float], x: Tensor) -> Tensor:
    """One number per column, shaped to meet rows (n, columns) or series (n, columns, time)."""
    return torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, *[1] * (x.dim() - 2))
