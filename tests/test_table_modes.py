"""The page of modes says what the runs of its sweeps found."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import yaml

from gan_runner.config import flatten
from tests.conftest import ROOT, compose, option_names

script = runpy.run_path(str(ROOT / "scripts/table_modes.py"))


def finished(place: Path, words: list[str], **metrics: float) -> None:
    """A run folder as far as the table reads it."""
    place.mkdir(parents=True)
    (place / "status.json").write_text("{}")
    (place / "overrides.yaml").write_text(yaml.safe_dump(words))
    floors = {f"{name}_floor": 1.0 for name in metrics}
    (place / "result.json").write_text(json.dumps({"metrics": metrics | floors}))


def test_page(tmp_path: Path) -> None:
    for seed, modes in ((1, 24.0), (2, 25.0)):
        words = ["experiment=toy_r3gan", "dataset=grid25", f"seed={seed}"]
        finished(
            tmp_path / f"a/{seed}", words, modes=modes, high_quality=0.5, reverse_kl=float("nan") if seed == 1 else 0.1
        )
    finished(tmp_path / "b/1", ["experiment=toy_r3gan", "dataset=ring8"], modes=8.0, high_quality=0.25, reverse_kl=0.0)
    page = script["page"](script["results"]([tmp_path / "a", tmp_path / "b"]), 2, 1000)
    (line,) = [line for line in page.splitlines() if line.startswith("| r3gan")]
    cells = [cell.strip().split(" ± ")[0] for cell in line.strip("|").split("|")]
    assert cells == ["r3gan", "8", "25", "0", "24.5", "50", "0.1"], "shares in per cent; no NaN in means"
    assert "24.5 ± 0.71" in line and " nan" not in line and "1,000 rows" in page and "2 seeds" in page


def test_rows_are_experiments() -> None:
    assert set(script["ROWS"]) <= set(option_names("experiment"))


@pytest.mark.parametrize("name", [name for name in script["ROWS"] if name in option_names("experiment")])
def test_rows_share_networks_and_pace(name: str) -> None:
    """No row of the table is better for a wider generator, a faster rate or another schedule."""
    cfg, base = (flatten(compose(f"experiment={e}")) for e in (name, "toy"))
    joint = {k.replace("joint_", ""): v for k, v in cfg.items()}
    for key in ("model.generator.hidden", "model.discriminator.hidden"):
        assert joint[key] == base[key]
    for key in (
        "optimizer.lr",
        "train.batch_size",
        *(k for k in base if k.startswith("schedule")),
    ):
        assert cfg[key] == base[key]
    assert cfg["train.ema_halflife"] == (0 if name == "toy_adagan" else base["train.ema_halflife"])


def test_the_page_is_what_the_script_would_write() -> None:
    page = (ROOT / "docs/modes.md").read_text()
    head, _ = script["PAGE"].split("{table}")
    assert page.startswith(head.format(seeds=script["SEEDS"], images=script["IMAGES"]))
    rows = [line.split(" | ")[0].strip("| ") for line in page.splitlines() if line.startswith("| ")][2:]
    assert rows == [*script["ROWS"].values(), "real rows"]
