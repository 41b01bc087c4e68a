"""The page of correlation matrices says what the runs found."""

from __future__ import annotations

import re
import runpy

import pytest
import torch

from gan_runner.datasets.hcbm import hcbm
from gan_runner.metrics.matrices import coefficients
from tests.conftest import ROOT, compose

script = runpy.run_path(str(ROOT / "scripts/table_correlations.py"))


def metrics(x: float) -> dict[str, float]:
    names = [name for name in script["COLUMNS"] if name not in ("one_signed", "facts_held")]
    apart = {name + end: x for name in names for end in ("", "_held_out", "_floor")}
    return apart | {"one_signed": x, "one_signed_real": 1.0, "facts_held": 5.0, "smallest_eigenvalue": -1e-15}


def test_page() -> None:
    found = {("hcbm", "CorrGAN"): {1: metrics(0.1), 2: metrics(0.2)}, ("hcbm", "uniform"): {1: metrics(0.5)}}
    page = script["page"](found, [1, 2])
    seen, unseen = page.split("Against rows never seen:")
    assert "seeds 1, 2" in page and "is -1e-15" in page and "Twenty stocks" not in page
    (line,) = [line for line in seen.splitlines() if line.startswith("| CorrGAN")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:5] == ["0.15 ± 0.071", "0.15 ± 0.071", "15 ± 7.1", "15 ± 7.1"] and cells[-1] == "5 ± 0"
    assert "| held-out rows | 0.1 | 0.1 | 10 |  | 0.1 |" in seen and "(of real ones 100)" in seen
    (line,) = [line for line in unseen.splitlines() if line.startswith("| CorrGAN")]
    assert line.count("±") == 6, "no signs and no verdicts"


def test_baselines_know_less() -> None:
    source = hcbm(8, n=100)
    rows = script["baselines"](source, 0)
    real = coefficients(source.data.squeeze(1))
    assert set(rows["coefficients alone"].squeeze(1)[:, 0, 1].tolist()) <= set(real.float().tolist())
    uniform = coefficients(rows["uniform"].squeeze(1))
    assert float(uniform.mean()) == pytest.approx(0, abs=0.01)
    assert float(uniform.var()) == pytest.approx(1 / 9, rel=0.05), "of directions in p + 1 dimensions"
    for x in rows.values():
        assert torch.allclose(x, x.mT, rtol=0, atol=1e-12)  # products round by the processor
        assert torch.allclose(x.diagonal(dim1=2, dim2=3), torch.ones(8, dtype=x.dtype))


def test_rows_are_experiments_that_share_their_game() -> None:
    base = compose("experiment=corrgan_stocks")
    for name in ("corrgan_hcbm", "correlation_stocks", "correlation_hcbm"):
        cfg = compose(f"experiment={name}")
        assert cfg["model"]["generator"]["_target_"].split(".")[-2] == name.split("_")[0]
        for key in ("loss", "optimizer", "schedule", "train"):
            assert cfg[key] == base[key]


def test_the_page_is_what_the_script_would_write() -> None:
    page = (ROOT / "docs/correlations.md").read_text(encoding="utf-8")
    assert all(part in page for part in re.split(r"\{[^}]*\}", script["PAGE"]))
    assert all(f"## {title}" in page for title in script["DATA"].values())
    rows = {line.split(" | ")[0].strip("| ") for line in page.splitlines() if line.startswith("| ")}
    assert set(script["ROWS"].values()) <= rows and (ROOT / "docs/correlations.png").stat().st_size > 0
