"""`python -m gan_runner.evaluate run=DIR [metrics= n= seed= checkpoint= data=]` or `verify=DIR`: figures of a run."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gan_runner.arguments import command, run_folder
from gan_runner.console import say
from gan_runner.errors import Fault, MissingInput, StorageError, UsageError

Record = dict[str, Any]

SCORES = "scores.jsonl"
PARTS = {"time", "settings", "checkpoint", "data", "probes", "figures", "features", "cost", "circumstances"}
SPACES = {
    "classifier": "gan_runner.metrics.classifier.Classifier",
    "inception": "gan_runner.metrics.inception.Inception",
    "pca": "gan_runner.metrics.features.PCA",
    "pixels": "gan_runner.metrics.features.Pixels",
}
TOLERANCE = 1e-4
"""By how much of itself a figure may differ when it is found again: other machines and threads round differently."""


@dataclass
class Settings:
    """Arguments of the command.

    Attributes:
        run: the run folder, of a run that is finished or still training. Its figures are printed, each beside what real
            rows, and rows of independent numbers, score in place of samples where that can be, and added to its
            scores.jsonl with all they depend on.
        verify: a run folder, in place of run=, whose last record is made again with its own settings; the exit code is
            1 where a figure does not hold.
        metrics: names of figures, or of probes that find several, separated by commas; by default all that suit.
        n: samples for each figure, or long paths; by default what its probe takes in training. Figures that compare
            with as many real rows are of fewer where there are too few. Those of different n do not compare.
        features: of images, in which all figures of features are found: classifier, inception, pca or pixels, or a file
            of Inception's weights; by default what each probe has.
        seed: of the samples.
        checkpoint: newest or best.
        data: for tables, a CSV or Parquet file of rows that the run has not seen, in place of those it held out.
        trust: a module of your own that the run's model, loss or probes come from.
    """

    run: str = ""
    verify: str = ""
    metrics: str = ""
    n: int = 0
    features: str = ""
    seed: int = 0
    checkpoint: str = "newest"
    data: str = ""
    device: str = "auto"
    trust: str = ""


def main() -> None:
    command(__doc__, Settings, evaluate)


def evaluate(settings: Settings) -> int:
    """Print the figures of a run and add them to its records, or make its last record again."""
    if settings.verify:
        return verify(settings)
    if not settings.run:
        raise UsageError("run= is missing", "give run=DIR, or verify=DIR", id="F60")
    place = run_folder(settings.run, settings.checkpoint)
    settings = replace(settings, data=settings.data and os.path.abspath(settings.data))
    if settings.n < 0 or settings.n == 1:
        raise UsageError(f"n={settings.n} is too few", "choose 2 or more", id="F61")
    from gan_runner import config
    from gan_runner.folder import read_json

    kind = read_json(place / "manifest.json").get("spec", {}).get("kind", "")
    cfg = config.read(place)
    nodes = config.askable(place, cfg, kind)
    if settings.features and kind != "image":
        raise UsageError(f"features={settings.features} does not suit {kind} data", "leave features out", id="F59")
    if settings.features:
        space = spaced(settings.features, cfg["data_dir"])
        nodes = {name: {**node, "features": space} if "features" in node else node for name, node in nodes.items()}
    record, failed = judge(place, settings, settings.checkpoint, nodes)
    show(place, record)
    try:
        with open(place / SCORES, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
    except OSError as error:
        what = f"cannot write {place / SCORES}: {error.strerror or error}"
        raise StorageError(what, "make it writable", kept="the figures above", id="F02") from error
    say(f"record: {place / SCORES}")
    for name, why in failed.items():
        raise Fault(f"probe {name} failed: {why}", "choose another n= or metrics=", kept="the record above", id="F14")
    return 0


def spaced(features: str, root: str) -> dict[str, str]:
    """The node of a feature space.

    Raises:
        UsageError: it is neither the name of one nor a file.
    """
    if features not in SPACES and not os.path.isfile(features):
        fix = f"choose from {', '.join(SPACES)}, or name a file of Inception's weights"
        raise UsageError(f"features={features} is unknown", fix, id="F61")
    if features == "classifier":
        return {"_target_": SPACES[features], "root": root}
    if features in SPACES:
        return {"_target_": SPACES[features]}
    return {"_target_": SPACES["inception"], "weights": os.path.abspath(features)}


def judge(place: Path, settings: Settings, which: str, nodes: Mapping[str, Any]) -> tuple[Record, dict[str, str]]:
    """The record of a checkpoint, and why probes failed that did.

    Args:
        which: newest, best, or the name of a checkpoint.
        nodes: of probes, by name.

    Raises:
        UsageError: a metric is asked for that nobody finds.
        Fault: there are no figures, or the run or its data cannot be used.
    """
    from gan_runner import figures
    from gan_runner.draw import Stopwatch
    from gan_runner.restore import with_rows

    source, draw, checkpoint = with_rows(place, which, settings.seed, settings.device, settings.trust)
    source = figures.unseen(settings.data, source) if settings.data else source
    trusted = [settings.trust] if settings.trust else []
    probes = dict(figures.metrics(nodes, source.spec.kind, settings.n, trusted))
    watch, began = Stopwatch(draw), time.perf_counter()
    found = figures.ask(probes, watch, source, [name for name in settings.metrics.split(",") if name])
    if not found.figures:
        what = f"no figures: {', '.join([*found.silent, *found.failed.values()]) or 'no probe'} finds none in this run"
        raise Fault(what, "choose another n= or metrics=", kept="the run folder", id="F14")
    used = {figure["probe"] for figure in found.figures.values()}
    record = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "settings": {k: v for k, v in asdict(settings).items() if k not in ("run", "verify", "device", "trust")},
        "checkpoint": {k: checkpoint[k] for k in ("step", "sha256")},
        "data": figures.data(source),
        "probes": {k: dict(nodes[k]) | n_of(probes[k]) for k in nodes if k in used},
        "figures": found.figures,
        "features": found.features,
        "cost": figures.cost(watch, time.perf_counter() - began),
        "circumstances": figures.circumstances(source.device),
    }
    return record, found.failed


def n_of(probe: Any) -> dict[str, int]:
    """The n of a probe, for its node to say it even where that is its class's own."""
    return {"n": probe.n} if hasattr(probe, "n") else {}


def show(place: Path, record: Record) -> None:
    """Print the figures, and what samples and judging cost."""
    from gan_runner import figures

    settings, cost = record["settings"], record["cost"]
    say(f"{place}: step {record['checkpoint']['step']:,}, the {settings['checkpoint']}; seed {settings['seed']}")
    say(figures.table(record["figures"]))
    if record["features"]:
        say("features: " + ", ".join(f"{k.removeprefix('feature_')} {v:.8g}" for k, v in record["features"].items()))
    for what in ("samples", "paths"):
        if what in cost:
            say(
                "{made:,} {what} made in {seconds:.2f} s, {milliseconds_each:.3g} ms each".format(
                    what=what, **cost[what]
                )
            )
    where = "{device}, threads: {threads}".format(**record["circumstances"])
    say(f"judged in {cost['judging_seconds']:.1f} s on {where}")
    seen = any("training rows" in figure["against"] for figure in record["figures"].values())
    if seen and not record["data"]["unseen_rows"]:
        say("no rows were held out: a run with train.held_out=0.1 is judged by rows it has not seen")
    if settings["checkpoint"] == "best" and "unseen_by_looks" not in record["data"]:
        say("the best checkpoint was chosen by one of these figures, which flatters it: train with train.selection=0.1")


# -- the record again ------------------------------------------------------------------------------


def verify(settings: Settings) -> int:
    """Make the last record of a run again and print whether each figure holds; 1 unless all do."""
    if settings != Settings(verify=settings.verify, device=settings.device, trust=settings.trust):
        raise UsageError("verify= goes by the record's settings", "leave out all but device= and trust=", id="F59")
    place = run_folder(settings.verify, "newest")
    then = last(place / SCORES)
    step = then["checkpoint"]["step"]
    which = f"step-{step:08}"
    if not (place / "ckpt" / which).is_dir():
        fix = "evaluate the run again: it keeps its newest checkpoints and the best"
        raise MissingInput(f"{place} has lost the checkpoint of step {step:,}, which its record is of", fix, id="F04")
    now, _ = judge(place, replace(settings, **then["settings"]), which, then["probes"])
    same = {k: then[k] == now[k] for k in ("checkpoint", "data", "features")}
    held = {name: holds(figure, now["figures"].get(name)) for name, figure in then["figures"].items()}
    from gan_runner.figures import columns, digits

    lines = [("metric", "recorded", "again", "")]
    for name, figure in then["figures"].items():
        again = now["figures"].get(name, {}).get("value")
        lines.append((name, digits(figure["value"]), digits(again), "holds" if held[name] else "does not hold"))
    say(f"record of {then['time']}, step {step:,}\n{columns(lines)}")
    for name, now_and_then in same.items():
        if not now_and_then:
            say(f"another {name} than in the record")
    for name, value in then["circumstances"].items():
        if value != now["circumstances"].get(name):
            say(f"{name}: {value} in the record, {now['circumstances'].get(name)} now")
    say(f"{sum(held.values())} of {len(held)} figures hold")
    return 0 if all(held.values()) and all(same.values()) else 1


def last(path: Path) -> Record:
    """The last record of a file.

    Raises:
        MissingInput: there is none, or it is no record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, IndexError) as error:
        raise MissingInput(f"{path} has no record", "evaluate the run first: run=DIR", id="F04") from error
    except ValueError as error:
        raise damaged(path) from error
    if not isinstance(record, dict) or not record.keys() >= PARTS:
        raise damaged(path)
    return record


def damaged(path: Path) -> MissingInput:
    return MissingInput(f"the last line of {path} is no record", "evaluate the run again: run=DIR", id="F04")


def holds(then: Mapping[str, Any], now: Mapping[str, Any] | None) -> bool:
    """Whether a figure, its floor and its ceiling are found again, of as many samples and against the same rows."""
    if now is None or any(then[k] != now[k] for k in ("n", "against")):
        return False
    return all(near(then[k], now[k]) for k in ("value", "floor", "ceiling") if k in then)


def near(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-9)


if __name__ == "__main__":
    main()
