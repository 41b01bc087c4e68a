"""The page of robust estimation says what the runs of its sweeps found."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, compose, option_names

script = runpy.run_path(str(ROOT / "scripts/table_huber.py"))


def finished(place: Path, eps: float, losses: list[float], **metrics: float) -> None:
    """A run folder as far as the table reads it."""
    place.mkdir(parents=True)
    (place / "status.json").write_text("{}")
    (place / "overrides.yaml").write_text(yaml.safe_dump(["experiment=huber_small"]))
    (place / "config.yaml").write_text(yaml.safe_dump({"train": {}, "model": {}, "loss": {}, "dataset": {"eps": eps}}))
    (place / "result.json").write_text(json.dumps({"metrics": metrics}))
    records = [{"game/discriminator_loss": x, "game/generator_loss": -x} for x in losses] + [{"eval/other": 1}]
    (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))


def test_page_has_means_and_losses_of_the_last_epochs(tmp_path: Path) -> None:
    for seed, error in ((1, 0.1), (2, 0.2)):
        finished(tmp_path / str(seed), 0.05, [9.0, *[0.5] * script["EPOCHS"]], location_error=error, auroc_logit=1.0)
    finished(tmp_path / "3", 0.3, [0.25], location_error=0.5, auroc_logit=0.75)
    page = script["page"]({"huber-eps": script["results"](tmp_path)})
    lines = [line for line in page.splitlines() if line.startswith("| 0.")]
    assert lines == [
        "| 0.05 | 0.1500 ± 0.0707 | 0.5000 | -0.5000 | 1.0000 |",
        "| 0.3 | 0.5000 | 0.2500 | -0.2500 | 0.7500 |",
    ]


def test_theory_of_the_page() -> None:
    assert script["best_losses"](0.2) == pytest.approx((1.23653, 0.81093), abs=1e-5)
    assert script["best_losses"](0.0) == pytest.approx((2 * math.log(2), math.log(2)))


@pytest.mark.parametrize("sweep", script["SWEEPS"])
def test_sweeps_compose_and_have_a_section(sweep: str) -> None:
    experiment, *words = script["SWEEPS"][sweep]
    assert set(experiment.removeprefix("experiment=").split(",")) <= set(option_names("experiment"))
    compose(experiment.split(",")[0], *(word.split(",")[0] for word in words), script["SEEDS"].split(",")[0])
    assert {sweep} <= script["SECTIONS"].keys() & script["COLUMNS"].keys()


def test_the_page_is_of_this_script() -> None:
    assert (ROOT / "docs/huber.md").read_text().startswith(script["HEAD"])
