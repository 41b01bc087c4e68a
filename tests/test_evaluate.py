"""The command that judges a run: figures as in training, records that can be made again, nothing else touched."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_runner import figures, metrics, score, train
from gan_runner.arguments import parse
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw, Stopwatch
from gan_runner.errors import Fault, UsageError
from gan_runner.evaluate import Settings, evaluate, near
from gan_runner.metrics.c2st import C2ST
from gan_runner.metrics.ceiling import ceiling
from gan_runner.metrics.chamfer import Chamfer
from gan_runner.metrics.features import PCA, Pixels
from gan_runner.metrics.fidelity import Fidelity
from gan_runner.metrics.matrices import CorrelationFacts
from gan_runner.metrics.probe import Metric
from gan_runner.metrics.quality import ImageQuality
from gan_runner.metrics.stopping import Rule
from gan_runner.metrics.tables import TableQuality
from gan_runner.pictures import png
from gan_runner.restore import with_rows
from tests.conftest import compose
from tests.short_runs import run

Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def judged(*words: str) -> int:
    return evaluate(parse(Settings, words))


def records(place: str = "r") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(place, "scores.jsonl").read_text().splitlines()]


def rewrite(record: dict[str, Any]) -> None:
    Path("r/scores.jsonl").write_text(json.dumps(record) + "\n")


# -- figures ---------------------------------------------------------------------------------------


def test_figures_are_those_of_training() -> None:
    """Same checkpoint, same noise, same n: what the probes found after the last step, to the last bit."""
    assert run("probes=toy", "train.held_out=0.2") == 0
    assert judged("run=r") == 0
    found = json.loads(Path("r/result.json").read_text())["metrics"]
    record = records()[-1]
    again = {k: figure["value"] for k, figure in record["figures"].items()}
    again |= {f"{k}_floor": f["floor"] for k, f in record["figures"].items() if f["floor"] is not None}
    assert {"modes", "chamfer", "sliced_wasserstein"} <= found.keys()
    assert {k: again[k] for k in found} == {k: figures.finite(value) for k, value in found.items()}
    size = {name: record["figures"][name]["n"] for name in ("modes", "chamfer", "c2st_accuracy")}
    assert size == {"modes": 2500, "chamfer": 120, "c2st_accuracy": 60}, "samples drawn, in this order"
    assert record["checkpoint"]["step"] == 12 and record["data"]["rows"] == 240 and record["data"]["unseen_rows"] == 60


def test_a_run_without_probes_is_asked_what_its_data_bring(cli: Cli, tmp_path: Path) -> None:
    words = ("dataset=ring8", "dataset.n=300", "probes=none", "train.steps=3", "train.batch_size=16", "run.dir=r")
    assert cli(*words).returncode == 0
    done = cli("run=r", module="gan_runner.evaluate")
    assert done.returncode == 0, done.stderr
    (record,) = records()
    assert {"modes", "chamfer", "sliced_wasserstein", "c2st_accuracy"} <= record["figures"].keys()
    again = cli("verify=r", module="gan_runner.evaluate")
    assert (
        again.returncode == 0 and f"{len(record['figures'])} of {len(record['figures'])} figures hold" in again.stdout
    )


def test_each_figure_is_what_its_probe_gives(capsys: pytest.CaptureFixture[str]) -> None:
    run("train.held_out=0.2")
    judged("run=r", "metrics=sliced_wasserstein,c2st", "n=50", "seed=3")
    source, draw, _ = with_rows(Path("r"), "newest", 3, "cpu")
    quality, test = (probe(draw, source).scalars for probe in (TableQuality(n=50), C2ST(n=50)))
    (record,) = records()
    name, worst = "sliced_wasserstein", ceiling(TableQuality(n=50), source) | ceiling(C2ST(n=50), source)
    assert record["figures"] == {
        name: figure(quality[name], quality[f"{name}_floor"], worst[name], "240 training rows", "quality"),
        "c2st_accuracy": figure(test["c2st_accuracy"], None, worst["c2st_accuracy"], "60 unseen rows", "c2st"),
        "c2st_p_value": figure(test["c2st_p_value"], None, worst["c2st_p_value"], "60 unseen rows", "c2st"),
    }
    assert worst[name] > 1.5 * quality[f"{name}_floor"]
    assert {k: node["n"] for k, node in record["probes"].items()} == {"quality": 50, "c2st": 50}
    assert record["cost"]["samples"]["made"] == 50, "both probes judge the same samples"
    assert f"{quality[name]:.4g}" in capsys.readouterr().out


def test_images_are_judged_in_the_features_asked_for() -> None:
    words = ("dataset=digits", "model=mlp", "probes=none", "train.held_out=0.1", "train.steps=2", "run.dir=r")
    assert train.train(compose(*words), [])[0] == 0
    for features in ("pixels", "pca"):
        judged("run=r", "metrics=frechet,kid,memorisation", "n=40", f"features={features}")
    assert judged("verify=r") == 0
    with pytest.raises(UsageError, match="choose from classifier, inception, pca, pixels, or name a file"):
        judged("run=r", "features=inseption")
    pixels, pca = records()
    assert [r["probes"]["quality"]["features"]["_target_"].split(".")[-1] for r in (pixels, pca)] == ["Pixels", "PCA"]
    source, draw, _ = with_rows(Path("r"), "newest", 0, "cpu")
    for record, space in ((pixels, Pixels()), (pca, PCA())):
        found = ImageQuality(space, n=40)(draw, source).scalars
        assert record["figures"]["frechet"]["value"] == pytest.approx(found["frechet"], rel=1e-9)
    assert len({r["figures"]["memorisation"]["value"] for r in (pixels, pca)}) == 2
    assert [pca["figures"][name]["against"] for name in ("frechet", "kid", "memorisation")] == [
        "180 unseen rows",
        "40 of 180 unseen rows",
        "1,617 training rows, 180 unseen ones",
    ]
    assert pca["data"]["preprocessing"] == [*source.notes]
    assert re.fullmatch(r"[\d.]+, code [0-9a-f]{12}", pca["circumstances"]["gan_runner"])


@pytest.mark.parametrize("loss", ["elbo", "iwae", "cd", "pcd", "ebm"])
def test_relatives_of_gans_are_judged_and_score_images(loss: str, tmp_path: Path) -> None:
    words = ("dataset=digits", f"loss={loss}", "probes=none", "train.held_out=0.1", "train.steps=2", "run.dir=r")
    assert train.train(compose(*words), [])[0] == 0
    judged("run=r", "metrics=quality", "n=40", "features=pixels")
    (record,) = records()
    assert {"frechet", "kid", "precision", "coverage"} <= record["figures"].keys()
    assert all(figure["value"] is not None for figure in record["figures"].values())
    source, _, _ = with_rows(Path("r"), "newest", 0, "cpu")
    (tmp_path / "mine").mkdir()
    for k in range(3):
        png.write(tmp_path / f"mine/{k}.png", source.data[k].permute(1, 2, 0).expand(-1, -1, 3))
    assert score.score(parse(score.Settings, ("run=r", "data=mine"))) == 0
    assert len(Path("scores.csv").read_text().splitlines()) == 4


def figure(value: float, floor: float | None, ceiling: float, against: str, probe: str) -> dict[str, Any]:
    return {"value": value, "floor": floor, "ceiling": ceiling, "n": 50, "against": against, "probe": probe}


def test_nothing_but_the_record_is_written() -> None:
    run()
    before = {p: p.read_bytes() for p in Path("r").rglob("*") if p.is_file()}
    judged("run=r", "n=20")
    judged("verify=r")
    after = {p: p.read_bytes() for p in Path("r").rglob("*") if p.is_file()}
    assert after.keys() - before.keys() == {Path("r/scores.jsonl")}
    assert {p: after[p] for p in before} == before


def test_rows_of_a_file_stand_for_those_held_out() -> None:
    run("train.held_out=0.2")
    source, draw, _ = with_rows(Path("r"), "newest", 0, "cpu")
    rows = source.frame(torch.randn(40, 2))
    rows.columns = list(source.spec.names)
    rows.to_csv("mine.csv", index=False)
    judged("run=r", "data=mine.csv", "metrics=c2st")
    (record,) = records()
    mine = figures.unseen("mine.csv", source)
    assert record["figures"]["c2st_accuracy"]["against"] == "40 unseen rows" and mine.held_out is not None
    assert record["figures"]["c2st_accuracy"]["value"] == C2ST()(draw, mine).scalars["c2st_accuracy"]
    assert judged("verify=r") == 0
    rows.iloc[:-1].to_csv("mine.csv", index=False)
    assert judged("verify=r") == 1
    source.frame(source.data[:3]).set_axis(rows.columns, axis=1).to_csv("seen.csv", index=False)
    with pytest.warns(UserWarning, match="3 of the 3 rows of data=seen.csv are training rows"):
        figures.unseen("seen.csv", source)


# -- which rows ------------------------------------------------------------------------------------


def made_up(kind: str, shape: tuple[int, ...], seed: int, n: int = 64) -> Source:
    g = torch.Generator().manual_seed(seed)
    data = torch.randn(n, *shape, generator=g)
    if kind == "correlation":
        data = torch.stack([torch.corrcoef(x) for x in torch.randn(n, shape[1], 12, generator=g)]).unsqueeze(1)
    return Source(Spec(shape, kind), data, digest=str(seed))


class Fixed(Draw):
    def __init__(self, rows: Tensor):
        self.rows = rows

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.rows[:n]

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        yield self.rows[:n]


@pytest.mark.parametrize(
    ("make", "kind", "shape"),
    [
        (lambda: ImageQuality(Pixels(), n=32), "image", (1, 4, 4)),
        (lambda: C2ST(n=32, steps=20), "table", (3,)),
        (lambda: Fidelity(n=32), "table", (3,)),
        (lambda: Chamfer(n=32), "table", (3,)),
        (lambda: TableQuality(n=32), "table", (3,)),
        (lambda: CorrelationFacts(n=32), "correlation", (1, 5, 5)),
    ],
)
def test_figures_depend_on_the_rows_that_they_name(
    make: Callable[[], Metric], kind: str, shape: tuple[int, ...]
) -> None:
    """Other training rows leave figures about unseen rows as they are, and the other way round."""
    a, b, c, d = (made_up(kind, shape, seed) for seed in range(4))
    draw = Fixed(a.data)

    def found(seen: Source, held: Source) -> dict[str, float]:
        return make()(draw, replace(seen, held_out=held)).scalars

    first, other_unseen, other_training = found(b, c), found(b, d), found(d, c)
    about = {k: figures.split(make(), k) for k in first if k.split("_")[-1] not in ("floor", "copula", "independent")}
    assert about
    for name, rows in about.items():
        same, moved = (other_training, other_unseen) if rows == "unseen" else (other_unseen, other_training)
        assert first[name] == same[name], (name, rows)
        del moved[name]
    changed = other_unseen if "unseen" in about.values() else other_training
    assert changed.keys() < first.keys()


def test_every_metric_says_which_rows() -> None:
    classes = {
        thing
        for module in pkgutil.iter_modules(metrics.__path__, "gan_runner.metrics.")
        for thing in vars(importlib.import_module(module.name)).values()
        if isinstance(thing, type) and hasattr(thing, "kinds") and not issubclass(thing, Rule)
    }
    assert len(classes) > 20
    assert {getattr(c, "against", None) for c in classes} <= {"unseen", "training", "both", "truth"}


# -- the record again ------------------------------------------------------------------------------


def test_a_record_holds_until_somebody_changes_it(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    judged("run=r", "metrics=quality", "n=40", "seed=2")
    assert judged("verify=r") == 0
    for change in ({"value": 1.001}, {"floor": 0.999}, {"ceiling": 1.001}, {"n": 2}):
        (record,) = records()
        for key, factor in change.items():
            record["figures"]["wasserstein_mean"][key] *= factor
        rewrite(record)
        capsys.readouterr()
        assert judged("verify=r") == 1
        said = capsys.readouterr().out
        assert said.count("does not hold") == 1 and "3 of 4 figures hold" in said
        for key, factor in change.items():
            record["figures"]["wasserstein_mean"][key] /= factor
        rewrite(record)
    assert judged("verify=r") == 0
    for known in record["figures"].values():
        del known["ceiling"]
    rewrite(record)
    assert judged("verify=r") == 0, "a record from before there were ceilings"
    record["checkpoint"]["sha256"] = "0" * 64
    rewrite(record)
    capsys.readouterr()
    assert judged("verify=r") == 1
    said = capsys.readouterr().out
    assert "4 of 4 figures hold" in said and "another checkpoint than in the record" in said


def test_a_record_is_of_its_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    run("train.checkpoint_keep=2")
    judged("run=r", "metrics=quality")
    run("resume=r", "train.steps=18")
    assert judged("verify=r") == 0, "the newest is another, but the old one is there"
    state = Path("r/ckpt/step-00000012/state.pt")
    good = state.read_bytes()
    state.write_bytes(good[:-9] + b"?" + good[-8:])
    with pytest.raises(Fault, match="is damaged") as caught:
        judged("verify=r")
    assert caught.value.code == 66
    run("run.dir=other", "seed=1")
    shutil.rmtree("r/ckpt/step-00000012")
    shutil.copytree("other/ckpt/step-00000012", "r/ckpt/step-00000012")
    assert judged("verify=r") == 1
    assert "another checkpoint than in the record" in capsys.readouterr().out
    shutil.rmtree("r/ckpt/step-00000012")
    with pytest.raises(Fault, match="has lost the checkpoint of step 12"):
        judged("verify=r")


def test_near_forgives_rounding_alone() -> None:
    assert near(1.0, 1.00005) and near(None, None) and near(0.0, 1e-12)
    assert not near(1.0, 1.0003) and not near(None, 0.0) and not near(0.0, 1e-6)


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("run=r metrics=sliced_waserstein", 2, "did you mean sliced_wasserstein"),
        ("run=r metrics=nothing_like_it", 2, "choose from c2st, "),
        ("run=r n=1", 2, "n=1 is too few"),
        ("run=r n=-3", 2, "n=-3 is too few"),
        ("run=r features=pca", 2, "features=pca does not suit table data"),
        ("run=r checkpoint=oldest", 2, "choose from newest, best"),
        ("run=r checkpoint=best", 66, "no best checkpoint"),
        ("run=r metrics=likelihood", 1, "likelihood finds none in this run"),
        ("run=r data=none.csv", 66, "none.csv"),
        ("run=nowhere", 66, "is not a run folder"),
        ("seed=3", 2, "give run=DIR, or verify=DIR"),
        ("verify=r", 66, "evaluate the run first"),
        ("verify=r n=5", 2, "goes by the record's settings"),
    ],
)
def test_mistakes_cost_a_line(words: str, code: int, said: str) -> None:
    run()
    with pytest.raises(Fault) as caught:
        judged(*words.split())
    assert caught.value.code == code and said in str(caught.value)
    assert not Path("r/scores.jsonl").exists()


@pytest.mark.parametrize("line", ["{", "3", '{"time": ""}', ""])
def test_what_is_no_record_is_said_to_be_none(line: str) -> None:
    run()
    Path("r/scores.jsonl").write_text(line + "\n")
    with pytest.raises(Fault, match="no record") as caught:
        judged("verify=r")
    assert caught.value.code == 66


def test_other_data_are_refused() -> None:
    run()
    papers = Path("r/config.yaml")
    papers.write_text(papers.read_text().replace("'n': 300", "'n': 301"))
    with pytest.raises(Fault, match="other rows than r was trained on") as caught:
        judged("run=r")
    assert caught.value.code == 65


def test_a_probe_that_fails_does_not_take_the_others_along(monkeypatch: pytest.MonkeyPatch) -> None:
    run()

    def fail(*_: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(C2ST, "__call__", fail)
    with pytest.raises(Fault, match="probe c2st failed: RuntimeError: no luck") as caught:
        judged("run=r")
    assert caught.value.code == 1 and "sliced_wasserstein" in records()[0]["figures"]


# -- parts -----------------------------------------------------------------------------------------


def test_a_stopwatch_draws_the_same_samples_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    _, draw, _ = with_rows(Path("r"), "newest", 0, "cpu")
    watch = Stopwatch(draw)
    assert torch.equal(watch(30), draw(30)) and torch.equal(watch(7), draw(7)) and watch(30) is watch(30)
    assert torch.equal(watch(7, live=True), draw(7, live=True)) and watch.paths(2, 5) is None
    assert torch.equal(torch.cat([*watch.stream(30)]), draw(30)), "made once, streamed or not"
    assert watch.spent.keys() == {"samples"} and watch.spent["samples"][0] == 44 and watch.spent["samples"][1] > 0
    assert watch.most == 30
    monkeypatch.setattr("gan_runner.draw.KEPT", 0)
    assert torch.equal(torch.cat([*watch.stream(300)]), draw(300)) and watch.most == 300
    assert watch.spent["samples"][0] == 344 and ("samples", 300, False) not in watch._kept


def test_rivals_stand_beside_what_they_rival() -> None:
    names = ["ks", "ks_copula", "ks_max", "ks_max_copula", "tv", "tv_low", "kurtosis"]
    assert figures.companions(names) == {"ks": {"copula": "ks_copula"}, "ks_max": {"copula": "ks_max_copula"}}
