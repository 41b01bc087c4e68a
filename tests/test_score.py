"""The command that scores a user's own rows by a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
import torch

from gan_runner import train
from gan_runner.arguments import parse
from gan_runner.datasets.coding import Affine
from gan_runner.datasets.columns import Category, Columns, Number
from gan_runner.datasets.further import further, pictures
from gan_runner.datasets.images import digits
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.stocks import Returns
from gan_runner.errors import DataError
from gan_runner.metrics.outliers import logit
from gan_runner.pictures import png
from gan_runner.restore import restore
from gan_runner.score import Settings, score
from tests.conftest import compose

Cli = Callable[..., CompletedProcess[str]]


def source(coding: object, *names: str) -> Source:
    return Source(Spec((len(names),), "table", names=names), torch.empty(0, len(names)), coding=coding)  # type: ignore[arg-type]


def write(folder: Path, text: str) -> str:
    (folder / "rows.csv").write_text(text)
    return str(folder / "rows.csv")


def test_numbers_are_taken_by_name_and_coded(tmp_path: Path) -> None:
    file = write(tmp_path, "b,extra,a\n4,x,1\n\n8,y,3\n")
    rows, places = further(file, source(Affine([1.0, 4.0], [2.0, 4.0]), "a", "b"))
    assert rows.tolist() == [[0, 0], [1, 1]] and places == {"line": [2, 4]}
    assert further(file, source(None, "a", "b"))[0].tolist() == [[1, 4], [3, 8]]


def test_prices_become_returns_in_the_order_of_time(tmp_path: Path) -> None:
    file = write(tmp_path, "date,A,B\n2020-01-03,8,3\n2020-01-01,1,1\n2020-01-02,2,3\n")
    rows, places = further(file, source(Returns([0.0, 0.0], [math.log(2), math.log(3)]), "B", "A"))
    torch.testing.assert_close(
        rows, torch.tensor([[math.log(3) / math.log(2), math.log(2) / math.log(3)], [0, 2 * math.log(2) / math.log(3)]])
    )
    assert places == {"line": [4, 2], "date": ["2020-01-02", "2020-01-03"]}


def test_columns_read_as_in_training(tmp_path: Path) -> None:
    coding = Columns([Number("n", 0, knots=[0.0, 1.0, 2.0]), Category("c", ["no", "yes"])])
    rows, _ = further(write(tmp_path, "c,n\nyes,1\n"), source(coding, "n", "c"))
    assert rows[0, 1:].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n,4\n", ["line 3", "column 'a'", "'' is no finite number"]),
        ("a,b\n1,2\n1,inf\n", ["line 3", "column 'b'"]),
        ("a,b\n1,2\nx,4\n", ["line 3", "column 'a'", "'x' is no number"]),
        ("a,c\n1,2\n", ["no column 'b'"]),
    ],
)
def test_faults_name_line_and_column(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        further(write(tmp_path, text), source(None, "a", "b"))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_outliers_of_a_file_are_found_by_a_run(cli: Cli, tmp_path: Path) -> None:
    trained = cli("experiment=huber_small", "probes=none", "run.dir=run", "train.threads=1")
    assert trained.returncode == 0, trained.stderr
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((60, 10))
    rows[:12] = 5 + math.sqrt(2) * rows[:12]
    frame = pd.DataFrame(rows, columns=[f"x{i + 1}" for i in range(10)])
    frame.to_csv(tmp_path / "mine.csv", index=False)
    done = cli("run=run", "data=mine.csv", "out=scores.csv", module="gan_runner.score")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "scores.csv")
    assert found.columns.tolist() == ["line", "mahalanobis", "density", "logit"] and found["line"].tolist() == [
        *range(2, 62)
    ]
    for name in ("logit", "mahalanobis", "density"):
        assert found[name][:12].min() > found[name][12:].max(), name
    _, draw, _ = restore(tmp_path / "run", "newest", 0, "cpu")
    np.testing.assert_allclose(found["logit"], logit(draw, torch.from_numpy(rows).float()), rtol=1e-4)
    assert f"{found.nlargest(5, 'mahalanobis')['line'].iloc[0]}" in done.stdout
    for wrong, code, word in (
        (["scores=typo"], 2, "choose from logit, energy, mahalanobis, density, inversion"),
        (["data=none.csv"], 66, "none.csv"),
        (["run=nowhere"], 66, "is not a run folder"),
    ):
        given = {"run": "run=run", "data": "data=mine.csv"} | {w.partition("=")[0]: w for w in wrong}
        refused = cli(*given.values(), module="gan_runner.score")
        assert refused.returncode == code and word in refused.stderr, refused.stderr


def test_images_that_were_trained_on_are_their_own_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("dataset=digits", "loss=ebm", "model=ebm_conv", "probes=none", "train.steps=2", "run.dir=run")
    assert train.train(compose(*words), [])[0] == 0
    source = digits("", size=16)
    noise = torch.randint(256, (6, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    (tmp_path / "mine").mkdir()
    for k, image in enumerate(torch.cat([source.data[:20], noise])):
        png.write(tmp_path / f"mine/{k:02}.png", image.permute(1, 2, 0).expand(-1, -1, 3))
    assert score(parse(Settings, ("run=run", "data=mine", "scores=neighbours,energy"))) == 0
    found = pd.read_csv(tmp_path / "scores.csv")
    assert found["neighbours"][:20].max() < 0.1 * found["neighbours"][20:].min() and "energy" in found


def test_strange_images_of_a_folder_have_more_energy(cli: Cli, tmp_path: Path) -> None:
    """By a Boltzmann machine that has seen digits; files are named, and what has columns alone is refused."""
    words = ("dataset=digits", "loss=pcd", "model.rbm.hidden=64", "probes=none", "train.steps=400", "train.threads=1")
    trained = cli(*words, "run.dir=run")
    assert trained.returncode == 0, trained.stderr
    source = digits(str(tmp_path), size=16)
    noise = torch.randint(256, (6, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    (tmp_path / "mine/deep").mkdir(parents=True)
    for k, image in enumerate(torch.cat([source.data[:20], noise])):
        png.write(tmp_path / f"mine/deep/{k:02}.png", image.permute(1, 2, 0).expand(-1, -1, 3))
    done = cli("run=run", "data=mine", module="gan_runner.score")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "scores.csv")
    assert found.columns.tolist() == ["file", "energy"] and found["file"][3] == "deep/03.png"
    assert found["energy"][20:].min() > found["energy"][:20].max()
    restored, draw, _ = restore(tmp_path / "run", "newest", 0, "cpu")
    rows, _ = pictures(str(tmp_path / "mine"), restored)
    torch.testing.assert_close(rows[:20], source.take(torch.arange(20)))
    np.testing.assert_allclose(found["energy"], -logit(draw, rows), rtol=1e-4)
    refused = cli("run=run", "data=mine", "scores=density", module="gan_runner.score")
    assert refused.returncode == 2 and "choose from energy, logit, inversion, neighbours" in refused.stderr
    (tmp_path / "mine/broken.png").write_bytes(b"none")
    refused = cli("run=run", "data=mine", module="gan_runner.score")
    assert refused.returncode == 65 and "broken.png" in refused.stderr
