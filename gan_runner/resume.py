"""Going on with a run: which one, whether it may, from where."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_runner import checkpoint, config, folder
from gan_runner.console import say
from gan_runner.errors import MissingInput, UsageError
from gan_runner.loop import Run
from gan_runner.metrics.stopping import CHECKS


def find(cfg: Mapping[str, Any]) -> Path | None:
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
    """How long to train: the settings that say so, and the rule that may end it earlier."""
    return [
        *(cfg["train"].get(k) for k in ("steps", "epochs", "images", "default_steps", "minutes", "patience")),
        cfg.get("stop"),
    ]


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


def pick_up(run: Run, place: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Put the newest good checkpoint in place; returns `facts` with what was saved beside it."""
    known = load_newest(run, place)
    facts = {"rollbacks": known.get("rollbacks", 0), "alarms": known.get("alarms", []), **facts}
    facts["training_seconds"] = known.get("training_seconds", 0.0)
    if known.get("stopped") and known["budget"] == facts["budget"]:  # killed before it could say that it is over
        run.steps, facts["stopped"] = run.state.clock.step, known["stopped"]
    return facts


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
