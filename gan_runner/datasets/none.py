"""No data: for games that have none."""

from __future__ import annotations

import torch

from gan_runner.datasets.files import require
from gan_runner.datasets.spec import Source, Spec


def none(n: int = 1000) -> Source:
    """n rows of two zeros, which only keep the time of a run.

    Raises:
        UsageError: `n` is not positive.
    """
    require(n > 0, "n", n, "choose a number above 0")
    return Source(Spec((2,), "game", names=("x", "y")), torch.zeros(n, 2), name="none", digest=f"zeros-{n}")
