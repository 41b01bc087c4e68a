"""Factors of the learning rate as pure functions of time: images seen so far and images in the whole run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol


class Schedule(Protocol):
    def __call__(self, seen: int, total: int) -> float:
        """The factor of the learning rate after `seen` of `total` images."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same rate from the first image to the last."""

    def __call__(self, seen: int, total: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Linear:
    """From 1 to `end`, falling from the fraction `start` of the run on (WGAN-GP on CIFAR-10: 0 to 0)."""

    start: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise ValueError(f"start={self.start} is not in [0, 1)")
        if not 0 <= self.end <= 1:
            raise ValueError(f"end={self.end} is not in [0, 1]")

    def __call__(self, seen: int, total: int) -> float:
        done = min(max((seen / total - self.start) / (1 - self.start), 0.0), 1.0)
        return 1 + (self.end - 1) * done


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to `end` over `images` (R3GAN: 20 million), then constant; null means the whole run."""

    end: float = 0.0
    images: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.end <= 1:
            raise ValueError(f"end={self.end} is not in [0, 1]")
        if self.images is not None and self.images <= 0:
            raise ValueError(f"images={self.images} is not positive")

    def __call__(self, seen: int, total: int) -> float:
        done = min(seen / (self.images or total), 1.0)
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Exponential:
    """Halved every `halflife` images, but never below `end` (Goodfellow et al. 2014: / 1.000004 a batch)."""

    halflife: int
    end: float = 0.0

    def __post_init__(self) -> None:
        if self.halflife <= 0:
            raise ValueError(f"halflife={self.halflife} is not positive")
        if not 0 <= self.end <= 1:
            raise ValueError(f"end={self.end} is not in [0, 1]")

    def __call__(self, seen: int, total: int) -> float:
        return max(0.5 ** (seen / self.halflife), self.end)


@dataclass(frozen=True)
class Steps:
    """Multiplied by `factor` at each of `at`, fractions of the run."""

    at: Sequence[float] = (0.5, 0.75)
    factor: float = 0.5

    def __post_init__(self) -> None:
        if not all(0 < when < 1 for when in self.at):
            raise ValueError(f"at={list(self.at)} are not all in (0, 1)")
        if self.factor <= 0:
            raise ValueError(f"factor={self.factor} is not positive")

    def __call__(self, seen: int, total: int) -> float:
        return self.factor ** sum(seen >= when * total for when in self.at)


@dataclass(frozen=True)
class Stages:
    """Multiplied by `factor` after each of `stages` stages, of which each lasts `longer` times the one before.

    Burda et al. (2016): 10^(-i/7) for 3^i epochs, i = 0 to 7; of so many epochs the whole run is then.
    """

    factor: float = 10 ** (-1 / 7)
    longer: int = 3
    stages: int = 8

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise ValueError(f"factor={self.factor} is not positive")
        for name in ("longer", "stages"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is below 1")

    def __call__(self, seen: int, total: int) -> float:
        ends = [*accumulate(self.longer**i for i in range(self.stages))]
        return self.factor ** sum(seen * ends[-1] >= end * total for end in ends[:-1])
