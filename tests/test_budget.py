"""`train.minutes` ends a run when so much time went into training itself, however often it was cut off."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from gan_runner import loop, record
from gan_runner.metrics.probe import Findings
from tests.short_runs import run, saved, status

SECOND = ("train.steps=1000000", "train.log_every=5", "train.checkpoint_every=1000", "trust=[tests.test_budget]")
SLOW = ("+probes.slow._target_=tests.test_budget.Slow", "+probes.slow.every=1")


@dataclass
class Slow:
    """Takes a quarter of an hour to find nothing."""

    every: int = 1

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})

    def __call__(self, draw, source) -> Findings:
        NOW[0] += 900
        return Findings()


NOW = [0.0]


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A clock by which each step of training takes a second."""
    monkeypatch.chdir(tmp_path)
    plain = loop.reseed

    def reseed(seed: int, step: int, device) -> None:
        NOW[0] += step >= 0  # probes count their noise from -1 downwards
        plain(seed, step, device)

    monkeypatch.setattr(loop, "reseed", reseed)
    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: NOW[0], sleep=lambda s: None))


def test_a_run_ends_when_its_minutes_are_spent() -> None:
    assert run(*SECOND, "train.minutes=0.2") == 0
    assert (status()["step"], status()["training_seconds"]) == (12, 12.0) and saved()[-1] == 12
    assert status()["stopped"] == "its 0.2 minutes are spent" and status()["state"] == "completed"
    assert json.loads(Path("r/result.json").read_text())["training_seconds"] == 12.0


def test_looks_do_not_count() -> None:
    assert run(*SECOND, *SLOW, "train.minutes=0.2") == 0
    assert (status()["step"], status()["training_seconds"]) == (12, 12.0)


def test_steps_end_a_run_that_has_time_left() -> None:
    assert run(*SECOND, "train.minutes=0.2", "train.steps=7") == 0
    assert (status()["step"], status()["training_seconds"]) == (7, 7.0) and "stopped" not in status()


def test_time_before_an_interruption_counts() -> None:
    assert run(*SECOND, "train.steps=7") == 0
    assert run(*SECOND, "train.minutes=0.2", "resume=r") == 0
    assert (status()["step"], status()["training_seconds"]) == (12, 12.0)
    assert run(*SECOND, "train.minutes=0.2", "resume=r") == 0 and status()["step"] == 12, "done is done"
    assert run(*SECOND, "train.minutes=0.3", "resume=r") == 0 and status()["step"] == 18
