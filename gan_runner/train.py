"""One run from its configuration to its last picture: folder, build, resume, fit, and what to say at the end."""

from __future__ import annotations

import gc
import os
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

from gan_runner import checkpoint, config, folder
from gan_runner.build import build
from gan_runner.console import Console, say
from gan_runner.errors import Diverged, Fault, MissingInput, StorageError, Unavailable, UsageError
from gan_runner.logbook import Logbook
from gan_runner.loop import Run, fit
from gan_runner.metrics.stopping import CHECKS
from gan_runner.record import Recorder, peak_mib
from gan_runner.signals import Stop

ELSEWHERE = 1_000_003
"""What a rollback adds to the seed, so that training does not diverge once more by the same numbers."""


def train(cfg: Mapping[str, Any], overrides: list[str]) -> tuple[int, float | None]:
    """Train what a plain, resolved configuration describes; returns (exit code, tracked metric).

    Raises:
        Fault: whatever the user can put right; nothing is created for errors of usage.
    """
    resumed = find_run(cfg)
    if resumed:
        inexact = check_same(resumed, cfg)
        if (done := finished(resumed, cfg)) is not None:
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
        "budget": budget(cfg),
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
    status, clock = folder.Status(place), run.state.clock
    checkpoint.sweep(place / "ckpt")
    if not fresh:
        known = load_newest(run, place)
        facts = {"rollbacks": known.get("rollbacks", 0), **facts}
        run.seed += ELSEWHERE * facts["rollbacks"]
        if known.get("stopped") and known["budget"] == facts["budget"]:  # killed before it could say that it is over
            run.steps, facts = clock.step, {**facts, "stopped": known["stopped"]}
    unit = "img/s" if run.source.spec.kind == "image" else "rows/s"
    console = Console(run.steps, clock.step, log=place / "run.log", title=cfg["run"]["name"], unit=unit)
    console.line(first_words(run, place))
    logbook = Logbook(place, start=clock.step, console=console)
    recorder = Recorder(
        run,
        place,
        logbook,
        console,
        log_every=cfg["train"]["log_every"],
        checkpoint_every=cfg["train"]["checkpoint_every"],
        keep=cfg["train"]["checkpoint_keep"],
        facts=facts,
        stop=stop,
        strict=cfg["strict"],
    )
    status.write("running", step=clock.step, **facts)
    try:
        logbook.hparams(config.flatten(dict(cfg)), {})
        recorder.start()
        gc.freeze()  # what was built stays: a full collection need not walk through it, a tenth of a second each time
        fit(run, recorder, stop)
        if clock.step < run.steps:
            recorder.save()
            state = "interrupted" if stop.requested == "SIGINT" else "preempted"
            status.write(state, step=clock.step, exit_code=stop.exit_code, **facts)
            console.finish(
                [f"stopped by {stop.requested} and saved at step {clock.step:,}; go on with: resume={place}"]
            )
            return stop.exit_code, None
        recorder.finish()
        final = {name: value for name, value in recorder.metrics.items() if not name.endswith("_floor")}
        logbook.hparams(config.flatten(dict(cfg)), final)
        write_result(place, run, recorder.metrics)
        status.write("completed", step=clock.step, exit_code=0, resumable=False, **recorder.facts)
        console.finish(last_words(place, recorder.metrics))
        return 0, recorder.metrics.get(run.track or "")
    except Exception as error:
        fault = explain(error, run, place, recorder, cfg)
        rollbacks = facts.get("rollbacks", 0) + 1
        if not isinstance(fault, Diverged) or not recorder.saved or rollbacks > cfg["train"]["rollbacks"]:
            state = "diverged" if isinstance(fault, Diverged) else "failed"
            status.write(state, step=clock.step, exit_code=fault.code, error=fault.id, **facts)
            console.finish([])
            raise fault from error
        warnings.warn(f"{fault.what}; rollback {rollbacks} to step {recorder.saved:,}", stacklevel=2)
    finally:
        gc.unfreeze()
        logbook.close()
    return play(build(cfg), place, cfg, stop, {**facts, "rollbacks": rollbacks}, fresh=False)


def first_words(run: Run, place: Path) -> str:
    """What is about to happen, where."""
    source, players = run.source, run.state.players
    sizes = ", ".join(f"{name} {sum(p.numel() for p in player.params):,}" for name, player in players.items())
    where = str(source.device) if source.device.type == "cuda" else f"cpu, threads {torch.get_num_threads()}"
    begin = f"going on at step {run.state.clock.step:,} of" if run.state.clock.step else "training for"
    data = f"{source.name}: {len(source):,} rows of {'x'.join(map(str, source.spec.shape))}"
    return f"{data}; parameters: {sizes}; {where}\n{begin} {run.steps:,} steps in {place}"


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


def find_run(cfg: Mapping[str, Any]) -> Path | None:
    """The run to go on with, if `resume` asks for one and there is one."""
    wanted = cfg["resume"]
    if wanted is None:
        return None
    if wanted != "auto":
        place = Path(wanted)
        if not os.path.isfile(place / "config.yaml"):  # unlike Path.is_file, it takes any name
            raise MissingInput(
                f"resume={wanted} is not a run folder: no config.yaml in it", "name a folder under outputs/", id="F07"
            )
        return place.resolve()
    if cfg["run"]["dir"]:
        place = Path(cfg["run"]["dir"])
        return place.resolve() if checkpoint.steps(place / "ckpt") else None
    return folder.unfinished(Path(cfg["run"]["root"]), config.fingerprint(dict(cfg)))


def finished(place: Path, cfg: Mapping[str, Any]) -> float | None:
    """The tracked metric of a run that is already complete under this budget; it is left untouched."""
    status = folder.Status(place).read()
    if status.get("state") != "completed" or budget(cfg) not in (status.get("budget"), budget(config.read(place))):
        return None
    result = folder.read_json(place / "result.json")
    say(f"gan_runner: nothing to do (step {status['step']:,}/{status['steps']:,}) in {place}")
    return float(result.get("metrics", {}).get(result.get("track"), float("nan")))


def budget(cfg: Mapping[str, Any]) -> list[Any]:
    """How long to train: the four settings, and the rule that may end it earlier."""
    return [*(cfg["train"].get(k) for k in ("steps", "epochs", "images", "default_steps")), cfg.get("stop")]


def check_same(place: Path, cfg: Mapping[str, Any]) -> list[str]:
    """Refuse to go on with another model, data set or loss, or with settings that may not change in mid-run.

    Returns:
        The changed settings that cost bit-exactness, each as "key: old -> new".
    """
    old, new = config.recipe(config.read(place)), config.recipe(dict(cfg))
    known = old.keys() | {k for k in new if k.endswith("_target_")}  # other new keys are defaults of a newer version
    changed = [k for k in sorted(known) if old.get(k) != new.get(k)]
    shown = {k: f"{k}: {old.get(k)} -> {new.get(k)}" for k in changed}
    fixed = [k for k in changed if not config.FREE.fullmatch(k) and k not in cfg["resume_force"]]
    classes = [k for k in fixed if k.endswith("_target_")]  # they say more than their settings
    foreign = classes + [k for k in fixed if k not in classes and k.split(".")[0] in ("dataset", "model")]
    if foreign:
        raise MissingInput(
            f"{place} was trained with another recipe ({'; '.join(shown[k] for k in foreign[:5])})",
            "resume without these overrides, or start a new run",
            kept="the run folder is unchanged",
            id="F07",
        )
    if fixed:
        raise UsageError(
            f"{'; '.join(shown[k] for k in fixed[:5])} may not change in mid-run",
            f"resume without it, or add 'resume_force=[{','.join(fixed)}]'",
            kept="the run folder is unchanged",
            id="F08",
        )
    inexact = [shown[k] for k in changed if k in config.BITS]
    for change in inexact:
        warnings.warn(f"{change}: going on, but not bit-exact", stacklevel=2)
    return inexact


def load_newest(run: Run, place: Path) -> dict[str, Any]:
    """Put the newest good checkpoint in place; returns the facts that were saved with it."""
    path, state, manifest = checkpoint.newest(place / "ckpt")
    begun = {name: tensor for name, tensor in run.state.memory.items() if name == CHECKS}
    state["memory"] = begun | state["memory"]  # a rule that joins a run has seen nothing of it yet
    try:
        run.state.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise MissingInput(
            f"{path} does not fit the networks: {first}",
            "resume with the run's own model",
            kept="the run folder",
            id="F07",
        ) from error
    return manifest["facts"]


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
            **{k: cfg["train"][k] for k in ("precision", "program", "channels_last", "matmul", "deterministic")},
            "parameters": {role: sum(p.numel() for p in net.parameters()) for role, net in run.state.nets.items()},
            "data": {"name": source.name, "rows": len(source), "digest": source.digest, "notes": list(source.notes)},
            "spec": {"shape": list(spec.shape), "kind": spec.kind, "classes": spec.classes, "names": list(spec.names)},
            "offset": source.offset.tolist() if source.offset is not None else None,
            "scale": source.scale.tolist() if source.scale is not None else None,
        },
    )


def write_result(place: Path, run: Run, metrics: Mapping[str, float]) -> None:
    """The final metrics, and which of them decides, for leaderboards and tables of runs."""
    goal = "min" if run.falling else "max"
    result = {"step": run.state.clock.step, "track": run.track, "goal": goal, "metrics": dict(metrics)}
    folder.write_json(place / "result.json", result)


# -- endings ---------------------------------------------------------------------------------------


def explain(error: Exception, run: Run, place: Path, recorder: Recorder, cfg: Mapping[str, Any]) -> Fault:
    """Any exception of a running game as a fault, with what is needed to look into it written down."""
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
