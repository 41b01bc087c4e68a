"""Each metric of a run asked once: figures beside what real rows score, with how many samples and which rows."""

from __future__ import annotations

import hashlib
import math
import platform
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from gan_runner import __version__
from gan_runner.construct import construct
from gan_runner.datasets.further import further
from gan_runner.datasets.spec import Source
from gan_runner.draw import Stopwatch
from gan_runner.errors import UsageError
from gan_runner.metrics.ceiling import ceiling
from gan_runner.metrics.probe import Metric
from gan_runner.metrics.rows import reference

Figure = dict[str, Any]


@dataclass
class Answers:
    """What probes found.

    Attributes:
        figures: by name, each with its "value", its "floor", what real rows score, and its "ceiling", what rows of
            independent numbers score (None where that is not finite, or not known), "n", "against" and "probe".
        features: facts of the feature space: which network, how good.
        silent: probes that have nothing to say of this run.
        failed: those that raised, and what.
    """

    figures: dict[str, Figure] = field(default_factory=dict)
    features: dict[str, float] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def metrics(nodes: Mapping[str, Any], kind: str, n: int, trusted: Sequence[str]) -> Iterator[tuple[str, Metric]]:
    """Names and probes of those nodes that are metrics of this kind of data; of n samples each unless that is 0."""
    for name, node in nodes.items():
        probe = construct(node, "probes", trusted, path=f"probes.{name}")
        if isinstance(probe, Metric) and kind in probe.kinds:
            resized = n and hasattr(probe, "n")
            yield name, construct({**node, "n": n}, "probes", trusted, path=f"probes.{name}") if resized else probe


def ask(probes: Mapping[str, Metric], draw: Stopwatch, source: Source, wanted: Sequence[str] = ()) -> Answers:
    """The figures that probes find, or those of them that are wanted by their own name or that of their probe.

    Raises:
        UsageError: nobody knows a name.
    """
    answers, unknown, seen = Answers(), {*wanted} - probes.keys(), {*probes}
    for name in sorted(probes, key=lambda name: name not in wanted):
        if wanted and name not in wanted and not unknown:
            break
        draw.most = 0
        try:
            answer = probes[name](draw, source)
        except Exception as error:  # one that fails says nothing about the others
            answers.failed[name] = f"{type(error).__name__}: {error}"
            continue
        found = answer.scalars
        floors, ceilings = (beside(found, ends) for ends in (("_floor", "_real"), ("_independent",)))
        names = [k for k in found if k not in {*floors.values(), *ceilings.values()} and not k.startswith("feature_")]
        unknown, seen = unknown - {*names}, seen | {*names}
        if not names:
            answers.silent.append(name)
        chosen = [k for k in names if not wanted or name in wanted or k in wanted]
        if taken := sorted({answers.figures[k]["probe"] for k in chosen if k in answers.figures}):
            answers.failed[name] = f"it finds what {' and '.join(taken)} finds: leave one out, or give it a prefix"
            continue
        n, worst = size(probes[name], draw, source), ceiling(probes[name], source) if chosen else {}
        worst |= {k: found[ceilings[k]] for k in chosen if k in ceilings}
        for k in chosen:
            answers.figures[k] = {
                "value": finite(found[k]),
                "floor": finite(found.get(floors.get(k, ""))),
                "ceiling": finite(worst.get(k)),
                "n": answer.sizes.get(k, n),
                "against": against(split(probes[name], k), source, answer.rows.get(k)),
                "probe": name,
            }
            answers.features |= {k: v for k, v in found.items() if k.startswith("feature_")}
    if unknown and not answers.failed:
        name = min(unknown)
        near = get_close_matches(name, seen, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(sorted(seen))}"
        raise UsageError(f"metrics={name} is unknown", hint, id="F61")
    return answers


def beside(found: Mapping[str, float], endings: Sequence[str]) -> dict[str, str]:
    """Name -> the name with one of these endings, of those that have such a companion."""
    return {k: f"{k}{end}" for k in found for end in reversed(endings) if f"{k}{end}" in found}


def finite(value: float | None) -> float | None:
    """As JSON takes it."""
    return value if value is not None and math.isfinite(value) else None


def size(probe: Metric, draw: Stopwatch, source: Source) -> int | None:
    """How many samples a probe has drawn, or rows it has judged; None where it needs neither."""
    rows = None if probe.against == "truth" else getattr(probe, "n", None)
    return draw.most or (rows and min(rows, len(reference(source))))


def split(probe: Metric, name: str) -> str:
    """Which rows a figure of a probe is about; see `Metric`."""
    if name.startswith("unseen_") or name.endswith("_held_out"):
        return "unseen"
    return "training" if name.endswith("_train") else probe.against


def against(split: str, source: Source, few: int | None = None) -> str:
    """The rows of a split in words; where only some of them were looked at, how many."""
    held = source.held_out
    if split == "truth":
        return "what is known of the data"
    if split == "both" and held is not None:
        return f"{len(source):,} training rows, {len(held):,} unseen ones"
    rows = held if split == "unseen" and held is not None else source
    whole = f"{len(rows):,} {'training' if rows is source else 'unseen'} rows"
    return whole if few in (None, len(rows)) else f"{few:,} of {whole}"


def unseen(file: str, source: Source) -> Source:
    """The source with the rows of a file in place of those held out.

    Raises:
        UsageError: it is no table.
        Fault: the file cannot be used; see `datasets.further`.
    """
    if source.spec.kind != "table":
        raise UsageError(f"data={file} does not suit {source.spec.kind} data", "leave data out", id="F59")
    rows, _ = further(file, source)
    known = {row.tobytes() for row in source.data.cpu().numpy()}
    if copies := sum(row.tobytes() in known for row in rows.numpy()):
        warnings.warn(f"{copies} of the {len(rows)} rows of data={file} are training rows, too", stacklevel=2)
    digest = hashlib.sha256(rows.numpy().tobytes()).hexdigest()
    name = Path(file).name
    held = replace(source, data=rows.to(source.device), name=name, held_out=None, labels=None, truth={}, digest=digest)
    return replace(source, held_out=held)


# -- as a table ------------------------------------------------------------------------------------


def table(figures: Mapping[str, Figure]) -> str:
    """A line a figure, those of rivals on the line of what they rival."""
    rivals = companions(figures)
    beside = {name for others in rivals.values() for name in others.values()}
    lines = [("metric", "value", "real rows", "independent", "n", "compared with", "")]
    for name, found in figures.items():
        if name not in beside:
            floor, worst = ("" if found[k] is None else digits(found[k]) for k in ("floor", "ceiling"))
            others = (f"{label} {digits(figures[k]['value'])}" for label, k in rivals.get(name, {}).items())
            n = f"{found['n']:,}" if found["n"] else ""
            lines.append((name, digits(found["value"]), floor, worst, n, found["against"], ", ".join(others)))
    return columns(lines)


def companions(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Name -> {label: name_label} of names that others have with a label added, where several have the same."""
    known = [*names]
    stems = {name: max((k for k in known if name.startswith(f"{k}_")), key=len, default="") for name in known}
    labels = {name: name.removeprefix(f"{stem}_") for name, stem in stems.items() if stem}
    often, found = Counter(labels.values()), {}
    for name, label in labels.items():
        if often[label] > 1:
            found.setdefault(stems[name], {})[label] = name
    return found


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def digits(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


# -- circumstances ---------------------------------------------------------------------------------


def data(source: Source) -> dict[str, Any]:
    """What a record says about the rows."""
    held = source.held_out
    unseen = {"unseen_rows": len(held), "unseen_digest": held.digest} if held else {"unseen_rows": 0}
    clean = {"unseen_by_looks": True} if source.reported else {}  # nor by whoever chose a checkpoint
    prepared = {"preprocessing": [*source.notes]}
    return {"name": source.name, "digest": source.digest, "rows": len(source), **unseen, **prepared, **clean}


def cost(draw: Stopwatch, seconds: float) -> dict[str, Any]:
    """What samples, and long paths, took and what judging them took, of so many seconds in all."""
    made = {
        what: {"made": n, "seconds": took, "milliseconds_each": 1000 * took / n}
        for what, (n, took) in draw.spent.items()
    }
    return made | {"judging_seconds": seconds - sum(took for _, took in draw.spent.values())}


@cache
def code() -> str:
    """The first digits of a sha256 of this package's own files: a version stands for many states of them."""
    here, found = Path(__file__).parent, hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        found.update(f"{path.relative_to(here)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def circumstances(device: torch.device) -> dict[str, Any]:
    """What may change the last digits, and the cost."""
    ours = {
        "gan_runner": f"{__version__}, code {code()}",
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    theirs = {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
    return {**ours, **theirs, "device": str(device), "threads": torch.get_num_threads()}
