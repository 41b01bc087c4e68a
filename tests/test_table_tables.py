"""The page of docs/tables.md: rows by experiment name, means over runs, rivals from the runs themselves."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from tests.conftest import ROOT, compose, option_names

script = runpy.run_path(str(ROOT / "scripts/table_tables.py"))


def run(place: Path, experiment: str, dataset: str, value: float) -> None:
    """A run folder whose metrics are all `value`; those of the rivals are 2, 3 and 4 times that."""
    place.mkdir(parents=True)
    (place / "status.json").write_text("{}")
    (place / "overrides.yaml").write_text(f"- experiment={experiment}\n- dataset={dataset}\n- dataset.seed=${{seed}}\n")
    metrics = {f"{m}{end}": k * value for m in script["METRICS"] for k, end in enumerate(["", *script["RIVALS"]], 1)}
    (place / "result.json").write_text(json.dumps({"metrics": metrics}))


def test_cells_are_means_of_runs_and_rivals_those_of_the_first_experiment(tmp_path: Path) -> None:
    for number, experiment in enumerate(script["ROWS"]):
        for dataset in script["SETS"]:
            run(tmp_path / f"{experiment}-{dataset}-1", experiment, dataset, 0.125 + number)
            run(tmp_path / f"{experiment}-{dataset}-2", experiment, dataset, 0.375 + number)
    page = script["page"](script["results"]([tmp_path]), 2)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in lines[: len(lines) // 2]}
    assert rows["wgan_gp"][0] == "25 ± 18" and rows["wgan_gp"][4] == "0.25 ± 0.18"
    assert rows["ns"][4].startswith("1.25") and rows["Gaussian copula"][4].startswith("0.5 ")
    assert rows["training rows"][0].startswith("100 ") and "seeds 11 to 12" in page and "nan" not in page


def test_rows_are_experiments_and_sets_are_data_sets() -> None:
    assert set(script["ROWS"]) <= set(option_names("experiment")) and set(script["SETS"]) <= set(
        option_names("dataset")
    )


@pytest.mark.parametrize("name", script["ROWS"])
def test_rows_share_networks_and_the_way_to_divide(name: str) -> None:
    cfg, base = compose(f"experiment={name}"), compose("experiment=table")
    assert cfg["model"] == base["model"] and cfg["dataset"] == base["dataset"] and cfg["dataset"]["held_out"] == 0.3


def test_the_page_is_what_the_script_would_write() -> None:
    page = (ROOT / "docs/tables.md").read_text()
    head, _ = script["PAGE"].split("{tables}")
    assert page.startswith(head.format(first=script["FIRST"], last=script["FIRST"] + script["SEEDS"] - 1))
    rows = [line.split(" | ")[0].strip("| ") for line in page.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row and "---" not in row] == 2 * [
        *script["ROWS"].values(),
        *script["RIVALS"].values(),
    ]
