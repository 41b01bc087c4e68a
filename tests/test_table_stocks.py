"""The losses of a run by epochs, and the page of the stocks."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import pytest

from gan_runner.losses.payoffs import contaminated_loss
from tests.conftest import ROOT

losses = runpy.run_path(str(ROOT / "scripts/plot_losses.py"))
table = runpy.run_path(str(ROOT / "scripts/table_stocks.py"))


def record(place: Path, name: str = "market", auroc: float = 0.9, shift: float = 0.0) -> Path:
    """A run of 1,000 epochs of 100 rows, ten steps each, that logs twice an epoch; eps grows from 0 to .1."""
    place.mkdir(parents=True)
    lines = []
    for k in range(1, 2001):
        eps = k / 20_000
        theory = contaminated_loss(eps)
        values = {"discriminator_loss": theory - 0.01 + shift, "generator_loss": -math.log(2 - eps)}
        values |= {"eps_hat": eps, "loss_at_eps_hat": theory}
        lines.append({"step": 5 * k, **{f"game/{n}": v for n, v in values.items()}})
    (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, [{"step": 1, "eval/x": 1.0}, *lines])))
    (place / "manifest.json").write_text(json.dumps({"data": {"name": name, "rows": 100}}))
    (place / "config.yaml").write_text("{train: {batch_size: 5}, model: {}, loss: {n_critic: 2}}")
    scores = {f"auroc_{score}": auroc for score in ("logit", "mahalanobis", "forest", "mcd", "lof")}
    (place / "result.json").write_text(json.dumps({"metrics": scores}))
    return place


def test_an_epoch_is_the_data_once_and_its_loss_a_mean(tmp_path: Path) -> None:
    found = losses["by_epochs"](record(tmp_path / "run"))
    epochs, loss = found["game/generator_loss"]
    assert epochs.tolist() == list(range(1, 1001))
    expected = -(math.log(2 - 3 / 20_000) + math.log(2 - 4 / 20_000)) / 2
    assert float(loss[1]) == pytest.approx(expected, abs=1e-12)


def test_the_lines_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    run = record(tmp_path / "run")
    monkeypatch.setattr("sys.argv", ["plot_losses.py", str(run), "--out", str(tmp_path / "x.png")])
    losses["main"]()
    lines = capsys.readouterr().out.splitlines()
    d, g = contaminated_loss(0.099975) - 0.01, -math.log(2 - 0.099975)
    assert len(lines) == 5 and lines[3] == f"Epoch: 1000, LossD/G: {d:.4f}/{g:.4f}"
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_the_page_has_means_over_seeds_and_the_worst_distance(tmp_path: Path) -> None:
    runs = [record(tmp_path / str(k), auroc=0.9 + k / 100, shift=k / 1000) for k in range(3)]
    page = table["page"]({"market": runs})
    line = next(line for line in page.splitlines() if line.startswith("| simulated market"))
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[3] == f"{contaminated_loss(0.099975) - 0.009:.4f} ± 0.0010 / {-math.log(2 - 0.099975):.4f} ± 0.0000"
    assert cells[-1] == "0.0100" and cells[-3] == "0.1000 ± 0.0000"
    assert "0.9100 ± 0.0100" in page and "seeds 1, 2, 3" in page.replace("\n", " ")
