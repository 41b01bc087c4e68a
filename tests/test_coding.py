"""Codings: there and back, and again from plain values."""

from __future__ import annotations

import json

import pytest
import torch

from gan_runner.construct import construct
from gan_runner.datasets.coding import Affine
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
