"""The page of Quant GANs says what its runs scored, over GARCH and beside chance."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import torch

from gan_runner.metrics.baselines import fit_garch
from tests.conftest import ROOT, compose, option_names

script = runpy.run_path(str(ROOT / "scripts/table_quant.py"))


def scored(row: str, seed: int, value: float) -> dict[str, object]:
    """A run's line with the same value for each score, halved where wild paths are dropped."""
    scores = {
        f"{name}{ending}": value / (2 if ending else 1) for name in script["NAMES"] for ending in script["VARIANTS"]
    }
    kept = {f"kept{ending}": 0.5 if ending else 1.0 for ending in script["VARIANTS"]}
    return {"row": row, "seed": seed, "steps": 3000, "minutes": 10.0, **scores, **kept}


def test_page() -> None:
    found = [scored("experiment=quant_gan_csvnn", 1, 0.2), scored("experiment=quant_gan_csvnn", 2, 0.4)]
    rivals = {f"{name}{end}": v for name in script["NAMES"] for end, v in (("_garch", 0.5), ("_floor", 0.1))}
    chance = {name: [0.1, 0.3] for name in script["NAMES"]}
    page = script["page"](found, rivals, chance, 2433, 500)
    table = [
        [cell.strip() for cell in line.replace("\\|", "!").strip("|").split("|")]
        for line in page.splitlines()
        if "|" in line
    ]
    rows = {cells[0]: cells[1:] for cells in reversed(table)}
    assert rows["C-SVNN"][0] == "0.3 ± 0.14" and rows["C-SVNN"][-1] == "100"
    assert rows["C-SVNN, wild paths dropped"][0] == "0.15 ± 0.071"
    assert rows["C-SVNN, wild paths dropped"][-1] == "50"
    assert "| C-SVNN | 0.6 ± 0.28 | 0.6 ± 0.28 |" in page and "TCN | 0" not in page, "ratios, and no line without runs"
    assert rows["bootstrap of the real path"][:2] == ["0.1", "0.1"]
    assert rows["a perfect model"][0] == "0.2 ± 0.14" and "| a perfect model | 0.4 ± 0.28 |" in page
    assert "2,433 daily" in page and "seeds 1, 2: 3,000 steps" in page and "25 real values" in page
    assert all(
        len(cells) in (13, 14) for cells in table if cells[0] in {*script["ROWS"].values(), *script["PUBLISHED"]}
    )


def test_a_run_has_the_line_of_its_own_words(tmp_path: Path) -> None:
    for row in script["ROWS"]:
        words = [word for word in script["command"](row, "31", "outputs") if "=" in word]
        (tmp_path / "overrides.yaml").write_text(json.dumps(words))
        assert script["row_of"](tmp_path) == row
        (tmp_path / "overrides.yaml").write_text(json.dumps([*words, "model.generator.width=8"]))
        assert script["row_of"](tmp_path) == ""


def test_rows_are_experiments_that_share_their_pace() -> None:
    assert {row.split()[0].removeprefix("experiment=") for row in script["ROWS"]} <= set(option_names("experiment"))
    paces = [
        {k: v for k, v in compose(*row.split()).items() if k in ("train", "optimizer", "schedule", "loss")}
        for row in script["ROWS"]
    ]
    assert all(pace == paces[0] for pace in paces)


def test_a_perfect_model_is_right_but_for_chance() -> None:
    """GARCH's own paths, of a length at which chance is small, against its law."""
    real = fit_garch(torch.randn(3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 100)
    path = real.paths(1, 20000)[0]
    found = script["perfect"](path, 20, 3)
    assert set(found) == set(script["NAMES"]) and all(len(scores) == 3 for scores in found.values())
    assert max(found["emd_1"]) < 0.03 and max(found["acf_abs"]) < 0.2


def test_the_choice_is_the_lowest_mean_of_the_deciding_ratios() -> None:
    """Whatever the other scores say."""
    choose = runpy.run_path(str(ROOT / "scripts/choose_quant.py"))

    def row(setting: str, seed: int, deciding: float, rest: float) -> dict[str, object]:
        scores = {name: deciding if name in choose["DECIDE"] else rest for name in script["NAMES"]}
        known = (setting, "127", "255", "newest", "32", "0", "0", "0.0005", "0.001", "8,000", "0.01")
        return {"setting": known, "seed": seed, "days": 2596, **scores}

    found = [row("slow", 1, 0.6, 9.0), row("slow", 2, 0.8, 9.0), row("fast", 1, 0.5, 0.1), row("fast", 2, 1.0, 0.1)]
    page = choose["page"](found, 500)
    assert "Chosen: network slow, days 127," in page and "2,596 daily" in page and "seeds 1, 2," in page
    line = "| slow | 127 | 255 | newest | 32 | 0 | 0 | 0.0005 | 0.001 | 8,000 | 0.01 | 2 |"
    assert line + 5 * " 0.7 ± 0.14 |" in page


def test_no_day_that_chooses_is_reported() -> None:
    choose = runpy.run_path(str(ROOT / "scripts/choose_quant.py"))
    for experiment, setting in choose["SETTINGS"]:
        chosen = (f"{key}={value}" for key, value in setting.items())
        reported = compose(f"experiment={experiment}", *chosen)["dataset"]["start"]
        words = dict(word.split("=", 1) for word in choose["command"](experiment, setting, "outputs") if "=" in word)
        assert words["dataset.end"] < reported
