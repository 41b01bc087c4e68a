"""Runs of the same settings and different seeds, under the words that set them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan_runner.comparison.papers import Papers, drawn_by_seed


@dataclass(frozen=True, eq=False)
class Group:
    """Runs whose settings are alike apart from the seed.

    Attributes:
        name: what was asked for and sets it apart from the other groups.
        varied: the same as {key: value}.
        runs: complete ones, by seed.
        unfinished: those that count for nothing.
    """

    name: str
    varied: dict[str, str]
    runs: tuple[Papers, ...]
    unfinished: tuple[Papers, ...]

    @property
    def short(self) -> str:
        """The name without keys."""
        return ", ".join(self.varied.values()) or self.name

    @property
    def seeds(self) -> list[int]:
        """Those of complete runs."""
        return sorted({run.seed for run in self.runs})

    @property
    def begun(self) -> set[int]:
        """Those of all runs, complete or not."""
        return {run.seed for run in (*self.runs, *self.unfinished)}


def grouped(runs: Sequence[Papers]) -> list[Group]:
    """Groups in the order of their first runs."""
    seeded, found = drawn_by_seed(runs), {}
    for run in runs:
        settings = {k: v for k, v in run.settings.items() if k not in seeded[run]}
        found.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(run)
    members = [sorted(group, key=lambda run: run.seed) for group in found.values()]
    first = [group[0] for group in members]
    varied = differing([run.words for run in first])
    names = labels(varied)
    settings = [{k: v for k, v in run.settings.items() if k not in seeded[run]} for run in first]
    for name in {name for name in names if names.count(name) > 1}:  # the same words, such as of two versions
        alike = [i for i, other in enumerate(names) if other == name]
        for i, more in zip(alike, labels(differing([settings[i] for i in alike])), strict=True):
            names[i] = f"{name}, {more}" if name else more
    return [
        Group(
            name or "all",
            words,
            tuple(run for run in group if run.complete),
            tuple(run for run in group if not run.complete),
        )
        for name, words, group in zip(names, varied, members, strict=True)
    ]


def differing(said: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Of each mapping the entries in which they are not all alike."""
    keys = dict.fromkeys(k for words in said for k in words)
    apart = [k for k in keys if len({str(words.get(k)) for words in said}) > 1]
    return [{k: str(words[k]) if k in words else "default" for k in apart} for words in said]


def labels(varied: Sequence[Mapping[str, str]]) -> list[str]:
    """Values alone where one key, else key=value with keys as short as tells them apart."""
    keys = [*dict.fromkeys(k for words in varied for k in words)]
    if len(keys) == 1:
        return [words[keys[0]] for words in varied]
    ends = [k.split(".")[-1] for k in keys]
    short = {k: end if ends.count(end) == 1 else k for k, end in zip(keys, ends, strict=True)}
    return [", ".join(f"{short[k].lstrip('+')}={words[k]}" for k in keys) for words in varied]


def commands(runs: Sequence[Papers]) -> list[str]:
    """Command lines that make the runs again: one sweep where all combinations of their words are there."""
    said = [{k: v for k, v in run.asked.items() if k not in ("run.dir", "resume", "sweep")} for run in runs]
    keys = [*dict.fromkeys(k for words in said for k in words)]
    values = {k: [*dict.fromkeys(words.get(k) for words in said)] for k in keys}
    combinations = 1
    for found in values.values():
        combinations *= len(found)
    distinct = {tuple(words.get(k) for k in keys) for words in said}
    if len(distinct) == combinations and all(None not in found for found in values.values()):
        return [_command([f"{k}={','.join(map(str, found))}" for k, found in values.items()], many=len(distinct) > 1)]
    return [*dict.fromkeys(_command([f"{k}={v}" for k, v in words.items()], many=False) for words in said)]


def _command(words: Sequence[str], many: bool) -> str:
    import shlex

    return shlex.join(["python", "-m", "gan_runner", *(["-m"] if many else []), *words])
