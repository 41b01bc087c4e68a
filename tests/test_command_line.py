"""Command lines that cannot work: no traceback, the right code, one line with key and remedy, nothing created."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT

# arguments, exit code, words that the line must hold
BAD = [
    ("lrr=0.2", 2, ["lrr", "did you mean"]),
    ("optimizer.lrr=0.2", 2, ["optimizer.lrr", "optimizer.lr"]),
    ("optimizer.disc.lr=1", 2, ["optimizer.disc", "did you mean 'optimizer.discriminator'"]),
    ("optimizer.discriminator.lrr=1", 2, ["optimizer.discriminator.lrr", "lr"]),
    ("loss.gp_wieght=3", 2, ["loss.gp_wieght"]),
    ("dataset.path=my.csv", 2, ["it goes with dataset=", "numbers, stocks, table"]),
    ("loss=wgan_pg", 2, ["wgan_pg", "wgan_gp"]),
    ("loss=nothing_like_it", 2, ["nothing_like_it", "choose from"]),
    ("dataset=fashon", 2, ["fashon", "fashion"]),
    ("model=dcgn", 2, ["dcgn", "dcgan"]),
    ("optimizer=adamm", 2, ["adamm", "adam"]),
    ("schedule=polynomial", 2, ["polynomial", "choose from"]),
    ("losss=wgan", 2, ["losss", "loss"]),
    ("train.stepss=5", 2, ["train.stepss", "train.steps"]),
    ("seed=abc", 2, ["seed", "integer"]),
    ("seed=-1", 2, ["seed=-1"]),
    ("seed=1.5", 2, ["seed"]),
    ("train.steps=0", 2, ["train.steps=0", "above 0"]),
    ("train.steps=many", 2, ["train.steps=many"]),
    ("train.epochs=-3", 2, ["train.epochs=-3"]),
    ("train.epochs=nan", 2, ["train.epochs=nan"]),
    ("train.steps=5 train.epochs=2", 2, ["train.steps", "train.epochs", "exactly one"]),
    ("train.images=5 train.steps=5", 2, ["train.images", "exactly one"]),
    ("train.batch_size=0", 2, ["train.batch_size=0"]),
    ("train.batch_size=1", 2, ["batch_size=1", "batch norm"]),
    ("train.batch_size=100000", 65, ["1797", "100000"]),
    ("train.ema_halflife=-1", 2, ["train.ema_halflife=-1"]),
    ("train.precision=fp8", 2, ["train.precision=fp8", "bf16"]),
    ("train.program=fast", 2, ["train.program=fast", "compiled"]),
    ("train.checkpoint_keep=1", 2, ["train.checkpoint_keep=1"]),
    ("train.log_every=0", 2, ["train.log_every=0"]),
    ("optimizer.lr=-1", 2, ["lr=-1", "above 0"]),
    ("optimizer.lr=nan", 2, ["lr=nan"]),
    ("optimizer.lr=inf", 2, ["lr=inf"]),
    ("optimizer.lr=abc", 2, ["optimizer.lr=abc"]),
    ("optimizer.generator.lr=0", 2, ["generator.lr=0"]),
    ("optimizer.betas=[1.0,0.9]", 2, ["betas"]),
    ("optimizer.betas=[0.5]", 2, ["betas"]),
    ("loss.n_critic=0", 2, ["n_critic=0"]),
    ("loss=wgan_gp loss.penalties.gradient_penalty.weight=-1", 2, ["weight=-1"]),
    ("loss=wgan loss.constraints.clip.bound=0", 2, ["bound=0"]),
    ("loss=ns_consensus +loss.penalties.r1.weight=5", 2, ["penalties.r1", "_target_"]),
    ("dataset=ring8 loss=veegan +loss.terms.cycle.weight=5", 2, ["terms.cycle", "_target_"]),
    ("dataset=ring8 loss=vgrow_kl loss.payoff._target_=gan_runner.losses.payoffs.Wasserstein", 2, ["logits"]),
    ("device=gpu", 2, ["device=gpu", "cuda"]),
    ("device=cuda:99", 69, ["cuda:99", "device=auto"]),
    ("discriminator_norm=bach", 2, ["discriminator_norm=bach", "batch"]),
    ("dataset=huber model=dcgan", 2, ["dcgan", "mlp"]),
    ("dataset=ring8 probes=image", 2, ["probes"]),
    ("model.width=-5", 2, ["width=-5"]),
    ("resume=outputs/nothing", 66, ["outputs/nothing"]),
    ("run.name=../../escape", 77, ["escape"]),
    ("loss.payoff._target_=os.system", 77, ["os.system"]),
    ("loss.payoff._target_=gan_runner.losses.payoffs.Hing", 2, ["Hing", "Hinge"]),
    ("dataset=folder", 2, ["path"]),
    ("dataset=folder dataset.path=nowhere", 66, ["nowhere"]),
    ("dataset=table data=nowhere.csv", 66, ["nowhere.csv"]),
    ("foo", 2, ["foo"]),
    ("loss=", 2, ["loss"]),
    ("train.steps=[1", 2, ["train.steps"]),
]


@pytest.mark.parametrize(("line", "code", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_command_lines(line: str, code: int, words: list[str], cli, tmp_path: Path) -> None:
    done = cli(*line.split())
    said = [text for text in done.stderr.splitlines() if "error[" in text]
    assert done.returncode == code, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert len(said) == 1 and done.stderr.strip().count("\n") <= 1
    for word in [*words, "fix: "]:
        assert word in said[0], said[0]
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_are_spelled_out(cli) -> None:
    assert cli("train.steps=1e3").stderr.rstrip().endswith("write train.steps=1000")


@pytest.mark.parametrize("line", ["loss=ns,wgan_pg", "lrr=1,2", "train.steps=0,1"])
def test_bad_sweeps(line: str, cli, tmp_path: Path) -> None:
    done = cli("-m", line)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "error[" in done.stderr


def test_bad_yaml_of_the_user(cli, tmp_path: Path) -> None:
    (tmp_path / "mine/loss").mkdir(parents=True)
    (tmp_path / "mine/loss/bad.yaml").write_text("payoff: {_target_: [\n")
    done = cli("--config-dir", "mine", "loss=bad")
    assert done.returncode == 2 and "Traceback" not in done.stderr and "bad.yaml" in done.stderr
    assert cli("--config-dir", "missing", "loss=ns").returncode == 2


@pytest.mark.parametrize("line", ["--help", "--cfg job", "--version"])
def test_answers_without_torch(line: str, tmp_path: Path) -> None:
    """Questions are answered before torch is imported."""
    import subprocess
    import sys

    program = (
        "import sys; sys.argv = ['gan_runner', *sys.argv[1:]]\n"
        "import gan_runner.__main__ as m\n"
        "try: m.main()\n"
        "except SystemExit as e: assert not e.code\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    began = os.times().children_user
    done = subprocess.run([sys.executable, "-c", program, *line.split()], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert os.times().children_user - began < 3  # its own work, however busy the machine; `make bench` measures it


def test_help_names_every_option_with_a_line() -> None:
    from gan_runner import usage

    for group in usage.GROUPS:
        for name, path in usage.options(group).items():
            assert usage.headline(path), f"{group}={name} has no description"
