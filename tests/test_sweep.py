"""Sweeps as a user starts them: jobs that die in every way, stops, going on, and the table at the end."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

BOMBS = '''"""A payoff that kills its job."""
import os, pathlib, signal, time
from gan_runner.losses.payoffs import NonSaturating

class Bomb(NonSaturating):
    def __init__(self, how: str = "fine"):
        self.how, self.turn = how, 0

    def generator(self, real, fake):
        self.turn += 1
        if pathlib.Path("gate").exists() and self.turn > 3:
            return time.sleep(0.7) or super().generator(real, fake)
        if self.turn == 3:
            match self.how:
                case "raise":
                    raise RuntimeError("boom")
                case "exit":
                    os._exit(7)
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "diverge":
                    return super().generator(real, fake) * float("nan")
        return super().generator(real, fake)
'''
SWEEP = (
    *("-m", "--config-dir", "mine", "trust=[bombs]", "dataset=ring8", "dataset.n=500", "train.batch_size=32"),
    *("probes=none", "train.steps=6", "train.log_every=1", "loss=bomb", "sweep=s"),
)


@pytest.fixture
def bombs(tmp_path: Path) -> Path:
    """The folder of the sweep `s` in a place that has the payoff above."""
    (tmp_path / "mine/loss").mkdir(parents=True)
    (tmp_path / "bombs.py").write_text(BOMBS)
    (tmp_path / "mine/loss/bomb.yaml").write_text(
        "# Kills its job\n_target_: gan_runner.losses.adversarial.Adversarial\n"
        "payoff: {_target_: bombs.Bomb, how: fine}\npenalties: {}\nn_critic: 1\n"
    )
    return tmp_path / "outputs/sweeps/s"


def board(sweep: Path, key: str) -> dict[str, str]:
    """Setting -> status, from the leaderboard."""
    with open(sweep / "leaderboard.csv") as file:
        return {row[key]: row["status"] for row in csv.DictReader(file)}


def job(sweep: Path, setting: str) -> Path:
    """The folder of the job with this override."""
    (found,) = [p.parent for p in sweep.glob("*/exit.json") if setting in json.loads(p.read_text())["overrides"]]
    return found


def test_jobs_die_alone(cli, bombs: Path) -> None:
    """Five ways to end, none of them the others' business; repeating runs what is not complete."""
    done = cli(*SWEEP, "loss.payoff.how=raise,exit,kill,diverge,fine")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert board(bombs, "loss.payoff.how") == {
        "raise": "failed (1)",
        "exit": "failed (7)",
        "kill": "failed (Killed)",
        "diverge": "failed (79)",
        "fine": "completed",
    }
    crash = job(bombs, "loss.payoff.how=raise") / "crash/traceback.txt"
    assert "boom" in crash.read_text() and "bombs.py" in crash.read_text()
    assert "boom" in done.stderr and "F11" in done.stderr
    assert "unfinished:   4" in done.stdout
    fine = job(bombs, "loss.payoff.how=fine") / "result.json"
    before = fine.stat().st_mtime_ns
    again = cli(*SWEEP, "loss.payoff.how=exit,fine")
    assert again.returncode == 1 and again.stdout.count("is done already") == 1
    assert fine.stat().st_mtime_ns == before
    assert cli(*SWEEP, "loss.payoff.how=fine").returncode == 0


@pytest.mark.parametrize(
    ("number", "code", "launcher"),
    [
        (signal.SIGINT, 130, []),
        (signal.SIGTERM, 143, []),
        (signal.SIGTERM, 143, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
    ],
)
def test_a_stopped_sweep_goes_on(
    number: signal.Signals, code: int, launcher: list[str], cli, bombs: Path, cache: Path
) -> None:
    """The running jobs save, the rest are not started; the same command then does what is missing."""
    if launcher:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    place, running, seeds = bombs.parents[2], 2 if launcher else 1, "seed=1,2,3" if launcher else "seed=1,2"
    (place / "gate").touch()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "GAN_RUNNER_DATA": str(cache)}
    command = [sys.executable, "-m", "gan_runner", *SWEEP, seeds, *launcher]
    parent = subprocess.Popen(command, cwd=place, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    began = time.monotonic()
    while len(list(bombs.glob("*/metrics.jsonl"))) < running:
        if time.monotonic() - began > 60 or parent.poll() is not None:
            parent.kill()
            pytest.fail(f"no job came to its first report: {parent.communicate()}")
        time.sleep(0.05)
    time.sleep(0.3)
    parent.send_signal(number)
    out, err = parent.communicate(timeout=60)
    assert parent.returncode == code and "Traceback" not in err, err
    states = board(bombs, "seed")
    assert sorted(states.values()) == ["interrupted"] * running + ["not started"]
    stopped = next(seed for seed, state in states.items() if state == "interrupted")
    assert list(job(bombs, f"seed={stopped}").glob("ckpt/step-*"))
    assert "sweep=s" in out
    (place / "gate").unlink()
    done = cli(*SWEEP, seeds, *launcher)
    assert done.returncode == 0, done.stderr
    assert set(board(bombs, "seed").values()) == {"completed"}
    rows = (job(bombs, f"seed={stopped}") / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == list(range(1, 7))
    if launcher:
        threads = json.loads((job(bombs, "seed=3") / "manifest.json").read_text())["threads"]
        assert threads == max((os.cpu_count() or 1) // 2, 1)


@pytest.mark.parametrize(
    "line", ["loss=ns,wgan_pg", "lrr=1,2", "train.steps=1,0", "seed=1,a", "seed=1,2 train.steps=0"]
)
def test_a_bad_sweep_leaves_nothing(line: str, cli, tmp_path: Path) -> None:
    done = cli("-m", *line.split())
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "fix: " in done.stderr and list(tmp_path.iterdir()) == []


def test_a_bad_override_keeps_the_sweep(cli, tmp_path: Path) -> None:
    (tmp_path / "outputs/sweeps/s/old").mkdir(parents=True)
    assert cli("-m", "loss=ns,wgan_pg", "sweep=s").returncode == 2
    assert (tmp_path / "outputs/sweeps/s/old").is_dir()


# -- the table, from folders made by hand ----------------------------------------------------------


def finished(sweep: Path, name: str, overrides: list[str], goal: str, value: float, n: int = 100) -> None:
    (sweep / name).mkdir(parents=True)
    judge = f"{{_target_: gan_runner.metrics.quality.ImageQuality, n: {n}}}"
    (sweep / name / "config.yaml").write_text(
        f"seed: 0\ntrain: {{}}\nmodel: {{}}\nloss: {{}}\nprobes: {{quality: {judge}}}\n"
    )
    (sweep / name / "exit.json").write_text(json.dumps({"code": 0, "overrides": overrides}))
    (sweep / name / "status.json").write_text('{"state": "completed"}')
    metrics = {"loss": -value, "score": value}
    (sweep / name / "result.json").write_text(json.dumps({"track": "score", "goal": goal, "metrics": metrics}))


@pytest.mark.parametrize(("goal", "order"), [("min", ["1", "2", "3"]), ("max", ["3", "2", "1"])])
def test_the_best_comes_first(goal: str, order: list[str], tmp_path: Path) -> None:
    """Whichever way is better; jobs without a result come last; only settings that differ are shown."""
    from gan_runner.sweep import leaderboard

    for seed in (2, 3, 1):
        finished(tmp_path, f"job{seed}", ["loss=ns", f"seed={seed}"], goal, float(seed))
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead/exit.json").write_text('{"code": -11, "overrides": ["loss=ns", "seed=4"]}')
    table = leaderboard(tmp_path)
    assert list(table["seed"]) == [*order, "4"]
    assert list(table.columns) == ["seed", "status", "score", "loss", "job"]
    assert list(table["status"]) == ["completed"] * 3 + ["failed (Segmentation fault)"]
    assert list(table["job"]) == [*(f"job{i}" for i in order), "dead"]


def test_jobs_that_are_judged_in_different_ways_are_not_ranked(tmp_path: Path) -> None:
    from gan_runner.sweep import leaderboard

    for n, value in ((100, 2.0), (200, 1.0)):
        finished(tmp_path, f"job{n}", [f"probes.quality.n={n}"], "min", value, n)
    table = leaderboard(tmp_path)
    assert list(table["job"]) == ["job100", "job200"]
    assert table["score (quality.n 100)"].isna().tolist() == [False, True]
    assert table["score (quality.n 200)"].isna().tolist() == [True, False] and "score" not in table


def test_jobs_never_share_a_folder() -> None:
    from gan_runner.config import job_name

    names = {
        job_name(o, 0) for o in ("loss.constraints={}", "loss.constraints=[]", "a=" + "x" * 99, "a=" + "x" * 98 + "y")
    }
    assert len(names) == 4 and max(map(len, names)) <= 100
    assert job_name("loss=ns,seed=1", 0) == "loss=ns,seed=1" and job_name("", 3) == "job3"
