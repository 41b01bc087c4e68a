"""Sweeps: each job is a process of its own, so that whatever kills one leaves the others running."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_runner import config
from gan_runner.console import say
from gan_runner.errors import Fault
from gan_runner.folder import probe, read_json, write_json
from gan_runner.signals import CODES

STOP = ".stop"
"""File in the sweep's folder with the number of the signal that asked it to stop: launchers use several processes."""

asked = 0
"""Signal that this process was sent during a sweep."""

current: Leaderboard | None = None
"""The sweep that this process directs."""


# -- one job ---------------------------------------------------------------------------------------


def run_job(settings: Any) -> float:
    """Run one job of a multirun in its own process; returns its tracked metric, NaN when it did not complete.

    A job that is complete is skipped, one that was cut off is resumed, one that failed is tried again.
    """
    place, sweep = Path(settings.runtime.output_dir), Path(settings.sweep.dir)
    listen()
    if ending(place) == "completed":
        say(f"gan_runner: job {settings.job.num}: {place.name} is done already")
        return value_of(place)
    overrides = list(settings.overrides.task)
    if stop_signal(sweep):
        if not (place / "exit.json").exists():
            write_json(place / "exit.json", {"code": None, "overrides": overrides})
        return float("nan")
    say(f"gan_runner: job {settings.job.num}: {place.name}")
    write_json(place / "exit.json", {"code": None, "overrides": overrides})
    code = spawn(command(settings, place, overrides), place, sweep, quiet=side_by_side(settings.launcher) > 1)
    write_json(place / "exit.json", {"code": code, "overrides": overrides})
    leaderboard(sweep)
    if ending(place).startswith("failed"):
        say(f"gan_runner: job {settings.job.num} {ending(place)}: {last_line(place / 'console.log')}", sys.stderr)
    return value_of(place) if code == 0 else float("nan")


def command(settings: Any, place: Path, overrides: list[str]) -> list[str]:
    """The command line of a job; jobs that run side by side share the cores."""
    found = [s.path for s in settings.runtime.config_sources if s.provider == "command-line"]
    mine = [part for path in found for part in ("--config-dir", path)]
    words = [sys.executable, "-m", "gan_runner", *mine, *overrides, f"run.dir={quoted(place)}", "resume=auto"]
    words.append("hydra.mode=RUN")  # an experiment may be a sweep by itself
    jobs = side_by_side(settings.launcher)
    if jobs > 1 and not any(o.startswith("train.threads=") for o in overrides):
        words.append(f"train.threads={max((os.cpu_count() or 1) // jobs, 1)}")
    return words


def side_by_side(launcher: Any) -> int:
    """How many jobs the launcher runs at once."""
    jobs = launcher.get("n_jobs", 1) if "n_jobs" in launcher else 1
    return (os.cpu_count() or 1) if jobs == -1 else max(int(jobs), 1)


def quoted(path: Path) -> str:
    """A path as Hydra reads it back."""
    return "'" + str(path).replace("'", r"\'") + "'"


def spawn(words: list[str], place: Path, sweep: Path, *, quiet: bool) -> int:
    """Run a command to its end, its errors in console.log, and pass on a request to stop; returns its exit code."""
    with open(place / "console.log", "w") as log:
        child = subprocess.Popen(words, stdout=log if quiet else None, stderr=log)
        told = 0
        while child.poll() is None:
            if (number := stop_signal(sweep)) != told:
                child.send_signal(number)
                told = number
            time.sleep(0.05)
    return child.returncode


def last_line(log: Path) -> str:
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return (said[-1][:500] if said else "it said nothing") + f"; all of it is in {log}"


# -- stopping --------------------------------------------------------------------------------------


def listen() -> None:
    """Take notes of stop signals instead of dying of them, in the directing process and in a launcher's workers."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.Signals[name] for name in CODES):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _note)


def _note(number: int, frame: object) -> None:
    global asked
    asked = number
    if current:  # a worker speaks for its own job only: it may have been preempted alone
        current.folder.mkdir(parents=True, exist_ok=True)
        (current.folder / STOP).write_text(str(number))


def stop_signal(sweep: Path) -> int:
    """The signal that asked this process or the whole sweep to stop; 0 where none did."""
    try:
        return asked or int((sweep / STOP).read_text() or 0)
    except FileNotFoundError:
        return 0


# -- the leaderboard -------------------------------------------------------------------------------


class Leaderboard(Callback):
    """Hydra callback around a sweep: checks it before anything is created, and prints the table when it has ended.

    Attributes:
        folder: of the sweep.
        new: the first folder on the way there that did not exist.
        code: exit code of the sweep: 0, 1 when a job did not complete, or that of the signal that stopped it.
    """

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        global current
        self.folder, self.began, self.code = Path(config.hydra.sweep.dir), time.time(), 1
        try:
            check(config)
            probe(self.folder)
        except Fault as fault:  # Hydra turns what callbacks raise into warnings, except this
            say(str(fault), sys.stderr)
            raise SystemExit(fault.code) from fault
        self.new = next((p for p in reversed((self.folder, *self.folder.parents)) if not p.exists()), None)
        (self.folder / STOP).unlink(missing_ok=True)
        current = self
        listen()

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        if current is not self or not any(self.folder.rglob("exit.json")):
            return
        table = leaderboard(self.folder)
        shown = table.drop(columns="job") if table.columns[0] != "status" else table
        say(f"\n{shown.to_string(index=False, float_format='%.4g', max_colwidth=60)}\n")
        say(f"leaderboard:  {self.folder}/leaderboard.csv")
        mine = [p.parent for p in self.folder.rglob("exit.json") if p.stat().st_mtime >= self.began]
        unfinished = [p for p in mine if ending(p) != "completed"]
        if unfinished:
            say(f"unfinished:   {len(unfinished)}; go on with the same command and sweep={self.folder.name}")
        self.code = CODES[signal.Signals(asked).name] if asked else int(bool(unfinished))
        (self.folder / STOP).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the folder of a sweep that Hydra refused before its first job, if it was made for it."""
        if self.new and {p.name for p in self.folder.glob("*")} <= {"multirun.yaml"}:
            shutil.rmtree(self.new, ignore_errors=True)


def check(cfg: Any) -> None:
    """Refuse values out of range in any job before the first one starts.

    Raises:
        UsageError: names the key and the value.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    config.check(cfg)
    for override in OverridesParser.create().parse_overrides(list(cfg.hydra.overrides.task)):
        if not override.is_discrete_sweep() or override.key_or_group not in config.RANGES:
            continue
        for value in override.sweep_iterator():
            trial = copy.deepcopy(cfg)
            try:
                OmegaConf.update(trial, override.key_or_group, getattr(value, "text", value))
            except OmegaConfBaseException:  # of another type: Hydra says so when it composes the jobs
                continue
            config.check(trial)


def leaderboard(sweep: Path) -> Any:
    """Rebuild `leaderboard.csv` from the jobs' folders: settings that differ, status, metrics, folder.

    The best is first, unless jobs are judged in different ways: then each way has a column of its own.
    """
    import pandas as pd

    from gan_runner.comparison.columns import side_by_side
    from gan_runner.comparison.papers import Papers

    places = [p.parent for p in sorted(sweep.rglob("exit.json"))]
    chosen = pd.DataFrame([settings_of(p) for p in places], index=range(len(places)))
    same = [c for c in chosen if len(set(map(str, chosen[c]))) == 1]
    table = chosen.drop(columns=same).assign(status=[ending(p) for p in places])
    done = [i for i, p in enumerate(places) if ending(p) == "completed"]
    results = [read_json(places[i] / "result.json") for i in done]
    metrics = pd.DataFrame(side_by_side([Papers(places[i]) for i in done]), index=done).reindex(range(len(places)))
    goals = {(r["track"], r.get("goal", "min")) for r in results if r.get("track") in metrics.columns}
    if len(goals) == 1:
        ((track, goal),) = goals
        metrics = metrics.sort_values(track, ascending=goal == "min", kind="stable")
        metrics.insert(0, track, metrics.pop(track))
    table = pd.concat([table.loc[metrics.index], metrics], axis=1).assign(
        job=[str(places[i].relative_to(sweep)) for i in metrics.index]
    )
    draft = sweep / f".leaderboard.{os.getpid()}"
    table.to_csv(draft, index=False)
    draft.replace(sweep / "leaderboard.csv")
    return table


def settings_of(place: Path) -> dict[str, str]:
    """The overrides of a job."""
    overrides = read_json(place / "exit.json").get("overrides", [])
    return {key: value for key, _, value in (str(o).partition("=") for o in overrides)}


def ending(place: Path) -> str:
    """How a job stands: not started, completed, interrupted or failed (with its exit code or the signal's name)."""
    code = read_json(place / "exit.json").get("code")
    state = str(read_json(place / "status.json").get("state", "not started"))
    if code in (None, 0):
        return state
    if code in CODES.values() or -code in {signal.Signals[name] for name in CODES}:
        return "interrupted"
    return f"failed ({signal.strsignal(-code) if code < 0 else code})"


def value_of(place: Path) -> float:
    """The tracked metric of a completed job."""
    result = read_json(place / "result.json")
    return float(result.get("metrics", {}).get(result.get("track"), float("nan")))
