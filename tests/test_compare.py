"""Runs side by side: what the table says of each, and what the figure shows."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from gan_runner import compare
from gan_runner.errors import MissingInput
from gan_runner.folder import write_json, write_text
from gan_runner.pictures import png
from gan_runner.pictures.comparison import comparison
from tests.conftest import compose
from tests.test_pictures import orange

METRICS = {"frechet": 5.0, "frechet_floor": 1.0, "recall": 0.5, "recall_floor": 0.75, "feature_digest": 3.0}


@cache
def configuration(*overrides: str) -> str:
    """As a run folder has it."""
    return OmegaConf.to_yaml(OmegaConf.create(compose(*overrides)))


def made(place: Path, loss: str, seed: int, **metrics: float) -> Path:
    """The papers of a run that is over."""
    (place / "pictures").mkdir(parents=True)
    write_text(place / "config.yaml", configuration(f"loss={loss}", f"seed={seed}"))
    write_text(place / "overrides.yaml", OmegaConf.to_yaml([f"loss={loss}", f"seed={seed}", f"run.dir={place}"]))
    write_json(place / "status.json", {"state": "completed", "step": 3})
    result = {"track": "frechet", "metrics": METRICS | metrics, "training_seconds": 90.0, "seconds_per_sample": 0.002}
    write_json(place / "result.json", result)
    png.write(place / "pictures/samples.png", torch.full((8, 8, 3), 200, dtype=torch.uint8))
    return place


def test_the_table_begins_with_what_was_asked_for_and_what_it_cost(tmp_path: Path) -> None:
    places = [made(tmp_path / name, name, 1) for name in ("ns", "hinge")]
    rows = compare.table(places)
    first = ["run", "loss", "state", "step", "minutes", "ms_per_sample", "track", "value"]
    assert list(rows.columns[:8]) == first, "the seed is the same, so it says nothing"
    assert rows.iloc[0, 1:8].tolist() == ["ns", "completed", 3, 1.5, 2.0, "frechet", 5.0]
    assert "loss.payoff._target_" in rows and not rows.columns.duplicated().any()


def test_a_run_without_papers_of_its_cost_has_a_row(tmp_path: Path) -> None:
    """Older versions wrote none."""
    place = made(tmp_path / "a", "ns", 1)
    (place / "overrides.yaml").unlink()
    write_json(place / "result.json", {"metrics": {}})
    rows = compare.table([place, made(tmp_path / "b", "ns", 2)])
    assert pd.isna(rows["minutes"][0]) and rows["minutes"][1] == 1.5


def test_numbers_of_different_n_stand_apart(tmp_path: Path) -> None:
    few, many = made(tmp_path / "a", "ns", 1), made(tmp_path / "b", "hinge", 1)
    write_text(many / "config.yaml", configuration("loss=hinge", "seed=1", "probes.quality.n=77"))
    rows = compare.table([few, many])
    mine = [c for c in rows if str(c).startswith("frechet")]
    assert len(mine) == 4 and "frechet (quality.n 77)" in mine and "frechet (quality.n 77)_floor" in mine
    assert all(rows[c].notna().sum() == 1 for c in mine), "no column has numbers of both"
    assert rows["feature_digest"].tolist() == [3.0, 3.0]


def test_the_figure_is_of_shared_metrics_and_costs(tmp_path: Path) -> None:
    made(tmp_path / "a", "ns", 1, kid=1.0)
    made(tmp_path / "b", "hinge", 1)
    assert compare.compare([tmp_path], tmp_path / "t.csv", tmp_path / "f.png") == 0
    drawn = png.read(tmp_path / "f.png")
    without = comparison(["ns", "hinge"], [None, None], {"frechet": [5.0, 5.0], "recall": [0.5, 0.5]}, {})
    assert drawn.shape[0] > without.shape[0], "samples stand above the bars"
    assert orange(drawn) * drawn.numel() > 1.2 * orange(without) * without.numel(), "and the cost beside them"


def test_bars_are_as_long_as_values() -> None:
    """In a panel whose axis begins at 0."""
    picture = comparison(["a", "b"], [None, None], {"m": [1.0, 0.25]}, {})
    is_orange = (picture == torch.tensor([0xE8, 0x59, 0x0C], dtype=torch.uint8)).all(2).sum(1)
    lengths = is_orange[is_orange > 0].unique()
    assert abs(lengths[-1] / lengths[0] - 4) < 0.2  # but for their edges


def test_the_figure_is_of_complete_runs_and_finite_numbers(tmp_path: Path) -> None:
    made(tmp_path / "a", "ns", 1)
    made(tmp_path / "b", "hinge", 1, recall=float("nan"))
    (made(tmp_path / "c", "wgan", 1) / "result.json").unlink()
    assert compare.compare([tmp_path], tmp_path / "t.csv", tmp_path / "f.png") == 0
    wide = png.read(tmp_path / "f.png").shape[1]
    (tmp_path / "b/result.json").unlink()
    assert compare.compare([tmp_path], tmp_path / "t.csv", tmp_path / "f.png") == 0
    assert png.read(tmp_path / "f.png").shape[1] > wide, "the recall joins when the run without one is gone"
    (tmp_path / "a/result.json").unlink()
    with pytest.raises(MissingInput, match="no run is complete"):
        compare.compare([tmp_path], tmp_path / "t.csv", tmp_path / "f.png")
