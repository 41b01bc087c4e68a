"""The page of the family says what each run scored and cost, beside real rows."""

from __future__ import annotations

import runpy

import pandas as pd

from tests.conftest import ROOT, compose, option_names

script = runpy.run_path(str(ROOT / "scripts/table_family.py"))


def test_page() -> None:
    rows = pd.DataFrame({"step": [1000, 20], "minutes": [5.0, 5.01], "ms_per_sample": [0.1234, 7.0]}, ["ns", "ebm"])
    for k, name in enumerate(script["METRICS"]):
        rows[name], rows[f"{name}_floor"] = [10.0 + k, 20.0 + k], 1.0 + k
    rows["feature_accuracy"] = 0.9
    settings = {loss: compose("experiment=family_fashion", f"loss={loss}") for loss in rows.index}
    page = script["page"](rows, settings)
    assert "| DCGAN, non-saturating | 1,000 | 5.0 | 10 | 11 | 12 | 13 | 14 | 0.123 |" in page
    assert "| energy-based model | 20 | 5.0 | 20 | 21 | 22 | 23 | 24 | 7 |" in page
    assert "| real rows | | | 1 | 2 | 3 | 4 | 5 | |" in page
    assert "gives each method 5 minutes" in page and "16x16" in page and "2,000 samples" in page


def test_each_method_trains_under_the_same_budget_and_rate() -> None:
    assert set(script["NAMES"]) <= set(option_names("loss"))
    found = [compose("experiment=family_fashion", f"loss={loss}") for loss in script["NAMES"]]
    for part in ("train", "dataset", "schedule", "probes"):
        assert all(cfg[part] == found[0][part] for cfg in found), part
