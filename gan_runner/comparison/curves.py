"""What runs logged while they trained, over the images seen: median and range over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_runner.comparison.groups import Group
from gan_runner.comparison.papers import Papers

POINTS = 160
"""Points of a curve at most."""


@dataclass(frozen=True)
class Curve:
    """A group's curve: (n,) images seen, and median, least and largest over its runs there."""

    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


def rows_a_step(run: Papers) -> float | None:
    """Rows of real data that a step consumes: speed times time over steps, between reports; None where not logged."""
    reports = [row for row in run.logs if "speed/minutes" in row]
    found = []
    for before, after in zip([{"step": 0, "speed/minutes": 0.0}, *reports], reports, strict=False):
        seconds = 60 * (after["speed/minutes"] - before["speed/minutes"])
        if after["step"] > before["step"]:
            found.append(after["speed/images_per_second"] * seconds / (after["step"] - before["step"]))
    return float(np.median(found)) if found else None


def logged(run: Papers, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(k,) images seen, and (k,) values of one name of metrics.jsonl; those that are not finite are left out."""
    rows = rows_a_step(run)
    pairs = [(row["step"], row[name]) for row in run.logs if row.get(name) is not None]
    pairs = [(step, value) for step, value in pairs if math.isfinite(value)]
    steps, values = zip(*pairs, strict=True) if pairs and rows else ((), ())
    return np.asarray(steps, float) * (rows or 0), np.asarray(values, float)


def curve(group: Group, name: str) -> Curve | None:
    """As far as all runs of the group have come, so that no part of a band is of fewer; None of fewer than 2 points."""
    return over_runs([logged(run, name) for run in group.runs])


def over_runs(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Curve | None:
    """Between the points of a run its values are joined by straight lines."""
    if not found or any(len(x) < 2 for x, _ in found):
        return None
    first, last = max(x[0] for x, _ in found), min(x[-1] for x, _ in found)
    x = np.unique(np.round(np.concatenate([x for x, _ in found]), 3))
    x = x[(x >= first - 1e-3) & (x <= last + 1e-3)]
    if len(x) < 2:
        return None
    x = x[np.unique(np.linspace(0, len(x) - 1, min(POINTS, len(x))).round().astype(int))]
    values = np.stack([np.interp(x, *each) for each in found])
    return Curve(x, np.median(values, 0), values.min(0), values.max(0))


def names(groups: Sequence[Group], prefix: str, suffix: str = "") -> list[str]:
    """Names that runs logged, in the order of their appearance."""
    logs = (row for group in groups for run in group.runs for row in run.logs)
    return [*dict.fromkeys(k for row in logs for k in row if k.startswith(prefix) and k.endswith(suffix))]
