"""A film of a run: the same whether or not the run was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from gan_runner import train
from tests.conftest import compose

SMALL = ("dataset=digits", "model=dcgan_half", "model.width=4", "train.batch_size=8", "probes=none")
FILM = ("+probes.film._target_=gan_runner.pictures.film.Film", "+probes.film.every=2", "+probes.film.n=4")


def run(*overrides: str) -> bytes:
    """The film of the folder that the last override names."""
    assert train.train(compose(*SMALL, *FILM, "train.checkpoint_every=2", *overrides), [])[0] == 0
    return Path(overrides[-1].partition("=")[2], "pictures/film.gif").read_bytes()


def test_a_film_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven steps: frames after 2, 4, 6 and 7. The two parts of a resumed run make the same film, byte by byte."""
    monkeypatch.chdir(tmp_path)
    whole = run("train.steps=7", "run.dir=whole")
    assert sorted(p.name for p in Path("whole/pictures").glob("film-*")) == [f"film-{k:08d}.png" for k in (2, 4, 6, 7)]
    with Image.open("whole/pictures/film.gif") as film:
        assert film.n_frames == 4
    half = run("train.steps=4", "run.dir=r")
    assert half != whole
    with Image.open("r/pictures/film.gif") as film:
        assert film.n_frames == 2
    assert run("train.steps=7", "resume=r") == whole
