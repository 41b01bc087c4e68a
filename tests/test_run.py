"""Runs as a user starts them: what lies in the folder, what is said, how they end and go on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from gan_runner import config
from gan_runner.train import scores
from tests.conftest import ROOT

TOY = ("dataset=ring8", "dataset.n=2000", "train.batch_size=32", "probes=none", "train.log_every=5")


def state_hash(folder: Path) -> str:
    """Digest of every bit in the newest checkpoint; its file's own sha256 also tells apart equal objects in pickles."""
    from gan_runner import checkpoint

    digest = hashlib.sha256()

    def add(node: object) -> None:
        if isinstance(node, torch.Tensor):
            digest.update(node.numpy().tobytes())
        elif isinstance(node, (dict, list, tuple)):
            for part in node.items() if isinstance(node, dict) else node:
                add(part)
        else:
            digest.update(repr(node).encode())

    add(checkpoint.newest(folder / "ckpt")[1])
    return digest.hexdigest()


def test_a_run_folder_is_self_contained(cli, tmp_path: Path) -> None:
    done = cli("train.steps=6", "run.dir=r", "train.log_every=2")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "r"
    for name in (
        "config.yaml",
        "overrides.yaml",
        "manifest.json",
        "status.json",
        "result.json",
        "metrics.jsonl",
        "run.log",
    ):
        assert (folder / name).stat().st_size, name
    assert json.loads((folder / "status.json").read_text())["state"] == "completed"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows if "game/generator_loss" in r] == [2, 4, 6]
    told = done.stdout.splitlines()[-4:]
    assert any("run folder:" in line for line in told) and any("tensorboard" in line for line in told)
    picture = next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("samples:"))
    assert (tmp_path / picture).is_file() or Path(picture).is_file()
    for what in ("grid", "npz", "pt", "png"):
        assert cli("run=r", "n=10", f"format={what}", f"out=s.{what}", module="gan_runner.sample").returncode == 0
    assert torch.load(tmp_path / "s.pt", weights_only=True).shape == (10, 1, 16, 16)
    assert len(list((tmp_path / "s.png").iterdir())) == 10
    again = cli("resume=r")
    assert again.returncode == 0 and "nothing to do" in again.stdout


def test_a_run_starts_without_what_it_does_not_need(tmp_path: Path, cache: Path) -> None:
    """A training with checkpoint imports neither the compiler nor torchvision nor pandas: seconds of waiting."""
    program = (
        "import sys\n"
        "from gan_runner.__main__ import main\n"
        "sys.argv = ['gan_runner', 'train.steps=2', 'probes=none', 'run.dir=r']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('HEAVY', *{'torch._dynamo', 'torchvision', 'pandas', 'matplotlib'}.intersection(sys.modules))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "GAN_RUNNER_DATA": str(cache)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["HEAVY"], done.stdout + done.stderr


def test_sampling_needs_the_folder_alone(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same seed, same samples; other seed, other samples; the data set may be gone."""
    assert cli(*TOY, "train.steps=4", "run.dir=r").returncode == 0
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        done = cli("run=r", "n=5", f"seed={seed}", f"out={name}.csv", module="gan_runner.sample")
        assert done.returncode == 0, done.stderr
    a, b, c = ((tmp_path / f"{n}.csv").read_text() for n in "abc")
    assert a == b != c
    assert a.startswith("x,y\n")


@pytest.mark.parametrize(
    ("args", "code", "word"),
    [
        ((), 0, "run"),
        (("run=nowhere",), 66, "nowhere"),
        (("run=r", "n=0"), 2, "n=0"),
        (("run=r", "n=ten"), 2, "n=ten"),
        (("run=r", "format=jpg"), 2, "format=jpg"),
        (("run=r", "sed=1"), 2, "seed"),
        (("n=3",), 2, "run"),
    ],
)
def test_sample_refuses(args: tuple[str, ...], code: int, word: str, cli, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/manifest.json").write_text("{}")
    done = cli(*args, module="gan_runner.sample")
    assert done.returncode == code and word in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_cannot_smuggle_code(cli, tmp_path: Path) -> None:
    """A run folder from elsewhere names a class outside the rooms: refused before anything is imported."""
    assert cli(*TOY, "train.steps=2", "run.dir=r").returncode == 0
    config = tmp_path / "r/config.yaml"
    config.write_text(config.read_text().replace("gan_runner.losses.payoffs.NonSaturating", "os.system"))
    done = cli("run=r", module="gan_runner.sample")
    assert done.returncode == 77 and "os.system" in done.stderr


def test_resume_by_folder_recalls_the_settings(cli, tmp_path: Path) -> None:
    """A run stopped at 6 and continued to 12 ends where one of 12 does; the rate may be changed on the way."""
    assert cli(*TOY, "loss=r3gan", "train.steps=12", "run.dir=whole").returncode == 0
    assert cli(*TOY, "loss=r3gan", "train.steps=6", "run.dir=part").returncode == 0
    done = cli("resume=part", "train.steps=12")
    assert done.returncode == 0, done.stderr
    assert state_hash(tmp_path / "whole") == state_hash(tmp_path / "part")
    rows = [json.loads(line)["step"] for line in (tmp_path / "part/metrics.jsonl").read_text().splitlines()]
    assert rows == sorted(set(rows)) and rows[-1] == 12


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "tests/golden").iterdir()))
def test_runs_of_older_versions_make_the_same_samples_and_go_on(name: str, cli, tmp_path: Path) -> None:
    """One run folder for each format of checkpoints that was ever released."""
    shutil.copytree(ROOT / "tests/golden" / name, tmp_path / "old")
    done = cli("run=old", "n=4", "format=csv", "out=now.csv", module="gan_runner.sample")
    assert done.returncode == 0, done.stderr
    now, then = (pd.read_csv(tmp_path / p).to_numpy() for p in ("now.csv", "old/samples.csv"))
    assert now == pytest.approx(then, abs=1e-5)
    done = cli("resume=old", "train.steps=8")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "old/status.json").read_text())["step"] == 8


def test_resume_refuses_another_recipe(cli, tmp_path: Path) -> None:
    assert cli(*TOY, "train.steps=4", "run.dir=r").returncode == 0
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "r").rglob("*") if p.name != "run.lock")
    other_loss = cli("resume=r", "loss=hinge", "train.steps=8")
    assert other_loss.returncode == 66 and "NonSaturating" in other_loss.stderr
    other_batch = cli("resume=r", "train.batch_size=64", "train.steps=8")
    assert other_batch.returncode == 2 and "resume_force=[train.batch_size]" in other_batch.stderr
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "r").rglob("*") if p.name != "run.lock")
    changed = cli("resume=r", "optimizer.lr=0.01", "train.steps=8")
    assert changed.returncode == 0, changed.stderr
    rows = [json.loads(line) for line in (tmp_path / "r/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["optimizer/generator_lr"] == pytest.approx(0.01)


def start(tmp_path: Path, cache: Path, *args: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "GAN_RUNNER_DATA": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gan_runner", *args]
    return subprocess.Popen(command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(path: Path, child: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    while not path.exists():
        assert time.monotonic() - began < 60 and child.poll() is None, child.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "code", "state"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "preempted"),
        (signal.SIGHUP, 129, "preempted"),
        (signal.SIGUSR1, 75, "preempted"),
    ],
)
def test_signals_save_and_end(number: signal.Signals, code: int, state: str, tmp_path: Path, cache: Path) -> None:
    child = start(tmp_path, cache, *TOY, "train.steps=1000000", "run.dir=r")
    wait_for(tmp_path / "r/metrics.jsonl", child)
    time.sleep(0.3)
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == code, err
    status = json.loads((tmp_path / "r/status.json").read_text())
    assert status["state"] == state and status["resumable"]
    assert (tmp_path / f"r/ckpt/step-{status['step']:08d}").is_dir()
    assert "resume=" in out and "Traceback" not in err


def chaos(kills: int, tmp_path: Path, cache: Path) -> None:
    """kill -9 at random, restart with resume=auto, until done: the bits of a run nobody disturbed."""
    import random

    steps = 100 * (kills + 2)
    loss = ("loss=r3gan", f"train.steps={steps}", "train.checkpoint_every=20")
    whole = start(tmp_path, cache, *TOY, *loss, "run.dir=whole")
    assert whole.wait(timeout=120) == 0
    rng, saved = random.Random(7), tmp_path / "hunted/ckpt"
    for kill in range(kills):
        child = start(tmp_path, cache, *TOY, *loss, "run.dir=hunted", "resume=auto")
        target, began = 100 * kill + rng.randrange(20, 100), time.monotonic()
        while not saved.is_dir() or not [p for p in saved.glob("step-*") if int(p.name[5:]) >= target]:
            assert child.poll() is None and time.monotonic() - began < 120, child.communicate()
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))  # somewhere in the steps or in the save that follow
        assert child.poll() is None, "it was too fast to be killed"
        child.kill()
        child.communicate()
    child = start(tmp_path, cache, *TOY, *loss, "run.dir=hunted", "resume=auto")
    assert child.wait(timeout=120) == 0, child.communicate()
    assert state_hash(tmp_path / "whole") == state_hash(tmp_path / "hunted")


def test_killed_runs_end_in_the_same_bits(tmp_path: Path, cache: Path) -> None:
    chaos(3, tmp_path, cache)


def test_scores_stand_beside_their_floors() -> None:
    lines = scores({"kid": -0.00012345, "neighbour_ratio": 1.25, "kid_floor": 0.001})
    assert lines == [
        "metric           samples     real rows",
        "kid              -0.0001234  0.001",
        "neighbour_ratio  1.25",
    ]
    assert scores({}) == []


@pytest.mark.slow
def test_runs_killed_twenty_times_end_in_the_same_bits(tmp_path: Path, cache: Path) -> None:
    chaos(20, tmp_path, cache)


def test_divergence_stops_the_run(cli, tmp_path: Path) -> None:
    done = cli(
        *TOY, "loss=wgan", "loss.constraints={}", "optimizer=sgd", "optimizer.lr=1e30", "train.steps=50", "run.dir=r"
    )
    assert done.returncode == 79, done.stderr
    assert "F11" in done.stderr and "step" in done.stderr
    assert json.loads((tmp_path / "r/status.json").read_text())["state"] == "diverged"
    assert not list((tmp_path / "r").glob("ckpt/step-*"))
    assert (tmp_path / "r/diverged/state.pt").is_file()


def test_one_run_per_folder(cli, tmp_path: Path, cache: Path) -> None:
    child = start(tmp_path, cache, *TOY, "train.steps=1000000", "run.dir=r")
    wait_for(tmp_path / "r/metrics.jsonl", child)
    second = cli(*TOY, "train.steps=5", "run.dir=r", "resume=auto")
    child.kill()
    child.communicate()
    assert second.returncode == 73 and str(child.pid) in second.stderr


def test_a_closed_pipe_does_not_stop_training(tmp_path: Path, cache: Path) -> None:
    child = start(tmp_path, cache, *TOY, "train.steps=300", "run.dir=r")
    assert child.stdout
    child.stdout.close()
    assert child.wait(timeout=60) == 0
    assert json.loads((tmp_path / "r/status.json").read_text())["state"] == "completed"


def test_sweeps_survive_their_jobs(cli, tmp_path: Path) -> None:
    """The second of three jobs diverges: the others run, the table names it, repeating runs only what failed."""
    sweep = ("-m", *TOY, "train.steps=20", "optimizer=sgd", "optimizer.lr=0.01,1e30,0.02", "loss=wgan", "sweep=s")
    done = cli(*sweep, "loss.constraints={}")
    assert done.returncode == 1, done.stderr
    board = (tmp_path / "outputs/sweeps/s/leaderboard.csv").read_text()
    assert board.count("completed") == 2 and board.count("failed (79)") == 1
    again = cli(*sweep, "loss.constraints={}")
    assert again.stdout.count("is done already") == 2


def test_compare_shows_what_differs(cli, tmp_path: Path) -> None:
    for seed in (1, 2):
        assert cli(*TOY, "train.steps=2", f"seed={seed}", f"run.dir=r{seed}").returncode == 0
    done = cli("r1", "r2", module="gan_runner.compare")
    assert done.returncode == 0, done.stderr
    header = (tmp_path / "compare.csv").read_text().splitlines()[0]
    assert header.startswith("run,seed,state,step,minutes,ms_per_sample,track,value")
    assert "train.batch_size" not in header
    assert cli("nowhere", module="gan_runner.compare").returncode == 66


def test_an_experiment_may_be_a_sweep_by_itself(cli, tmp_path: Path) -> None:
    """`hydra.mode` in its YAML makes it one; its jobs, resumed, are single runs again."""
    folder = tmp_path / "mine/experiment"
    folder.mkdir(parents=True)
    (folder / "pair.yaml").write_text(
        "# @package _global_\n# Two\nsweep: pair\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\n"
    )
    done = cli("--config-dir", "mine", *TOY, "train.steps=3", "+experiment=pair")
    assert done.returncode == 0, done.stderr
    jobs = sorted(p.parent for p in (tmp_path / "outputs/sweeps/pair").rglob("result.json"))
    assert [config.read(job)["seed"] for job in jobs] == [1, 2]
    again = cli("--config-dir", "mine", f"resume='{jobs[0]}'", "train.steps=5")
    assert again.returncode == 0, again.stderr
    steps = [json.loads((job / "status.json").read_text())["step"] for job in jobs]
    assert steps == [5, 3]
