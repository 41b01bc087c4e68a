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


@pytest.mark.parametrize("data", ["digits", "ring8", "huber", "stocks"])
def test_every_metric_is_explained(data: str) -> None:
    """What a run prints at its end stands in docs/metrics.md."""
    small = {"ring8": ["dataset.n=500"], "huber": ["dataset.n=500"]}.get(data, [])
    run = build(compose(f"dataset={data}", *small))
    draw = Draw(run.objective, run.state, run.source.device)
    names = {name for probe in run.probes.values() for name in probe(draw, run.source).scalars}
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs/metrics.md").read_text()))
    rivals = {"location_error_mean", "location_error_median"}
    assert names and {name.removesuffix("_floor") for name in names} - rivals <= explained
