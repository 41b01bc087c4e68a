"""The page about annealing says what each annealing found."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from gan_runner import train
from gan_runner.metrics import rbm
from gan_runner.restore import with_rows
from tests.conftest import ROOT, compose

script = runpy.run_path(str(ROOT / "scripts/table_annealing.py"))


def test_page() -> None:
    metrics = {name: -float(i) for i, name in enumerate(script["WHAT"])} | {"log_z": 700.0, "log_z_error": 1.5}
    page = script["page"]({"step": 9375, "metrics": metrics}, "784 x 500", [(3000, 1, 701.25, 2.0)])
    assert "784 x 500 units" in page and "9,375 batches" in page
    assert "| 14,500 | 0 | 700.0 ± 1.5 |\n| 3,000 | 1 | 701.2 ± 2.0 |" in page


def test_annealings_of_a_machine_that_can_be_counted_find_its_log_z(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(script["annealings"].__wrapped__.__globals__, "AGAIN", ((2000, 1), (2000, 2)))
    words = ("dataset=digits", "loss=cd", "model.rbm.hidden=8", "train.steps=200", "probes=none", "run.dir=r")
    assert train.train(compose(*words), [])[0] == 0
    units, found = script["annealings"](Path("r"))
    _, draw, _ = with_rows(Path("r"), "newest", 0, "cpu")
    with torch.no_grad():
        exact = rbm.exact(rbm.double(rbm.machine(draw)))
    assert units == "256 x 8" and [seed for _, seed, *_ in found] == [1, 2]
    assert all(abs(log_z - exact) <= error for _, _, log_z, error in found)
