"""Columns of a comparison: a metric under one protocol. What was measured in two ways stands in two columns."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan_runner.comparison.papers import Papers, drawn_by_seed
from gan_runner.config import flatten

SEEDED = "drawn by each seed"
"""What stands for the digest of data that are simulated anew for each seed."""
BESIDE = ("_floor", "_real")
"""Endings of what real rows score."""


@dataclass(frozen=True)
class Column:
    """What may stand below one heading.

    Attributes:
        metric: its name.
        protocol: how it was found, sorted: n, rows, digests of data and features, settings of probes.
    """

    metric: str
    protocol: tuple[tuple[str, str], ...]

    def says(self, *keys: str) -> str:
        """The protocol, or some of it, in words."""
        told = dict(self.protocol)
        return ", ".join(f"{key.removeprefix('probe ')} {told.get(key) or 'none'}" for key in keys or told)


@dataclass(frozen=True)
class Reading:
    """A metric of one run, and what real rows score in place of samples where that is known."""

    value: float
    floor: float | None = None


Readings = dict[Column, Reading]


def trained(run: Papers, seeded: bool) -> Readings:
    """What a run's own probes found at its end.

    Its result does not say which probe found what, so the settings of all probes that judge belong to the protocol of
    every metric: runs that judge differently never share a column.
    """
    found = run.result.get("metrics", {})
    cfg, data = run.config, run.manifest.get("data", {})
    protocol = {
        "data": SEEDED if seeded else _short(data.get("digest")),
        "rows": str(data.get("rows")),
        "held out": str(cfg["train"].get("held_out")),
        "selection": str(cfg["train"].get("selection")),
        "features": _digest(found),
    }
    for name, node in cfg.get("probes", {}).items():
        if isinstance(node, Mapping) and _judges(node):
            protocol |= _probe(name, node)
    return {_column(k, protocol): Reading(found[k], _floor(k, found)) for k in _names(found)}


def evaluated(run: Papers, seeded: bool) -> Readings:
    """What `python -m gan_runner.evaluate` found and wrote to scores.jsonl, the newest of each protocol.

    Records of a checkpoint that is no longer the newest, or the best, of a run that went on are left out.
    """
    found: Readings = {}
    steps = {"newest": run.result.get("step"), "best": run.best_step}
    for record in run.records:
        try:
            if record["checkpoint"]["step"] != steps.get(record["settings"]["checkpoint"]):
                continue
            found |= {_column(k, p): r for k, p, r in _recorded(record, seeded)}
        except (KeyError, TypeError, AttributeError):  # not a record of this version
            continue
    return found


def _recorded(record: Mapping[str, Any], seeded: bool) -> Iterator[tuple[str, dict[str, str], Reading]]:
    settings, data = record["settings"], record["data"]
    for name, figure in record["figures"].items():
        protocol = {
            "n": str(figure["n"]),
            "against": figure["against"],
            "data": SEEDED if seeded else _short(data["digest"]),
            "unseen": SEEDED if seeded else _short(data.get("unseen_digest")),
            "features": _digest(record["features"]),
            "checkpoint": settings["checkpoint"],
            "sample seed": str(settings["seed"]),
            **_probe(figure["probe"], record["probes"].get(figure["probe"], {})),
        }
        value = math.nan if figure["value"] is None else figure["value"]
        yield name, protocol, Reading(value, figure["floor"])


def side_by_side(runs: Sequence[Papers]) -> list[dict[str, float]]:
    """What each run's own probes found at its end, floors and facts too: two protocols go by two names."""
    seeded = drawn_by_seed(runs)
    read = [trained(run, bool(seeded[run])) for run in runs]
    names = headings([*dict.fromkeys(column for mine in read for column in mine)])
    return [
        {_renamed(k, {c.metric: names[c] for c in mine}): v for k, v in run.result.get("metrics", {}).items()}
        for run, mine in zip(runs, read, strict=True)
    ]


def _renamed(name: str, names: Mapping[str, str]) -> str:
    """The heading of a metric, and a floor's name from that of what it is the floor of; facts keep theirs."""
    stem, end = next(((name.removesuffix(end), end) for end in BESIDE if name.endswith(end)), (name, ""))
    if name in names:
        return names[name]
    return f"{names[stem]}{end}" if stem in names else name


# -- protocols -------------------------------------------------------------------------------------


def _column(metric: str, protocol: Mapping[str, str]) -> Column:
    return Column(metric, tuple(sorted(protocol.items())))


def _probe(name: str, node: Mapping[str, Any]) -> dict[str, str]:
    """Settings of a probe but for when it looks and where its files are; n even where its class says it."""
    node = {"n": getattr(_class(node), "n", None), **node}
    said = {k: v for k, v in flatten(dict(node)).items() if k.split(".")[-1] not in ("every", "root", "download")}
    return {f"probe {name}.{k}": str(v) for k, v in said.items() if v is not None}


def _judges(node: Mapping[str, Any]) -> bool:
    """Whether a probe is a `Metric`; one of somebody else's may be."""
    return not str(node.get("_target_")).startswith("gan_runner.") or hasattr(_class(node), "against")


def _class(node: Mapping[str, Any]) -> Any:
    """The class of one of our probes, None where a newer or older version had it."""
    module, _, name = str(node.get("_target_")).rpartition(".")
    if not module.startswith("gan_runner."):
        return None
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def _names(found: Mapping[str, Any]) -> list[str]:
    """Metrics, without floors and facts of the features."""
    floors = {f"{k}{end}" for k in found for end in BESIDE}
    return [k for k in found if k not in floors and not k.startswith("feature_") and isinstance(found[k], int | float)]


def _floor(name: str, found: Mapping[str, Any]) -> float | None:
    return next((found[k] for k in (f"{name}{end}" for end in BESIDE) if k in found), None)


def _digest(found: Mapping[str, Any]) -> str:
    digest = found.get("feature_digest")
    return "" if digest is None else f"{digest:.0f}"


def _short(digest: Any) -> str:
    return str(digest or "")[:12]


# -- headings --------------------------------------------------------------------------------------


def headings(columns: Sequence[Column]) -> dict[Column, str]:
    """The metric's name, and after it what sets its column apart from others of that metric."""
    return {c: _heading(c, [other for other in columns if other.metric == c.metric]) for c in columns}


def _heading(column: Column, alike: Iterable[Column]) -> str:
    told = [dict(c.protocol) for c in alike]
    keys = sorted({k for p in told for k in p})
    differing = [k for k in keys if len({p.get(k) for p in told}) > 1]
    if "n" in differing:  # n is of those who were asked for so many
        differing = [k for k in differing if not k.endswith(".n")]
    return f"{column.metric} ({column.says(*differing)})" if differing else column.metric
