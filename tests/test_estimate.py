"""Robust estimates of a user's own table: its coding, and the command that gives them in the table's units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from gan_runner.datasets.coding import Affine
from gan_runner.datasets.columns import Category, Columns, Number
from gan_runner.datasets.numbers import QUARTILE, numbers
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError, Fault
from gan_runner.estimate import moments

Cli = Callable[..., CompletedProcess[str]]


def write(folder: Path, text: str) -> str:
    (folder / "mine.csv").write_text(text)
    return str(folder / "mine.csv")


def test_each_column_has_median_0_and_deviation_1_and_comes_back(tmp_path: Path) -> None:
    source = numbers(write(tmp_path, "a,b,c\n1,7,-2\n2,7,0\n4,7,0\n9,8,0\n30,3,4\n"))
    assert source.spec.names == ("a", "b", "c") and source.spec.kind == "table"
    assert isinstance(source.coding, Affine)
    assert source.coding.offset == [4, 7, 0]
    np.testing.assert_allclose(source.coding.scale, [3 / QUARTILE, np.std([7, 7, 7, 8, 3]), np.std([-2, 0, 0, 0, 4])])
    expected = torch.tensor([[1.0, 7, -2], [2, 7, 0], [4, 7, 0], [9, 8, 0], [30, 3, 4]])
    torch.testing.assert_close(source.decode(source.data), expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n,4\n3,1\n", ["line 3", "'a'", "is a gap", "dataset.missing=drop"]),
        ("a,b\n1,2\n2,low\n3,1\n", ["line 3", "'b'", "'low' is no number", "dataset.ignore=[b]"]),
        ("a,b\n1,2\n2,1e999\n3,1\n", ["line 3", "'b'", "not finite"]),
        ("a,b\n1,2\n2,2\n3,2\n", ["'b'", "never changes", "dataset.ignore=[b]"]),
        ("a,b\n1,2\n", ["gives 1 rows"]),
    ],
)
def test_faults_name_line_and_column(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        numbers(write(tmp_path, text))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_gaps_are_dropped_where_asked_and_columns_left_out(tmp_path: Path) -> None:
    file = write(tmp_path, "a,b,city\n1,2,x\n,4,y\n3,1,z\n")
    source = numbers(file, ignore=["city"], missing="drop")
    assert source.decode(source.data).tolist() == [[1, 2], [3, 1]]
    assert source.notes == ("1 of 3 rows have a gap: left out",)
    with pytest.raises(Fault, match="refuse, drop"):
        numbers(file, missing="keep")


class Known:
    """A draw from a generator that knows its law, or that does not."""

    def __init__(self, law: dict[str, Tensor] | None, rows: Tensor):
        self.known, self.rows = law, rows

    def law(self) -> dict[str, Tensor] | None:
        return self.known

    def __call__(self, n: int) -> Tensor:
        return self.rows[:n]


def test_what_a_generator_knows_is_given_in_natural_units() -> None:
    source = Source(Spec((2,), "table", names=("a", "b")), torch.empty(0, 2), coding=Affine([10.0, -1.0], [2.0, 0.5]))
    law = {"location": torch.tensor([1.0, 4.0]), "scatter": torch.tensor([[1.0, 0.5], [0.5, 9.0]])}
    table, covariance = moments(source, Known(law, torch.empty(0, 2)), 5)  # type: ignore[arg-type]
    assert table.to_dict("list") == {"column": ["a", "b"], "location": [12, 1], "sd": [2, 1.5]}
    assert covariance.to_numpy().tolist() == [[4, 0.5], [0.5, 2.25]] and [*covariance] == ["a", "b"]


def test_other_generators_are_asked_for_samples_of_which_numbers_count() -> None:
    coding = Columns([Category("kind", ["x", "y"]), Number("n", 1, knots=[0.0, 1.0, 2.0])])
    source = Source(Spec((3,), "table", names=("kind", "n"), groups=(2, 1)), torch.empty(0, 3), coding=coding)
    rows = coding.encode(torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0]]).double())
    table, covariance = moments(source, Known({"location": rows[0], "scatter": rows}, rows), 3)  # type: ignore[arg-type]
    assert table.to_dict("list") == {"column": ["n"], "location": [1], "sd": [1]} and covariance.shape == (1, 1)


def test_outliers_do_not_move_the_estimate_of_a_file(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.standard_normal((1700, 3)), 5 + rng.standard_normal((300, 3))])
    frame = pd.DataFrame(100 + [0.1, 1, 10] * rng.permutation(rows), columns=["a", "b", "c"])
    frame.to_csv(tmp_path / "mine.csv", index=False)
    trained = cli("experiment=robust", "dataset.path=mine.csv", "train.steps=600", "probes=none", "run.dir=run")
    assert trained.returncode == 0, trained.stderr
    done = cli("run=run", "out=found/e.csv", module="gan_runner.estimate")
    assert done.returncode == 0 and "600" in done.stdout, done.stderr
    found = pd.read_csv(tmp_path / "found/e.csv", index_col="column")
    scale = np.array([0.1, 1, 10])
    off = np.linalg.norm((found["location"] - 100) / scale)
    medians = np.linalg.norm((frame.median() - 100) / scale)
    assert off < 0.5 * medians
    np.testing.assert_allclose(found["sd"] / scale, 1, atol=0.15)
    covariance = pd.read_csv(tmp_path / "found/e-covariance.csv", index_col=0)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), found["sd"])
    refused = cli("run=run", "n=1", module="gan_runner.estimate")
    assert refused.returncode == 2 and "choose 2 or more" in refused.stderr
