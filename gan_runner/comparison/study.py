"""A comparison, whole: groups by columns, each cell a mean over seeds, and differences between groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

from gan_runner.comparison.columns import Column, Reading, Readings, evaluated, headings, trained
from gan_runner.comparison.groups import Group, grouped
from gan_runner.comparison.papers import Papers, drawn_by_seed
from gan_runner.comparison.statistics import Difference, Mean, difference, mean
from gan_runner.metrics.better import better

PAIRED = 6
"""Groups of which all pairs are compared."""


@dataclass(frozen=True)
class Study:
    """What there is to say about some runs.

    Attributes:
        groups: of runs that differ in their seed alone; of many the best in the first column first.
        columns: what they were measured by; the tracked metric first, then those that know what real rows score.
        headings: of columns.
        readings: of each complete run.
        source: where the numbers are from.
    """

    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    headings: dict[Column, str]
    readings: dict[Papers, Readings]
    source: str

    def values(self, group: Group, column: Column) -> dict[int, float]:
        """Seed -> value where it is finite; runs of the same seed count once, by their mean."""
        found: dict[int, list[float]] = {}
        for run in group.runs:
            reading = self.readings[run].get(column)
            if reading is not None and math.isfinite(reading.value):
                found.setdefault(run.seed, []).append(reading.value)
        return {seed: sum(values) / len(values) for seed, values in found.items()}

    def cell(self, group: Group, column: Column) -> Mean | None:
        """None where the group was not measured so."""
        return self._cells.get((group, column))

    @cached_property
    def _cells(self) -> dict[tuple[Group, Column], Mean]:
        found = {(g, c): [*self.values(g, c).values()] for g in self.groups for c in self.columns}
        return {key: mean(values) for key, values in found.items() if values}

    def floor(self, column: Column) -> float | None:
        """What real rows score in a column, on average over the runs in it."""
        found = (r[column].floor for r in self.readings.values() if column in r)
        known = [floor for floor in found if floor is not None and math.isfinite(floor)]
        return sum(known) / len(known) if known else None

    def difference(self, a: Group, b: Group, column: Column) -> Difference | None:
        """a less b on the seeds that both have; None where they share none."""
        ours, theirs = self.values(a, column), self.values(b, column)
        seeds = sorted(ours.keys() & theirs.keys())
        return difference([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None

    def direction(self, column: Column) -> str:
        """Whether lower or higher is better, "" where nobody says."""
        goals = {str(run.result.get("goal")) for run in self.readings if run.result.get("track") == column.metric}
        asked = {"min": "lower", "max": "higher"}.get("".join(goals), "")  # where runs disagree, none
        return better(column.metric) or asked

    def ranked(self, column: Column) -> list[Group]:
        """Groups with a value in a column, the best first; in their order where no direction is known."""
        found = [(cell.mean, g) for g in self.groups if (cell := self.cell(g, column))]
        if direction := self.direction(column):
            found.sort(key=lambda pair: pair[0], reverse=direction == "higher")
        return [group for _, group in found]

    def best(self, column: Column) -> Group | None:
        """The group that is better than each other one by a paired difference whose interval excludes zero.

        None where one seed of a group has no finite value and another has, since its run diverged, goes on or was not
        measured: means of those that survive flatter. None that is better than real rows, either: nothing honest is,
        but collapsed samples have a precision of 1.
        """
        groups, sign = self.ranked(column), {"lower": -1, "higher": 1}.get(self.direction(column), 0)
        first, floor = self.cell(groups[0], column) if len(groups) > 1 else None, self.floor(column)
        if not first or any(g.runs and len(self.values(g, column)) < len(g.begun) for g in self.groups):
            return None
        if floor is not None and sign * first.mean > sign * floor:
            return None
        found = [self.difference(groups[0], other, column) for other in groups[1:]]
        return groups[0] if all(d is not None and d.excludes_zero and sign * d.mean > 0 for d in found) else None

    def sorted(self) -> Study:
        """With the best groups in the first column first, those that are not in it last."""
        first = self.ranked(self.columns[0])
        return replace(self, groups=(*first, *(group for group in self.groups if group not in first)))

    def pairs(self, column: Column) -> list[tuple[Group, Group, Difference]]:
        """Differences of all pairs of groups, the better less the worse; of many groups those from the best alone."""
        groups = self.ranked(column)
        chosen = combinations(groups, 2) if len(groups) <= PAIRED else ((groups[0], other) for other in groups[1:])
        found = ((a, b, self.difference(a, b, column)) for a, b in chosen)
        return [(a, b, d) for a, b, d in found if d is not None]


def study(runs: Sequence[Papers], scores: bool = False) -> Study:
    """The comparison of runs.

    Args:
        scores: take what `python -m gan_runner.evaluate` recorded in place of what the runs found at their ends.
    """
    groups = grouped(runs)
    read = evaluated if scores else trained
    seeded = drawn_by_seed(runs)
    readings = {run: read(run, bool(seeded[run])) for group in groups for run in group.runs}
    found: dict[Column, Reading] = {}
    for of_run in readings.values():
        found |= {c: r for c, r in of_run.items() if c not in found or found[c].floor is None}
    tracked = {run.result.get("track") for run in readings}
    columns = sorted(found, key=lambda c: (c.metric not in tracked, found[c].floor is None))
    source = "scores.jsonl, written by gan_runner.evaluate" if scores else "result.json, the last look of each run"
    whole = Study(tuple(groups), tuple(columns), headings(columns), readings, source)
    return whole.sorted() if len(groups) > PAIRED and columns else whole
