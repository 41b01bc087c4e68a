"""What a run writes down while it trains: numbers, pictures, checkpoints. Training is the same without it."""

from __future__ import annotations

import math
import resource
import time
import traceback
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_runner import checkpoint
from gan_runner.console import Console
from gan_runner.draw import Draw
from gan_runner.errors import Diverged, Fault, StorageError
from gan_runner.logbook import Logbook
from gan_runner.loop import Run
from gan_runner.signals import Stop
from gan_runner.state import Logs
from gan_runner.watch.alarm import Alert
from gan_runner.watchdog import Watchdog

START, END = -1, 0
"""Values of a probe's `every` that mean "before the first step" and "after the last"."""

PATIENCE = (1.0, 5.0, 25.0)
"""Seconds between attempts to save on a disk that is full or failing."""


class Recorder:
    """Logs, looks and saves at their intervals; see `gan_runner.loop.Recorder`.

    Args:
        facts: what the manifest of each checkpoint says about the run.
        stop: may ask to save now.
        minutes: of training itself, after which the run ends; None for no limit.
        patience: steps without a better tracked metric, after which the run ends; None for no end to it.
        strict: raise what a probe raises instead of warning.
    """

    def __init__(
        self,
        run: Run,
        folder: Path,
        logbook: Logbook,
        console: Console,
        *,
        log_every: int,
        checkpoint_every: int,
        keep: int,
        facts: Mapping[str, Any],
        stop: Stop,
        minutes: float | None = None,
        patience: int | None = None,
        strict: bool = False,
    ):
        self.run, self.folder, self.logbook, self.console = run, folder, logbook, console
        self.log_every, self.checkpoint_every, self.keep = log_every, checkpoint_every, keep
        self.facts, self.stop, self.strict = dict(facts), stop, strict
        self.draw = Draw(run.objective, run.state, run.source.device, run.seed)
        self.losses: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.named: dict[str, list[str]] = {}  # which of them a probe found
        self.looked: dict[str, int] = {}
        self.films: set[str] = set()
        self.saved = self.reported = run.state.clock.step
        worst = math.inf if run.falling else -math.inf
        self.best_step, self.best = checkpoint.best(self.checkpoints) or (0, worst)
        self.busy, self.mark, self.rate = 0.0, time.monotonic(), 0.0
        self.seen = run.state.clock.seen
        self.limit = math.inf if minutes is None else 60 * minutes
        self.patience = math.inf if patience is None else patience
        self.facts.setdefault("training_seconds", 0.0)  # of training itself, up to the last report
        self.watchdog = Watchdog(run, folder, logbook, console, self.draw, self.facts)
        self.row: dict[str, float] = {}

    @property
    def checkpoints(self) -> Path:
        return self.folder / "ckpt"

    def start(self) -> None:
        """Before the first step: what is shown once."""
        self.logbook.layout()
        if self.run.state.clock.step == 0:
            self.look(name for name, probe in self.run.probes.items() if probe.every == START)
        self.mark = time.monotonic()

    def step(self, logs: Logs) -> None:
        """After each iteration."""
        self.logbook.add(logs)
        step = self.run.state.clock.step
        if step % self.log_every == 0:
            self.report()
            self.heed()
        if self.limit < math.inf:
            self.keep_time()
        self.console.progress(step, self.rate, self.losses)
        due = [name for name, probe in self.run.probes.items() if probe.every > 0 and step % probe.every == 0]
        improved = self.look(due) if due else False
        if improved or self.stop.save_now or step % self.checkpoint_every == 0:
            self.save()
            self.stop.save_now = False
        if improved:
            checkpoint.mark_best(self.checkpoints, step, self.best)

    def finish(self) -> None:
        """After the last step: the rest of the numbers, a last look by every probe, a last checkpoint."""
        step = self.run.state.clock.step
        if self.reported < step:
            self.report()
        improved = self.look(n for n, p in self.run.probes.items() if p.every >= END and self.looked.get(n) != step)
        for name in sorted(self.films):
            self.logbook.film(name)
        self.save()
        if improved:
            checkpoint.mark_best(self.checkpoints, step, self.best)

    # -- numbers -----------------------------------------------------------------------------------

    def report(self) -> None:
        """Average the interval's logs, derive what they mean, refuse to go on with numbers that are not finite."""
        clock, pooled = self.run.state.clock, self.logbook.pool()
        self.reported = clock.step
        self.check_numbers(pooled)
        values = {
            f"game/{k.replace('/', '_')}": float(v.mean()) for k, v in pooled.items() if not k.startswith("score/")
        }
        values |= {f"game/{k}": v for k, v in self.run.objective.summary(pooled).items()}
        self.losses = {k[5:-5]: v for k, v in values.items() if k.endswith("_loss")}
        for name, player in self.run.state.players.items():
            values[f"gradient/{name}"] = float(player.gradient_norm())
            values[f"optimizer/{name}_lr"] = player.rate
        began = time.monotonic()
        values |= self.watchdog.measure()
        self.check_state()
        self.busy += time.monotonic() - began
        values |= self.speed()
        self.logbook.scalars(clock.step, values)
        self.row = {"step": clock.step, **values}
        if clock.step % (10 * self.log_every) == 0:
            for name in ("real", "fake"):
                if f"score/{name}" in pooled:
                    self.logbook.histogram(clock.step, f"score/{name}", pooled[f"score/{name}"])

    def heed(self) -> None:
        """Say what alarms hear at this tick, and do not go on where one is not to warn alone."""
        began = time.monotonic()
        for alert in self.watchdog.hear(self.row):
            self.watchdog.sound(alert)
            if alert.policy != "warn":
                raise self.alarmed(alert)
        self.busy += time.monotonic() - began

    def alarmed(self, alert: Alert) -> Diverged:
        """Why the run does not go on; one that stops keeps what it has come to."""
        stops = alert.policy == "stop"
        if stops:
            self.save()
        return Diverged(
            f"alarm {alert.name} at step {self.run.state.clock.step:,}: {alert.what}, since step {alert.since:,}",
            f"try {alert.advice}; or go on with resume={self.folder} watch=warn",
            kept=f"the checkpoint of step {self.saved:,} in {self.checkpoints}",
            id="F69",
            right=-1 if stops else alert.right,
        )

    def speed(self) -> dict[str, float]:
        """Images per second of training itself since the last report, its minutes so far, and memory in MiB."""
        seen, took = self.run.state.clock.seen, self.since_report()
        self.rate = (seen - self.seen) / max(took, 1e-9)
        self.facts["training_seconds"] += took
        self.mark, self.busy, self.seen = time.monotonic(), 0.0, seen
        return {
            "speed/images_per_second": self.rate,
            "speed/minutes": self.facts["training_seconds"] / 60,
            "speed/memory_mib": peak_mib(self.run.source.device),
        }

    def since_report(self) -> float:
        """Seconds of training itself since the last report: without looks, without saving."""
        return time.monotonic() - self.mark - self.busy

    def keep_time(self) -> None:
        """End a run whose time is spent, and guess its last step until then."""
        spent, step = self.facts["training_seconds"] + self.since_report(), self.run.state.clock.step
        self.console.total = min(self.run.steps, max(round(step * self.limit / max(spent, 1e-9)), step))
        if spent >= self.limit and step < self.run.steps:
            self.end(f"its {self.limit / 60:g} minutes are spent")

    def check_numbers(self, pooled: Mapping[str, Tensor]) -> None:
        """Refuse losses that are not finite, in whichever step of the interval it happened."""
        for name, values in pooled.items():
            bad = (~values.isfinite()).nonzero()
            if len(bad) and not name.startswith("score/"):  # scores come many to a step; their loss tells
                raise self.divergence(name, self.run.state.clock.step - len(values) + 1 + int(bad[0]))

    def check_state(self) -> None:
        """Refuse to save what is not finite: one norm for all tensors, each tensor only if that fails."""
        tensors = {k: t for k, t in self.run.state.tensors().items() if t.is_floating_point() and t.numel()}
        if not torch.stack(torch._foreach_norm(list(tensors.values()))).sum().isfinite():
            for name, tensor in tensors.items():
                if not tensor.isfinite().all():
                    raise self.divergence(name, self.run.state.clock.step)

    def divergence(self, name: str, step: int) -> Diverged:
        rates = ", ".join(f"{who} {player.rate:g}" for who, player in self.run.state.players.items())
        torch.save(self.run.state.state_dict(), _made(self.folder / "diverged") / "state.pt")
        what, advice = f"{name} is not finite", "a lower optimizer.lr, or a loss with a penalty such as loss=r3gan"
        self.watchdog.sound(Alert("non_finite", what, step, self.saved, "stop", advice))
        return Diverged(
            f"{what} at step {step:,} (learning rates: {rates}); state dumped to {self.folder}/diverged",
            f"try {advice}",
            kept=f"the checkpoint of step {self.saved:,} in {self.checkpoints}",
            id="F11",
            right=self.saved,
        )

    # -- probes ------------------------------------------------------------------------------------

    def look(self, names: Iterable[str]) -> bool:
        """Ask probes; returns whether the tracked metric is better than ever."""
        began, step, improved = time.monotonic(), self.run.state.clock.step, False
        for name in names:
            self.looked[name] = step
            try:
                found = self.run.probes[name](self.draw, self.run.source)
                for picture, rgb in found.pictures.items():
                    self.logbook.picture(step, picture, rgb)
                self.films |= {*found.films}
            except Exception as error:  # a probe is somebody else's code: training must survive it
                self.console.log(traceback.format_exc())
                for old in self.named.pop(name, ()):  # of another step's weights
                    self.metrics.pop(old, None)
                if self.strict:
                    self.save()
                    raise Fault(
                        f"probe {name} failed at step {step:,}: {error!r}",
                        f"read {self.folder}/run.log, or set strict=false",
                        kept=f"the checkpoint of step {step:,}",
                        id="F14",
                    ) from error
                warnings.warn(f"probe {name} failed at step {step}: {error!r}; training goes on", stacklevel=2)
                continue
            self.named[name] = [*found.scalars]
            if found.scalars:
                self.metrics |= found.scalars
                self.logbook.scalars(step, {tag(name): value for name, value in found.scalars.items()})
            improved |= self.improves(found.scalars)
            if self.run.track in found.scalars and self.best_step + self.patience <= step < self.run.steps:
                self.end(f"{self.run.track} has not been better than {self.best:.4g}, of step {self.best_step:,}")
            if found.stop:
                self.end(found.stop)
        self.busy += time.monotonic() - began
        return improved

    def end(self, reason: str) -> None:
        """Let the run be complete at this step."""
        step = self.run.steps = self.run.state.clock.step
        self.facts["stopped"] = reason
        self.logbook.text("stop/reason", reason, step)
        self.console.line(f"the run ends at step {step:,}: {reason}")

    def improves(self, scalars: Mapping[str, float]) -> bool:
        value = scalars.get(self.run.track or "", math.nan)
        if not math.isfinite(value):
            return False
        better = value < self.best if self.run.falling else value > self.best
        if better:
            self.best, self.best_step = value, self.run.state.clock.step
        return better

    # -- checkpoints -------------------------------------------------------------------------------

    def save(self) -> None:
        """Commit the whole state, once per step, if it is finite."""
        began, step = time.monotonic(), self.run.state.clock.step
        if self.saved == step and step:
            return
        self.check_state()
        self.commit(step)
        self.saved = step
        self.console.log(f"saved step {step}")
        self.busy += time.monotonic() - began

    def commit(self, step: int) -> None:
        """Put the state on the disk; one that is full is asked again, for the state is still in memory."""
        for wait in (*PATIENCE, None):
            try:
                checkpoint.save(
                    self.checkpoints, self.run.state.state_dict(), step=step, facts=self.facts, keep=self.keep
                )
                return
            except StorageError as fault:
                if wait is None or self.stop.requested:
                    raise
                warnings.warn(f"{fault.what}; trying again in {wait:g} s", stacklevel=2)
                checkpoint.sweep(self.checkpoints)
                time.sleep(wait)


def tag(name: str) -> str:
    """Where a finding is shown: TensorBoard opens the first two groups, and what never moves is not to fill them."""
    return f"reference/{name.removesuffix('_floor')}" if name.endswith("_floor") else f"eval/{name}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def peak_mib(device: torch.device) -> float:
    """The most memory held so far: tensors on a GPU, else what is resident of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
