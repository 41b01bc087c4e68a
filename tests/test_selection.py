"""What chooses is not what is reported: rows set aside for looks, and runs that end when these find nothing better."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from gan_runner import checkpoint
from gan_runner.arguments import parse
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.split import select, split
from gan_runner.errors import UsageError
from gan_runner.evaluate import Settings, evaluate
from gan_runner.metrics.probe import Findings
from gan_runner.restore import with_rows
from tests.short_runs import bits, refusal, run, status, whole

VALLEY = ("trust=[tests.test_selection]", "+probes.valley._target_=tests.test_selection.Valley", "probes.track=depth")
TRUST = "trust=tests.test_selection"
ASIDE = ("train.held_out=0.2", "train.selection=0.5")


@dataclass
class Valley:
    """Finds the distance of the step from 10, and how many rows it may compare with."""

    every: int = 2

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "unseen"

    def __call__(self, draw, source) -> Findings:
        seen = {} if source.held_out is None else {"rows": float(len(source.held_out))}
        return Findings({"depth": abs(draw.state.clock.step - 10.0), **seen})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# -- rows ------------------------------------------------------------------------------------------


def test_each_row_trains_selects_or_is_reported() -> None:
    whole = Source(Spec((1,), "table"), torch.arange(100.0)[:, None], digest="d")
    source = select(split(whole, 0.2), 0.25)
    assert source.held_out is not None and source.reported is not None
    parts = [part.data.flatten().tolist() for part in (source, source.held_out, source.reported)]
    assert [len(part) for part in parts] == [60, 20, 20] and sorted(chain(*parts)) == [*range(100)]
    before = split(whole, 0.2).held_out
    assert before is not None and torch.equal(source.reported.data, before.data), "what is reported stays what it was"
    digests = {whole.digest, source.digest, source.held_out.digest, source.reported.digest}
    assert len(digests) == 4


def test_rows_to_report_are_needed() -> None:
    fault = refusal("train.selection=0.25")
    assert isinstance(fault, UsageError) and "train.held_out=0.1" in str(fault)
    assert not Path("r").exists()


def test_looks_judge_by_the_selection_and_evaluate_by_what_no_look_has_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*VALLEY, *ASIDE) == 0
    result = json.loads(Path("r/result.json").read_text())
    assert result["metrics"]["rows"] == 120, "half of the 240 that are left of 300"
    source, _, _ = with_rows(Path("r"), "newest", 0, "cpu")
    assert (len(source), len(source.held_out or ())) == (120, 60)
    assert not set(map(tuple, source.data.tolist())) & set(map(tuple, source.held_out.data.tolist()))  # type: ignore[union-attr]
    capsys.readouterr()
    assert evaluate(parse(Settings, ["run=r", "checkpoint=best", "metrics=c2st", TRUST])) == 0
    assert "flatters" not in capsys.readouterr().out
    assert json.loads(Path("r/scores.jsonl").read_text())["data"]["unseen_by_looks"] is True
    assert evaluate(parse(Settings, ["verify=r", TRUST])) == 0


def test_a_best_checkpoint_chosen_by_reported_rows_is_said_to_be_flattered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*VALLEY, "train.held_out=0.2") == 0
    assert evaluate(parse(Settings, ["run=r", "checkpoint=best", "metrics=c2st", TRUST])) == 0
    assert "train.selection=0.1" in capsys.readouterr().out


# -- patience --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("patience", "end"), [(2, 12), (3, 14), (6, 16), (100, 40)])
def test_a_run_ends_when_so_many_steps_found_nothing_better(patience: int, end: int) -> None:
    assert run(*VALLEY, "train.steps=40", f"train.patience={patience}") == 0
    assert status()["step"] == end and status()["state"] == "completed"
    best = checkpoint.best(Path("r/ckpt"))
    assert best == (10, 0.0), "the best is kept, wherever the run ends"
    assert status().get("stopped") == (None if end == 40 else "depth has not been better than 0, of step 10")


def test_larger_may_be_better() -> None:
    assert run(*VALLEY, "probes.track=-depth", "train.steps=40", "train.patience=4") == 0
    assert status()["step"] == 6, "8 at step 2 was the largest until then"


def test_an_interruption_does_not_begin_the_count_anew() -> None:
    words = (*VALLEY, "train.patience=6", "train.checkpoint_every=3")
    undisturbed = whole(*words, "train.steps=40")
    assert run(*words, "train.steps=13") == 0
    assert run(*words, "train.steps=40", "resume=r") == 0
    assert status()["step"] == 16 and bits() == undisturbed


def test_patience_needs_a_metric_to_wait_for() -> None:
    with pytest.raises(UsageError, match=r"probes.track=frechet"):
        run("train.patience=5")
