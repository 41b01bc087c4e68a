"""One run from its configuration to its last picture: folder, build, resume, fit, and what to say at the end."""

from __future__ import annotations

import gc
import platform
import sys
import traceback
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from gan_runner import checkpoint, config, folder, program, resume
from gan_runner.build import build
from gan_runner.console import Console, say
from gan_runner.errors import Diverged, Fault, StorageError, Unavailable
from gan_runner.logbook import Logbook
from gan_runner.loop import Run, fit
from gan_runner.record import Recorder, peak_mib
from gan_runner.signals import Stop

ELSEWHERE = 1_000_003
"""What a rollback adds to the seed, so that training does not diverge once more by the same numbers."""


def train(cfg: Mapping[str, Any], overrides: list[str]) -> tuple[int, float | None]:
    """Train what a plain, resolved configuration describes; returns (exit code, tracked metric).

    Raises:
        Fault: whatever the user can put right; nothing is created for errors of usage.
    """
    resumed = resume.find(cfg)
    if resumed:
        inexact = resume.check_same(resumed, cfg)
        if (done := resume.finished(resumed, cfg)) is not None:
            return 0, done
        run, place = build(cfg), resumed
    else:
        if cfg["resume"]:
            say("gan_runner: resume=auto found no unfinished run with these settings: a new run begins")
        folder.probe(Path(cfg["run"]["dir"] or cfg["run"]["root"]))
        inexact, run = [], build(cfg)
        preflight(run, cfg)
        place = open_folder(cfg)
    facts = {
        "fingerprint": config.fingerprint(dict(cfg)),
        "steps": run.steps,
        "budget": resume.budget(cfg),
        "not_bit_exact": inexact,
    }
    with folder.Lock(place), Stop() as stop:
        if not resumed:
            write_papers(place, cfg, overrides, run)
        return play(run, place, cfg, stop, facts, fresh=not resumed)


def play(
    run: Run, place: Path, cfg: Mapping[str, Any], stop: Stop, facts: Mapping[str, Any], *, fresh: bool
) -> tuple[int, float | None]:
    """Fit inside an open, locked run folder, and leave its status true however it ends.

    Args:
        facts: what the status and the manifest of each checkpoint say about the run.
    """
    checkpoint.sweep(place / "ckpt")
    if not fresh:
        facts = resume.pick_up(run, place, facts)
        run.seed += ELSEWHERE * facts["rollbacks"]
    recorder = open_recorder(run, place, cfg, stop, facts)
    try:
        recorder.start()
        gc.freeze()  # what was built stays: a full collection need not walk through it, a tenth of a second each time
        fit(run, recorder, stop)
        return interrupted(recorder) if run.state.clock.step < run.steps else completed(recorder, cfg)
    except Exception as error:  # whatever it was, `explain` makes a fault of it and the status stays true
        fault = explain(error, recorder, cfg)
        rollbacks, back = facts.get("rollbacks", 0) + 1, None
        if isinstance(fault, Diverged) and rollbacks <= cfg["train"]["rollbacks"]:
            back = checkpoint.go_back(place / "ckpt", fault.right)
        if back is None:
            failed(recorder, fault)
            raise fault from error
        warnings.warn(f"{fault.what}; rollback {rollbacks} to step {back:,}", stacklevel=2)
        facts = {**facts, "rollbacks": rollbacks, "alarms": recorder.facts["alarms"]}
    finally:
        gc.unfreeze()
        recorder.logbook.close()
    return play(build(cfg), place, cfg, stop, facts, fresh=False)


def open_recorder(run: Run, place: Path, cfg: Mapping[str, Any], stop: Stop, facts: Mapping[str, Any]) -> Recorder:
    """The console, the logbook and the status of a run that is about to begin, or to go on."""
    train, clock = cfg["train"], run.state.clock
    unit = "img/s" if run.source.spec.kind == "image" else "rows/s"
    console = Console(run.steps, clock.step, log=place / "run.log", title=cfg["run"]["name"], unit=unit)
    console.line(first_words(run, place, train["minutes"]))
    logbook = Logbook(place, start=clock.step, console=console)
    logbook.hparams(config.flatten(dict(cfg)), {})
    folder.Status(place).write("running", step=clock.step, **facts)
    return Recorder(
        run,
        place,
        logbook,
        console,
        log_every=train["log_every"],
        checkpoint_every=train["checkpoint_every"],
        keep=train["checkpoint_keep"],
        facts=facts,
        stop=stop,
        minutes=train["minutes"],
        patience=train["patience"],
        strict=cfg["strict"],
    )


def first_words(run: Run, place: Path, minutes: float | None) -> str:
    """What is about to happen, where."""
    source, players = run.source, run.state.players
    sizes = ", ".join(f"{name} {sum(p.numel() for p in player.params):,}" for name, player in players.items())
    where = str(source.device) if source.device.type == "cuda" else f"cpu, threads {torch.get_num_threads()}"
    begin = f"going on at step {run.state.clock.step:,} of" if run.state.clock.step else "training for"
    limit = "" if minutes is None else f", or {minutes:g} minutes,"
    data = f"{source.name}: {len(source):,} rows of {'x'.join(map(str, source.spec.shape))}"
    return f"{data}; parameters: {sizes}; {where}\n{begin} {run.steps:,} steps{limit} in {place}"


def last_words(place: Path, metrics: Mapping[str, float]) -> list[str]:
    """What a user wants to know at the end: the numbers, the picture, where everything is, how to look at it."""
    pictures = [place / "pictures" / f"{name}.png" for name in ("samples", "scatter", "paths", "marginals")]
    shown = [f"samples:      {p}" for p in pictures if p.exists()][:1]
    return [
        *scores(metrics),
        *shown,
        f"run folder:   {place}",
        f"look at it:   {Path(sys.executable).parent / 'tensorboard'} --logdir {place}",
    ]


def scores(metrics: Mapping[str, float]) -> list[str]:
    """A line a metric, and beside it what real rows score in place of samples; docs/metrics.md explains the names."""
    names = [name for name in metrics if not name.endswith("_floor")]
    width = max(map(len, names), default=0)
    lines = [f"{'metric':<{width}}  {'samples':<10}  real rows"] if names else []
    for name in names:
        floor = metrics.get(f"{name}_floor")
        lines.append(f"{name:<{width}}  {metrics[name]:<10.4g}  {'' if floor is None else f'{floor:.4g}'}".rstrip())
    return lines


# -- the run folder --------------------------------------------------------------------------------


def open_folder(cfg: Mapping[str, Any]) -> Path:
    """The new run's folder, made exclusively."""
    settings = cfg["run"]
    return (
        folder.explicit(Path(settings["dir"]))
        if settings["dir"]
        else folder.create(Path(settings["root"]), settings["name"])
    )


def preflight(run: Run, cfg: Mapping[str, Any]) -> None:
    """Refuse a disk too small for the checkpoints this run will hold at once."""
    if cfg["run"]["preflight"]:
        weights = sum(p.numel() * p.element_size() for net in run.state.nets.values() for p in net.parameters())
        place = Path(cfg["run"]["dir"] or cfg["run"]["root"])
        folder.room(place, (cfg["train"]["checkpoint_keep"] + 2) * 4 * weights + (64 << 20))


def write_papers(place: Path, cfg: Mapping[str, Any], overrides: list[str], run: Run) -> None:
    """What makes the folder self-contained: configuration, overrides, and the circumstances that decide the bits."""
    spec, source = run.source.spec, run.source
    folder.write_text(place / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(cfg))))
    folder.write_text(place / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))
    folder.write_json(
        place / "manifest.json",
        {
            "versions": {name: version(name) for name in ("torch", "hydra-core", "omegaconf", "numpy")},
            "python": platform.python_version(),
            "machine": platform.machine(),
            "device": str(source.device),
            "threads": torch.get_num_threads(),
            **{k: cfg["train"][k] for k in ("precision", "program", "channels_last", "deterministic")},
            "matmul": program.exactness(cfg["train"]["matmul"], source.device),
            "parameters": {role: sum(p.numel() for p in net.parameters()) for role, net in run.state.nets.items()},
            "data": {"name": source.name, "rows": len(source), "digest": source.digest, "notes": list(source.notes)},
            "spec": {
                **{"shape": list(spec.shape), "kind": spec.kind, "classes": spec.classes},
                **{"names": list(spec.names), "groups": list(spec.groups)},
            },
            "coding": source.coding.describe() if source.coding else None,
        },
    )


# -- endings ---------------------------------------------------------------------------------------


def completed(recorder: Recorder, cfg: Mapping[str, Any]) -> tuple[int, float | None]:
    """A last look and a last checkpoint; returns (exit code, tracked metric)."""
    recorder.finish()
    run, place, metrics = recorder.run, recorder.folder, recorder.metrics
    if run.track and run.probes and run.track not in metrics:
        warnings.warn(f"probes.track={run.track} was never found, so no checkpoint is the best", stacklevel=2)
    final = {name: value for name, value in metrics.items() if not name.endswith("_floor")}
    recorder.logbook.hparams(config.flatten(dict(cfg)), final)
    goal = "min" if run.falling else "max"
    result = {"step": run.state.clock.step, "track": run.track, "goal": goal, "metrics": dict(metrics)}
    result |= {"training_seconds": recorder.facts["training_seconds"], "seconds_per_sample": recorder.draw.cost}
    folder.write_json(place / "result.json", result)  # for leaderboards and tables of runs
    folder.Status(place).write("completed", step=run.state.clock.step, exit_code=0, resumable=False, **recorder.facts)
    recorder.console.finish(last_words(place, metrics))
    return 0, metrics.get(run.track or "")


def interrupted(recorder: Recorder) -> tuple[int, None]:
    """Save what there is; returns the exit code that the signal asks for."""
    step, stop = recorder.run.state.clock.step, recorder.stop
    recorder.save()
    state = "interrupted" if stop.requested == "SIGINT" else "preempted"
    folder.Status(recorder.folder).write(state, step=step, exit_code=stop.exit_code, **recorder.facts)
    recorder.console.finish(
        [f"stopped by {stop.requested} and saved at step {step:,}; go on with: resume={recorder.folder}"]
    )
    return stop.exit_code, None


def failed(recorder: Recorder, fault: Fault) -> None:
    """Leave the status true."""
    state = "diverged" if isinstance(fault, Diverged) else "failed"
    folder.Status(recorder.folder).write(
        state, step=recorder.run.state.clock.step, exit_code=fault.code, error=fault.id, **recorder.facts
    )
    recorder.console.finish([])


def explain(error: Exception, recorder: Recorder, cfg: Mapping[str, Any]) -> Fault:
    """Any exception of a running game as a fault, with what is needed to look into it written down."""
    run, place = recorder.run, recorder.folder
    kept = f"the checkpoint of step {recorder.saved:,}" if recorder.saved else "no checkpoint yet"
    if isinstance(error, Fault):
        return error
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return StorageError(f"{error}", "free or repair the disk, then resume", kept=kept, id="F02")
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        batch, peak = cfg["train"]["batch_size"], f"{peak_mib(run.source.device):,.0f} MiB"
        go_on = f"go on with resume={place} train.precision=bf16, or " if recorder.saved else ""
        return Unavailable(
            f"out of memory at step {run.state.clock.step:,} with train.batch_size={batch} and a peak of {peak}",
            f"{go_on}start anew with train.batch_size={max(batch // 2, 1)}",
            kept=kept,
            id="F37",
        )
    crash = place / "crash"
    crash.mkdir(exist_ok=True)
    (crash / "traceback.txt").write_text("".join(traceback.format_exception(error)))
    folder.write_json(
        crash / "where.json", {"step": run.state.clock.step, "seen": run.state.clock.seen, "seed": run.seed}
    )
    return Fault(
        f"{type(error).__name__} at step {run.state.clock.step:,}: {str(error).splitlines()[0] if str(error) else ''}",
        f"read {crash}/traceback.txt",
        kept=kept,
        id="F15",
    )
