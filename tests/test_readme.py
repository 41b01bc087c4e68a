"""The README's recipes, run as they stand there but shorter."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from gan_runner.build import build
from gan_runner.draw import Draw
from tests import data_fixtures
from tests.conftest import ROOT, compose

README = (ROOT / "README.md").read_text()
RECIPES = README.split("## Five recipes")[1].split("```")[1].strip().splitlines()
SHORT = {
    "fashion": ["train.batch_size=4", "train.ema_halflife=100"],
    "grid25": ["dataset.n=500"],
    "folder": ["train.batch_size=4"],
    "huber": ["dataset.n=500"],
}


def test_there_are_five() -> None:
    assert len(RECIPES) == 5


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe: str, cli, tmp_path: Path, cache: Path) -> None:
    data_fixtures.make_idx(tmp_path, "FashionMNIST")
    (tmp_path / "my_pictures").mkdir()
    for i in range(6):
        Image.new("RGB", (90 + i, 70), (40 * i, 80, 160)).save(tmp_path / f"my_pictures/{i}.jpg")
    words = [word for word in shlex.split(recipe)[3:] if not word.startswith("train.epochs=")]
    name = next((word.partition("=")[2] for word in words if word.startswith("dataset=")), "digits")
    done = cli(*words, *SHORT.get(name, []), "train.steps=2", "probes=none", f"data_dir={tmp_path}", timeout=600)
    assert done.returncode == 0, done.stderr
    if "-m" in words:
        board = (tmp_path / "outputs/sweeps/losses/leaderboard.csv").read_text()
        assert board.count("completed") == 9


BEYOND = [
    line
    for title in ("## Beyond images", "## Beside GANs")
    for line in README.split(title)[1].split("```")[1].strip().splitlines()
]


@pytest.mark.parametrize("line", [line for line in BEYOND if "gan_runner " in line])
def test_beyond_images(line: str, cli, tmp_path: Path) -> None:
    rows = "".join(f"{20 + 7 * k % 30},{1000 + 11 * k % 97}.50,{'yes' if k % 3 else 'no'}\n" for k in range(40))
    (tmp_path / "my.csv").write_text("age,income,owner\n" + rows)
    days = [f"2020-{1 + k // 28:02}-{1 + k % 28:02}" for k in range(60)]
    prices = (f"{day},{10 + k % 3},{20 + k % 5},{30 + k % 7}\n" for k, day in enumerate(days))
    (tmp_path / "prices.csv").write_text("date,A,B,C\n" + "".join(prices))
    words = shlex.split(line.partition("#")[0])[3:]
    words += ["dataset.ignore=[owner]"] if "experiment=robust" in words else []
    done = cli(*words, "train.steps=2", "train.batch_size=8", "probes=none", timeout=300)
    assert done.returncode == 0, done.stderr


def test_every_setting_in_the_tables_exists() -> None:
    """Keys named in backticks as key=value or alone are keys of the configuration."""
    from gan_runner import config, usage

    config.register()
    known = set(usage.all_keys([])) | set(usage.all_keys(["loss=wgan_gp", "dataset=fashion"])) | set(usage.GROUPS)
    table = README.split("## Settings worth knowing")[1]
    named = set(re.findall(r"`((?:train|optimizer|loss|dataset|run)\.[\w.]+)", table))
    assert named and named <= known


def test_pictures_are_there() -> None:
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).is_file(), picture


JS = "+probes.js._target_=gan_runner.metrics.js.JS"
METERED = {
    "dataset=digits": ["+probes.parzen._target_=gan_runner.metrics.parzen.Parzen", "probes.quality.n=100"],
    "dataset=ring8": ["dataset.n=500", "loss=wgan_gp", JS, "train.held_out=0.1", "train.batch_size=16"],
    "loss=elbo": [
        "+probes.likelihood._target_=gan_runner.metrics.likelihood.Likelihood",
        "+probes.latents._target_=gan_runner.pictures.latents.Latents",
        "probes.quality.n=100",
    ],
    "dataset=normal1d": ["dataset.n=500", "stop=half", JS, "train.batch_size=16"],
    "dataset=huber": ["dataset.n=500"],
    "dataset=stocks": [],
    "experiment=toy_veegan": ["dataset.n=500"],
    "experiment=adagan_gmm": ["dataset.n=500"],
    "experiment=saddle": ["loss/game=pennies"],
}


@pytest.mark.parametrize("choice", METERED)
def test_every_metric_is_explained(choice: str) -> None:
    """What a run prints at its end stands in docs/metrics.md."""
    run = build(compose(choice, *METERED[choice]))
    draw = Draw(run.objective, run.state, run.source.device)
    names = {name for probe in run.probes.values() for name in probe(draw, run.source).scalars}
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs/metrics.md").read_text()))
    score = "mean|median|logit|mahalanobis|density|inversion|forest|mcd|lof|covariance"
    names = {re.sub(f"_floor$|_player_[xy]$|_(?:{score})$", "", name) for name in names}
    explained |= {re.sub("_mean$|_SCORE$", "", name) for name in explained}
    assert names and names <= explained
