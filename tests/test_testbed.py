"""The page of `make testbed`: what it counts, and that its runs can be run."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.conftest import ROOT, compose

script = runpy.run_path(str(ROOT / "scripts/testbed.py"))
WATCH = compose("dataset=ring8")["watch"]


def heard(alarms: dict[str, int], rows: list[dict[str, Any]] | None = None) -> Any:
    return script["Heard"](alarms, 2000, 100, WATCH, rows or [])


def test_every_alarm_is_expected_of_some_run() -> None:
    expected = {case.alarm for case in script["WRONG"]}
    assert expected == {"non_finite", *(name for name, node in WATCH.items() if isinstance(node, dict))}
    assert not any(case.alarm for case in script["WELL"]) and min(len(script["WRONG"]), len(script["WELL"])) >= 12


@pytest.mark.parametrize("case", script["WRONG"] + script["WELL"], ids=lambda case: case.title)
def test_every_run_composes(case: Any) -> None:
    assert compose(*case.words.split())["watch"]["policy"] == "warn"


def test_limits_and_patiences_on_the_page_are_those_of_the_alarms() -> None:
    alarms = ("collapse", "drift", "vanishing", "saturated")
    assert [patience for _, patience, _ in script["NEAREST"].values()] == [WATCH[name]["patience"] for name in alarms]
    row = next(line for line in script["PAGE"].splitlines() if line.startswith("| *limit*"))
    assert [float(cell) for cell in row.split("|")[4:-1]] == [WATCH[name]["limit"] for name in alarms]


def test_what_is_late_or_missed_shows() -> None:
    """Frozen after 550 and heard within (2 + 2) ticks of 100 is in time; a step later is not, nothing is bold."""
    case = next(case for case in script["WRONG"] if case.title == "generator frozen")
    assert script["allowed"](case, heard({})) == 950
    fine = {c.title: heard({c.alarm: 900} if c.alarm not in ("", "non_finite") else {}) for c in script["WELL"]}
    runs = {c.title: heard({c.alarm: c.at + 1}) for c in script["WRONG"]} | fine
    count = len(script["WRONG"])
    assert f"{count} of {count} are caught by the expected name, none of them late" in script["page"](runs, 7)
    late = script["page"](runs | {case.title: heard({"frozen": 951})}, 7)
    assert f"{count} of {count} are caught by the expected name, 1 of them late" in late
    missed = script["page"](runs | {case.title: heard({"flat": 900})}, 7)
    assert f"{count - 1} of {count} are caught" in missed and "**nothing**" in missed and "flat 900" in missed
    false = script["page"](runs | {script["WELL"][0].title: heard({"drift": 900})}, 7)
    assert "1 false alarms" in false and "**drift** 900" in false and "No false alarms" in script["page"](runs, 7)


def test_nearest_is_what_was_kept_up() -> None:
    rows = [{"a/x": v, "a/y": 9.0} for v in (5.0, 1.0, 2.0, 7.0, 0.5, 8.0)]
    assert script["nearest"](rows, "a/", 2, min) == 2 and script["nearest"](rows, "a/", 1, min) == 0.5
    assert script["nearest"](rows, "a/x", 2, max) == 2 and script["nearest"](rows, "a/", 7, min) is None
    assert script["nearest"](rows, "b/", 1, min) is None
