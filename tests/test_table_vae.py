"""The page of variational autoencoders says what its runs found."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import torch

from tests.conftest import ROOT

script = runpy.run_path(str(ROOT / "scripts/table_vae.py"))


def record(place: Path, seed: int) -> Path:
    """A run of two epochs of 100 rows, ten steps each."""
    place.mkdir(parents=True)
    names = ("game/elbo", "game/generator_reconstruction", "game/generator_kl", "eval/log_likelihood_1")
    lines = [{"step": k, **dict.fromkeys((*names, "eval/log_likelihood_100"), -200.0 + k)} for k in range(1, 21)]
    (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (place / "manifest.json").write_text(json.dumps({"data": {"name": "fashion", "rows": 100}}))
    (place / "config.yaml").write_text(f"{{seed: {seed}, train: {{batch_size: 10}}, model: {{}}, loss: {{}}}}")
    metrics = {name: float(seed) for name in script["METRICS"]} | {"log_likelihood_5000": -240.0 - seed}
    (place / "result.json").write_text(json.dumps({"step": 20, "metrics": metrics}))
    return place


def test_the_page_has_means_over_seeds(tmp_path: Path) -> None:
    page = script["page"]([record(tmp_path / str(seed), seed) for seed in (1, 2, 4)])
    assert "| bound of 5,000 samples | -242.33 ± 1.53 |" in page and "| active latents of 20 | 2.33 ± 1.53 |" in page
    assert "seeds 1, 2, 4: 2 epochs" in page
    assert "-240.50" in script["page"]([record(tmp_path / "half", 0), record(tmp_path / "one", 1)])


def test_the_picture_is_drawn_against_epochs(tmp_path: Path) -> None:
    picture = script["picture"](record(tmp_path / "run", 1))
    assert picture.dtype == torch.uint8 and picture.shape[1] > 3 * 420


def test_the_page_is_what_the_script_would_write() -> None:
    page = (ROOT / "docs/vae.md").read_text()
    head, _ = script["PAGE"].split("{seeds}")
    assert page.startswith(head.format()) and page.endswith(script["PAGE"].split("{table}")[1])
    titles = [line.split(" | ")[0].strip("| ") for line in page.splitlines() if line.startswith("| ")]
    assert [title for title in titles if title in script["METRICS"].values()] == [*script["METRICS"].values()]
