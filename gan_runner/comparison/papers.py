"""What a run folder says for comparisons: what was asked for, under which settings, how it ended, what it scored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gan_runner import config
from gan_runner.errors import MissingInput
from gan_runner.folder import read_json

CIRCUMSTANCES = re.compile(
    r"seed|sweep|device|data_dir|strict|debug|trust|resume\w*|(run|probes|hydra)(\..*)?"
    r"|train\.(threads|log_every|checkpoint_\w+)|.*\.(root|download)"
)
"""Settings that decide where a run is, who looks at it and how it draws, not what it is a run of."""


@dataclass(frozen=True)
class Papers:
    """The files of a run folder, read when they are asked for."""

    place: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        return config.read(self.place)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Flat, without circumstances: alike for runs that differ in their seed alone."""
        return {k: v for k, v in config.flatten(self.config).items() if not CIRCUMSTANCES.fullmatch(k)}

    @cached_property
    def asked(self) -> dict[str, str]:
        """The command line, {key: value}, in its order; words without a value are left out."""
        try:
            said = config.read_yaml(self.place / "overrides.yaml") or []
        except MissingInput:
            said = []
        return dict(str(word).split("=", 1) for word in said if "=" in str(word))

    @cached_property
    def words(self) -> dict[str, str]:
        """What was asked for, without circumstances."""
        return {k: v for k, v in self.asked.items() if not CIRCUMSTANCES.fullmatch(k.lstrip("+~"))}

    @cached_property
    def status(self) -> dict[str, Any]:
        return read_json(self.place / "status.json")

    @cached_property
    def result(self) -> dict[str, Any]:
        return read_json(self.place / "result.json")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return read_json(self.place / "manifest.json")

    @property
    def best_step(self) -> int | None:
        """Of the best checkpoint, if one was marked."""
        return read_json(self.place / "ckpt/best.json").get("step")

    @property
    def seed(self) -> int:
        return int(self.config.get("seed", 0))

    @property
    def complete(self) -> bool:
        return self.status.get("state") == "completed" and bool(self.result)

    @property
    def state(self) -> str:
        """How it stands, in words."""
        step = self.status.get("step")
        return str(self.status.get("state", "unknown")) + (f" at step {step:,}" if isinstance(step, int) else "")

    @cached_property
    def logs(self) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl."""
        return _objects(self.place / "metrics.jsonl")

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """What `python -m gan_runner.evaluate` wrote down."""
        return _objects(self.place / "scores.jsonl")


def _objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; damaged lines are left out, and a missing file has none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [row for row in map(_parsed, lines) if isinstance(row, dict)]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def drawn_by_seed(runs: Iterable[Papers]) -> dict[Papers, frozenset[str]]:
    """Of each run the settings of its data that follow its seed in all runs of such data, as simulated data's do."""
    alike: dict[str, list[Papers]] = {}
    for run in runs:
        alike.setdefault(str(run.settings.get("dataset._target_")), []).append(run)
    return {run: keys for some in alike.values() for keys in [_followed(some)] for run in some}


def _followed(runs: Sequence[Papers]) -> frozenset[str]:
    if len({run.seed for run in runs}) < 2:
        return frozenset()
    keys = {k for run in runs for k in run.settings if k.startswith("dataset.")}
    return frozenset(k for k in keys if all(_follows(run.settings, k, run.seed) for run in runs))


def _follows(settings: Mapping[str, Any], key: str, seed: int) -> bool:
    value = settings.get(key)
    return type(value) is int and value == seed
