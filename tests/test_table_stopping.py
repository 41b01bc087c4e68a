"""The page of early ends says what runs saved and lost, seed by seed."""

from __future__ import annotations

import runpy
from typing import Any

from tests.conftest import ROOT, compose

script = runpy.run_path(str(ROOT / "scripts/table_stopping.py"))


def outcome(seed: int, patience: int | None, steps: int, last: float, best: float) -> dict[str, Any]:
    chosen = {"every": 1000, "selection": 0.9, "best_step": 7000, "floor": 1.0}
    return {"seed": seed, "patience": patience, "steps": steps, "last": last, "best": best, "accuracy": 0.87, **chosen}


def test_page() -> None:
    found = [
        *(outcome(2, None, 40000, 150.0, 80.0), outcome(2, 5000, 10000, 85.0, 81.0)),
        *(outcome(1, None, 40000, 90.0, 70.0), outcome(1, 5000, 20000, 75.0, 70.0)),
    ]
    said = script["page"](found)
    first = "| 1 | 40,000 | 90.0 | 70.0 | 7,000 | 20,000 | 70.0 | 7,000 |"
    assert said.index(first) < said.index("| 2 | 40,000 | 150.0")
    assert "Saved: 62 ± 18 % of the steps" in said and "patience: 0.5 ± 0.71." in said
    assert "6,000 garments" in said and "54,000 rows" in said and "about 87%" in said


def test_patience_changes_nothing_but_the_end() -> None:
    with_it, without = (compose("experiment=few_fashion", f"train.patience={p}") for p in (5000, "null"))
    assert with_it["train"].pop("patience") == 5000 and without["train"].pop("patience") is None
    assert with_it == without
    assert with_it["probes"]["track"] == "frechet" and with_it["train"]["selection"] == 0.9
