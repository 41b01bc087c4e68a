"""What must happen when something goes wrong in mid-run, each injected into a real run in its own folder."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from gan_runner import build as building
from gan_runner import checkpoint, record, signals, train
from gan_runner.draw import evaluating
from gan_runner.errors import Fault
from gan_runner.metrics.probe import Findings
from tests.conftest import ROOT, compose
from tests.short_runs import TIMES, TOY, bits, refusal, run, saved, status, whole

fork = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[Any], Any]], None]:
    """Do something to the run once its clock has come to a step, before the recorder hears of it."""

    def arrange(step: int, act: Callable[[Any], Any]) -> None:
        def disturbed(self: Any, logs: Any, do: Any = record.Recorder.step) -> None:
            if self.run.state.clock.step == step:
                act(self.run)
            do(self, logs)

        monkeypatch.setattr(record.Recorder, "step", disturbed)

    return arrange


# -- F02: the disk ----------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [3, 4])
def test_f02_a_full_disk_is_asked_again(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    left, waits = [failures], []

    def full(draft: Path, *rest: Any, do: Any = checkpoint._write) -> None:
        left[0] -= rest[-1]["step"] == 12
        if rest[-1]["step"] == 12 and left[0] >= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        do(draft, *rest)

    monkeypatch.setattr(checkpoint, "_write", full)
    monkeypatch.setattr(record.time, "sleep", waits.append)
    with pytest.warns(UserWarning, match="No space left on device; trying again"):
        if failures == 3:
            assert run() == 0 and saved() == [6, 12]
        else:
            fault = refusal()
            assert (fault.code, fault.id, saved()) == (74, "F02", [6]) and "step-00000006" in fault.kept
            assert status()["state"] == "failed"
    assert tuple(waits) == record.PATIENCE


# -- F10: TensorBoard's files ----------------------------------------------------------------------


def test_f10_damaged_event_files_neither_stop_a_resumed_run_nor_hide_it() -> None:
    """Garbage, a torn file and one from the future: TensorBoard's own loader shows every report once."""
    assert run() == 0
    (mine,) = Path("r/tb").glob("events*")
    mine.write_bytes(mine.read_bytes()[:-7])
    (mine.parent / "events.out.tfevents.0000000001.garbage").write_bytes(b"no event" * 30)
    mine.rename(mine.with_name("events.out.tfevents.4000000000.future"))
    assert run("resume=r", "train.steps=20") == 0
    assert [p.name for p in (mine.parent / ".bad").iterdir()] == ["events.out.unreadable.0000000001.garbage"]
    rows = [json.loads(line)["step"] for line in Path("r/metrics.jsonl").read_text().splitlines()]
    shown = EventAccumulator("r/tb", size_guidance={"tensors": 0}).Reload().Tensors("game/generator_loss")
    assert [e.step for e in shown] == rows == [5, 10, 12, 15, 20]


# -- F11: numbers that are not finite --------------------------------------------------------------


def poison(state: Any, where: str) -> None:
    with torch.no_grad():
        next(t for name, t in state.tensors().items() if name.startswith(where) and t.is_floating_point()).fill_(
            float("nan")
        )


@pytest.mark.parametrize("step", [7, 10])  # a step that is reported, and one that is not
@pytest.mark.parametrize(
    "where", ["nets.generator", "nets.discriminator", "average.generator", "players.discriminator"]
)
def test_f11_a_tensor_that_is_not_finite_ends_the_run(where: str, step: int, after: Any) -> None:
    after(step, lambda run: poison(run.state, where))
    fault = refusal()
    assert (fault.code, fault.id) == (79, "F11") and "learning rates: discriminator" in fault.what
    assert saved() == [6] and status()["state"] == "diverged" and Path("r/diverged/state.pt").is_file()
    assert all(t.isfinite().all() for t in checkpoint.newest(Path("r/ckpt"))[1]["nets"].values())


def test_f11_a_batch_norm_buffer_that_is_not_finite_is_never_saved(after: Any) -> None:
    image = ("dataset=digits", "model=dcgan", "model.width=4", "train.batch_size=8")
    cfg = compose(*image, "probes=none", "run.dir=r", *TIMES[1:])

    def act(run: Any) -> None:
        next(b for n, b in run.state.nets.named_buffers() if n.endswith("running_var")).fill_(float("inf"))

    after(8, act)
    with pytest.raises(Fault, match=r"F11.*running_var is not finite at step 10") as caught:
        train.train(cfg, [])
    assert caught.value.code == 79 and saved() == [6]


def test_f11_data_that_are_not_finite_are_named_by_the_first_step(after: Any) -> None:
    after(7, lambda run: run.source.data.fill_(float("nan")))
    fault = refusal()
    assert fault.code == 79 and "loss is not finite at step 8 " in fault.what and saved() == [6]


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_f11_a_rollback_goes_on_from_the_newest_checkpoint_by_other_numbers(allowed: int, after: Any) -> None:
    """Two divergences in step 8: with two rollbacks the run completes, and is resumed to the bits of a whole one."""
    left, met = [2], []

    def fail(run: Any) -> None:
        met.append(next(run.state.nets.parameters()).detach().clone())
        left[0] -= 1
        if left[0] >= 0:
            poison(run.state, "nets.generator")

    after(8, fail)
    rollbacks = f"train.rollbacks={allowed}"
    if allowed < 2:
        assert refusal(rollbacks).code == 79 and saved() == [6] and len(met) == 1 + allowed
        return
    with pytest.warns(UserWarning, match="rollback 2 to step 6"):
        assert run(rollbacks) == 0
    assert saved() == [6, 12] and status()["rollbacks"] == 2 and status()["state"] == "completed"
    assert len(met) == 3 and not torch.equal(met[0], met[1]) and not torch.equal(met[1], met[2])
    steps = [json.loads(line)["step"] for line in Path("r/metrics.jsonl").read_text().splitlines()]
    assert steps == [5, 10, 12], "each report is on record once"
    assert run("resume=r", rollbacks, "train.steps=18") == 0
    left[0] = 2
    assert bits() == whole(rollbacks, "train.steps=18")


# -- F14, F15, F37: exceptions ---------------------------------------------------------------------


class Fails:
    """A probe that disturbs the random numbers and fails while it draws."""

    every, kinds = 4, frozenset({"table"})

    def __call__(self, draw: Any, source: Any) -> Findings:
        torch.rand(3), draw(5)
        with evaluating(draw.state):
            raise RuntimeError("one thing\nor another")


def with_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "build_probes", lambda *_: ({"mine": Fails()}, None))


@pytest.mark.filterwarnings("ignore:probe mine failed")
def test_f14_a_failing_probe_changes_no_bit(monkeypatch: pytest.MonkeyPatch, after: Any) -> None:
    undisturbed = whole()
    with_probe(monkeypatch)
    modes: list[bool] = []
    after(5, lambda run: modes.extend(net.training for net in run.state.nets.values()))
    with pytest.warns(UserWarning, match="probe mine failed at step 4: .*training goes on"):
        assert run() == 0
    assert bits() == undisturbed and modes == [True, True] and "Traceback" in Path("r/run.log").read_text()


@pytest.mark.filterwarnings("ignore:probe mine failed")
def test_f14_what_a_probe_found_before_it_failed_is_not_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Once(Fails):
        def __call__(self, draw: Any, source: Any) -> Findings:
            if draw.state.clock.step > 4:
                raise RuntimeError("not again")
            return Findings({"oddity": 5.0})

    monkeypatch.setattr(building, "build_probes", lambda *_: ({"mine": Once()}, None))
    assert run() == 0 and json.loads(Path("r/result.json").read_text())["metrics"] == {}


def test_f14_a_failing_probe_ends_a_strict_run_after_a_save(monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = whole()
    with monkeypatch.context() as patch:
        with_probe(patch)
        fault = refusal("strict=true")
    assert (fault.code, fault.id, saved()) == (1, "F14", [4]) and "checkpoint of step 4" in fault.kept
    assert run("resume=r") == 0 and bits() == undisturbed


def failing_at(step: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the step after `step` iterations of a run that nobody watches raise, with half of its work done."""

    def take(self: Any, index: Any, do: Any = building.Source.take) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise error
        return do(self, index)

    left = [step]
    monkeypatch.setattr(building.Source, "take", take)


def test_f15_an_exception_in_the_step_leaves_diagnostics_and_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at(8, ZeroDivisionError("by\nzero"), monkeypatch)
    fault = refusal("watch=none")
    assert (fault.code, fault.id, saved()) == (1, "F15", [6]) and "ZeroDivisionError at step 8: by" in fault.what
    assert "step 6" in fault.kept and status()["exit_code"] == 1
    assert json.loads(Path("r/crash/where.json").read_text()) == {"step": 8, "seen": 128, "seed": 0}
    assert "in take" in Path("r/crash/traceback.txt").read_text()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory"), MemoryError()]
)
def test_f37_out_of_memory_names_the_batch_and_the_remedy(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = whole()
    with monkeypatch.context() as patch:
        failing_at(8, error, patch)
        fault = refusal("watch=none")
    assert (fault.code, fault.id, saved()) == (69, "F37", [6])
    for word in ("step 8", "train.batch_size=16", "MiB", "train.batch_size=8", "train.precision=bf16"):
        assert word in str(fault)
    assert run("resume=r") == 0 and bits() == undisturbed  # what was saved goes on


# -- F32, F33: signals -----------------------------------------------------------------------------

ENDINGS = [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "preempted"), ("SIGHUP", 129, "preempted")]


@pytest.mark.parametrize(("name", "code", "state"), [*ENDINGS, ("SIGUSR1", 75, "preempted")])
def test_f33_each_signal_saves_and_the_run_goes_on_to_the_same_bits(
    name: str, code: int, state: str, after: Any
) -> None:
    undisturbed = whole()
    after(8, lambda run: signal.raise_signal(signal.Signals[name]))
    assert run() == code
    assert (status()["state"], status()["exit_code"], status()["step"]) == (state, code, 8) and saved() == [6, 8]
    assert run("resume=r") == 0 and bits() == undisturbed


def interrupt_saves(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Press Ctrl-C so many times while a checkpoint is being written."""

    def write(*args: Any, do: Any = checkpoint._write) -> None:
        do(*args)
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(checkpoint, "_write", write)
    monkeypatch.setattr(signals, "GRACE", -1.0)


@pytest.mark.parametrize("times", [1, 2])
def test_f32_ctrl_c_during_a_save_leaves_the_old_checkpoint_or_the_new(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: the save is finished. Twice: the process is gone at once, its draft is swept, nothing else is lost."""
    undisturbed = whole()
    assert run("train.steps=3") == 0
    with monkeypatch.context() as patch:
        interrupt_saves(patch, times)
        child = fork.Process(target=lambda: sys.exit(run("resume=r")))
        child.start(), child.join(60)
    assert child.exitcode == 130
    assert saved() == ([3, 6] if times == 1 else [3])
    assert len(list(Path("r/ckpt").glob(".tmp-*"))) == times - 1
    assert run("resume=r") == 0 and bits() == undisturbed
    assert not list(Path("r/ckpt").glob(".tmp-*"))


# -- F67: nobody listens ---------------------------------------------------------------------------

PROGRAM = """
import sys, warnings
from gan_runner.__main__ import run_safely
from gan_runner.console import say
from gan_runner.errors import MissingInput

def work():
    sys.stdin.read()
    for n in range(3):
        say("x" * 100_000)
        warnings.warn(f"warning {n}")
    print("left over")
    raise MissingInput("nothing there", "look elsewhere")

sys.exit(run_safely(work))
"""


def test_f67_lost_pipes_change_no_exit_code() -> None:
    """Warnings, last words and refusals into closed pipes, as with `2>&1 | head`."""
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    child = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, **pipes)  # type: ignore[call-overload]
    child.stdout.close(), child.stderr.close(), child.stdin.close()
    assert child.wait(60) == 66


def test_f67_a_nothing_to_do_that_nobody_reads_is_no_error(cli: Any, tmp_path: Path) -> None:
    assert run() == 0
    command = f"{sys.executable} -m gan_runner resume=r {' '.join(TOY + TIMES)} | true; exit ${{PIPESTATUS[0]}}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
