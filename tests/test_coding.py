"""Codings: there and back, and again from plain values."""

from __future__ import annotations

import json

import pytest
import torch

from gan_runner.construct import construct
from gan_runner.datasets.coding import Affine
from gan_runner.datasets.spec import Source, Spec
from gan_runner.restore import coding_of

COLUMNS = Affine([1.0, -2.0], [0.5, 4.0])
ROWS = {
    "table": torch.tensor([[1.5, 2.0], [0.0, -2.0]]),
    "series": torch.tensor([[[1.5, 1.0, 0.5], [2.0, -2.0, -6.0]]]),
}
CODED = {
    "table": torch.tensor([[1.0, 1.0], [-2.0, 0.0]]),
    "series": torch.tensor([[[1.0, 0.0, -1.0], [1.0, 0.0, -1.0]]]),
}


@pytest.mark.parametrize("kind", ROWS)
def test_each_column_loses_its_offset_and_is_divided_by_its_scale(kind: str) -> None:
    assert torch.equal(COLUMNS.encode(ROWS[kind]), CODED[kind])
    assert torch.equal(COLUMNS.decode(CODED[kind]), ROWS[kind])


def test_a_manifest_makes_the_same_coding_again() -> None:
    manifest = json.loads(json.dumps({"coding": COLUMNS.describe()}))
    assert construct(coding_of(manifest), "dataset", path="coding") == COLUMNS
    assert coding_of({"coding": None}) is None


def test_manifests_of_older_runs_are_read() -> None:
    old = {"offset": [1.0, -2.0], "scale": [0.5, 4.0]}
    assert construct(coding_of(old), "dataset", path="coding") == COLUMNS
    assert coding_of({"offset": None, "scale": None}) is None


def test_days_of_a_series_have_names() -> None:
    source = Source(Spec((2, 3), "series", names=("a", "b")), torch.empty(0, 2, 3))
    frame = source.frame(torch.arange(6.0).view(1, 2, 3))
    assert [*frame] == ["a 1", "a 2", "a 3", "b 1", "b 2", "b 3"] and frame.iloc[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert [*Source(Spec((3,), "table"), torch.empty(0, 3)).frame(torch.ones(1, 3))] == [0, 1, 2]
