"""What every alarm is: a law about the newest rows of a run's record, and how long it must be broken.

An alarm reads what is on the host already: the row that each tick (`train.log_every` steps) writes to metrics.jsonl. It
remembers nothing, so that a run that was cut off and goes on hears the same alarms. Which alarms concern a run follows
from what it logs: where the numbers of a law are missing, it holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw

Row = Mapping[str, float]
"""The numbers of one tick by their names in metrics.jsonl, "step" among them; those that were not finite are absent."""
POLICIES = ("warn", "stop", "rollback")
KEPT = 100
"""Ticks that alarms may look back."""


@dataclass(frozen=True)
class Alarm(ABC):
    """Sounds when its law has been broken for `patience` ticks in succession, once until it holds again.

    So it sounds `patience` ticks after what it is about began, at the latest.

    Args:
        policy: what then happens: "warn" and go on; "stop", with a checkpoint; "rollback" to the newest checkpoint from
            before, on other random numbers, as often as `train.rollbacks` allows.
        patience: ticks in succession.

    Attributes:
        advice: what to try.

    Raises:
        ValueError: there is no such policy, or `patience` is out of range.
    """

    policy: str = "warn"
    patience: int = 5

    advice: ClassVar[str]

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"policy={self.policy} is none of {', '.join(POLICIES)}")
        if not 1 <= self.patience < KEPT:
            raise ValueError(f"patience={self.patience} is not from 1 to {KEPT - 1}")

    def measure(self, draw: Draw, source: Source) -> dict[str, float]:
        """Numbers for the row of this tick that it would not have otherwise, by their names there."""
        return {}

    @abstractmethod
    def symptom(self, rows: Sequence[Row]) -> str:
        """What is wrong at the newest tick, against which limit; "" where nothing is."""

    def hear(self, name: str, rows: Sequence[Row]) -> Alert | None:
        """The alert that the newest of `rows` sets off."""
        streak = 0
        while streak < len(rows) and self.symptom(rows[: len(rows) - streak]):
            streak += 1
        if streak != self.patience:
            return None
        right = int(rows[-streak - 1]["step"]) if len(rows) > streak else 0
        return Alert(name, self.symptom(rows), int(rows[-streak]["step"]), right, self.policy, self.advice)


@dataclass(frozen=True)
class Alert:
    """An alarm that sounded.

    Attributes:
        name: of the alarm.
        what: was seen, against which limit.
        since: first step at which it was.
        right: last step before at which it was not; 0 where there was none.
        policy: of the alarm.
        advice: what to try.
    """

    name: str
    what: str
    since: int
    right: int
    policy: str
    advice: str

    def __str__(self) -> str:
        return f"alarm {self.name}: {self.what}, since step {self.since:,}; try {self.advice}"
