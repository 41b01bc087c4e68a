"""Groups of seeds: what belongs together, what a few seeds can say, and that no file says more."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import math
import re
from itertools import pairwise, product
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.stats
from omegaconf import OmegaConf

from gan_runner import compare
from gan_runner.comparison import curves, drawing, pictures, tables, words
from gan_runner.comparison.groups import commands
from gan_runner.comparison.page import page
from gan_runner.comparison.papers import Papers
from gan_runner.comparison.statistics import difference, least, mean, sign_flips
from gan_runner.comparison.study import Study, study
from gan_runner.errors import MissingInput
from gan_runner.folder import write_json, write_text
from gan_runner.metrics.better import better
from gan_runner.pictures import png
from tests.conftest import ROOT
from tests.test_compare import configuration, made

HOSTILE = "<script>alert('x')</script>&\"|_$"


def runs(*places: Path) -> Study:
    return study([Papers(place) for place in places])


def changed(place: Path, name: str, **facts: object) -> None:
    """Change a JSON file of a run folder."""
    known = json.loads((place / name).read_text()) if (place / name).exists() else {}
    write_json(place / name, known | facts)


def asked(place: Path, *overrides: str) -> Path:
    """Another configuration for a run that `made` has made."""
    write_text(place / "config.yaml", configuration(*overrides))
    write_text(place / "overrides.yaml", OmegaConf.to_yaml([*overrides]))
    return place


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three losses, three seeds: wgan_gp lower than ns by about 3, hinge anywhere."""
    values = {"ns": (10.0, 12.0, 14.0), "wgan_gp": (7.1, 8.9, 11.0), "hinge": (2.0, 30.0, 9.0)}
    return [
        made(tmp_path / f"{loss}{seed}", loss, seed, frechet=value)
        for loss, found in values.items()
        for seed, value in zip((1, 2, 3), found, strict=True)
    ]


# -- statistics ------------------------------------------------------------------------------------


def test_intervals_are_those_of_scipy() -> None:
    x = np.random.default_rng(1).normal(3, 2, 12)
    found = mean([*x])
    ours = scipy.stats.t.interval(0.95, 11, x.mean(), scipy.stats.sem(x))
    assert found.student == pytest.approx(ours) and (found.n, found.sd) == (12, pytest.approx(x.std(ddof=1)))
    theirs = scipy.stats.bootstrap((x,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert found.bootstrap == pytest.approx((theirs.low, theirs.high), abs=0.1 * x.std())
    assert found == mean([*x]), "the resamples are always the same"


def test_the_bootstrap_of_three_is_their_range() -> None:
    """All three draws are the least with probability 1/27, more than the 2.5 % that a percentile leaves out."""
    found = mean([1.0, 5.0, 2.0])
    assert found.bootstrap == (1.0, 5.0)
    assert found.student[0] < 1 and found.student[1] > 5, "Student's knows that three seeds tell little"


def test_one_seed_has_no_interval() -> None:
    found = mean([4.0])
    assert found.mean == 4 and math.isnan(found.sd) and all(map(math.isnan, (*found.student, *found.bootstrap)))


@pytest.mark.parametrize("n", range(1, 8))
def test_the_least_p_is_that_of_equal_signs(n: int) -> None:
    """1/4 for three seeds, and six are needed for less than 5 %."""
    assert sign_flips(np.arange(1.0, n + 1)) == least(n) == min(2 / 2**n, 1)
    assert (least(n) < 0.05) == (n >= 6)


def test_flips_are_those_of_scipy() -> None:
    x = np.random.default_rng(2).normal(0.5, 1, 8)
    theirs = scipy.stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flips(x) == pytest.approx(theirs.pvalue)
    by_hand = np.mean([abs(np.dot(s, x)) >= abs(x.sum()) - 1e-12 for s in product((1, -1), repeat=8)])
    assert sign_flips(x) == by_hand
    many = np.random.default_rng(3).normal(0.4, 1, 20)
    exact = scipy.stats.permutation_test((many,), np.mean, permutation_type="samples", n_resamples=50_000, rng=0)
    assert sign_flips(many) == pytest.approx(exact.pvalue, abs=0.02)


def test_a_difference_is_of_pairs() -> None:
    """What both have in common goes, and the other way round it is the same with the other sign."""
    a, b = [1.0, 12.0, 23.0, 34.0], [0.5, 11.0, 22.4, 33.2]
    ab, ba = difference(a, b), difference(b, a)
    theirs = scipy.stats.ttest_rel(a, b).confidence_interval()
    assert ab.student == pytest.approx((theirs.low, theirs.high))
    assert (ab.mean, ab.student, ab.p) == (-ba.mean, tuple(-v for v in reversed(ba.student)), ba.p)
    assert ab.excludes_zero and not difference(a, [*reversed(b)]).excludes_zero


@pytest.mark.parametrize(
    ("a", "b"),
    [([8.0] * 3, [7.0] * 3), ([1.3] * 3, [2.1] * 3), ([0.9, 1.1, 0.4], [0.5, 0.7, 0.0])],
)
def test_without_spread_nothing_is_shown(a: list[float], b: list[float]) -> None:
    """Not even the spread of roundings."""
    found = difference(a, b)
    assert found.sd == 0 and not found.excludes_zero


# -- groups ----------------------------------------------------------------------------------------


def test_groups_are_alike_but_for_seed_and_circumstances(tmp_path: Path) -> None:
    common = ["loss=ns", "train.steps=3"]
    places = [asked(made(tmp_path / f"{i}", "ns", i), *common, f"seed={i}") for i in (1, 2)]
    elsewhere = ["device=cpu", "train.threads=2", "run.root=else", "data_dir=d", "probes=none", "train.log_every=7"]
    places.append(asked(made(tmp_path / "3", "ns", 3), *common, "seed=3", *elsewhere))
    (group,) = runs(*places).groups
    assert group.seeds == [1, 2, 3]
    places.append(asked(made(tmp_path / "4", "ns", 3), "loss=ns", "train.steps=4", "seed=3"))
    assert [g.name for g in runs(*places).groups] == ["3", "4"], "the words that set them apart"


def test_groups_do_not_depend_on_the_order_of_runs(three: list[Path]) -> None:
    forth = {g.name: [r.place for r in g.runs] for g in runs(*three).groups}
    back = {g.name: [r.place for r in g.runs] for g in runs(*reversed(three)).groups}
    assert forth == back and {*forth} == {"ns", "wgan_gp", "hinge"}


def test_names_say_what_was_asked_for(tmp_path: Path) -> None:
    places = [
        asked(made(tmp_path / f"{loss}{rate}", loss, 1), f"loss={loss}", f"optimizer.lr={rate}")
        for loss, rate in product(("ns", "hinge"), ("1e-3", "1e-4"))
    ]
    assert runs(*places).groups[1].name == "loss=ns, lr=1e-4"
    assert runs(*places).groups[1].varied == {"loss": "ns", "optimizer.lr": "1e-4"}


def test_the_same_words_may_mean_different_settings(tmp_path: Path) -> None:
    """As of two versions: the settings themselves set them apart."""
    old, new = made(tmp_path / "a", "ns", 1), asked(made(tmp_path / "b", "ns", 1), "loss=ns", "train.batch_size=32")
    write_text(new / "overrides.yaml", OmegaConf.to_yaml(["loss=ns"]))
    assert len({group.name for group in runs(old, new).groups}) == 2
    assert any("32" in group.name for group in runs(old, new).groups)


def test_data_that_follow_the_seed_do_not_part_a_group(tmp_path: Path) -> None:
    """Nor its column; data of one digest and of another do."""
    places = []
    for seed in (1, 2):
        place = asked(made(tmp_path / f"{seed}", "ns", seed), "dataset=huber", f"dataset.seed={seed}", f"seed={seed}")
        changed(place, "manifest.json", data={"name": "huber", "digest": f"drawn{seed}"})
        places.append(place)
    found = runs(*places)
    assert len(found.groups) == 1 and found.columns[0].metric == "frechet"
    assert [c.metric for c in found.columns].count("frechet") == 1
    others = [asked(made(tmp_path / "toy", "ns", 1), "dataset=hcbm", "dataset.seed=0", "seed=1")]
    assert len(runs(*places, *others).groups) == 2, "other data may have a seed that stays"
    asked(places[1], "dataset=huber", "dataset.seed=7", "seed=2")
    assert len(runs(*places).groups) == 2


def test_what_is_unfinished_is_listed_and_not_averaged(three: list[Path]) -> None:
    changed(three[0], "status.json", state="failed")
    found = runs(*three)
    ns = next(g for g in found.groups if g.name == "ns")
    assert ns.seeds == [2, 3] and [r.seed for r in ns.unfinished] == [1]
    cell = found.cell(ns, found.columns[0])
    assert cell and cell.mean == 13
    assert "ns, seed 1: failed at step 3" in page(found)


def test_a_seed_counts_once(tmp_path: Path) -> None:
    places = [
        made(tmp_path / str(i), "ns", seed, frechet=v) for i, (seed, v) in enumerate([(1, 2.0), (1, 4.0), (2, 9.0)])
    ]
    found = runs(*places)
    cell = found.cell(found.groups[0], found.columns[0])
    assert cell and (cell.n, cell.mean) == (2, 6.0)


def test_numbers_that_are_not_finite_are_told(three: list[Path]) -> None:
    result = json.loads((three[0] / "result.json").read_text())
    changed(three[0], "result.json", metrics=result["metrics"] | {"frechet": math.nan})
    found = runs(*three)
    assert "13.0 ± 1.4 (2 of 3 seeds)" in tables.as_markdown(found) and "2 of 3 seeds" in page(found)


@pytest.mark.parametrize("how", ["diverged", "running", "nan"])
def test_survivors_are_not_the_best(three: list[Path], how: str) -> None:
    """Nor are seeds that failed left unsaid: those that are left have the better mean for it."""
    pair = [place for place in three if "hinge" not in place.name]
    if how == "nan":
        metrics = json.loads((pair[3] / "result.json").read_text())["metrics"]
        changed(pair[3], "result.json", metrics=metrics | {"frechet": math.nan})
    else:
        changed(pair[3], "status.json", state=how)
    found = runs(*pair)
    column = found.columns[0]
    assert found.ranked(column)[0].name == "wgan_gp" and found.best(column) is None
    assert "9.9 ± 1.5 (2 of 3 seeds)" in tables.as_markdown(found) and "**" not in tables.as_markdown(found)
    assert "With 2 seeds the sign-flip test" in words.caution(found)


# -- columns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "facts"),
    [
        ("manifest.json", {"data": {"rows": 7}}),
        ("manifest.json", {"data": {"digest": "other"}}),
        ("result.json", {"metrics": {"frechet": 9.0, "feature_digest": 4.0}}),
    ],
)
def test_other_data_and_features_have_columns_of_their_own(three: list[Path], file: str, facts: dict) -> None:
    changed(three[0], file, **facts)
    found = runs(*three)
    both = [c for c in found.columns if c.metric == "frechet"]
    assert len(both) == 2 and len({found.headings[c] for c in both}) == 2
    counts = sorted(len(found.values(found.groups[0], c)) for c in both)
    assert counts == [1, 2], "no seed stands in both"


@pytest.mark.parametrize("setting", ["probes.quality.n=500", "probes.quality.features.size=4", "train.held_out=0.5"])
def test_other_protocols_have_columns_of_their_own(three: list[Path], setting: str) -> None:
    asked(three[0], "loss=ns", "seed=1", setting)
    found = runs(*three)
    both = [found.headings[c] for c in found.columns if c.metric == "frechet"]
    assert len(both) == 2 and all(setting.split("=")[1] in " ".join(both) for _ in both)
    markdown = tables.as_markdown(found)
    assert all(heading in markdown for heading in both)


def test_when_probes_look_and_what_they_draw_does_not_matter(three: list[Path]) -> None:
    asked(three[0], "loss=ns", "seed=1", "probes.quality.every=7", "probes.samples.every=9", "data_dir=elsewhere")
    assert [c.metric for c in runs(*three).columns].count("frechet") == 1


def record(step: int = 3, n: int = 500, value: float | None = 5.0, **settings: object) -> dict:
    """What evaluate writes, as far as comparisons read it."""
    return {
        "settings": {"checkpoint": "newest", "seed": 0, **settings},
        "checkpoint": {"step": step},
        "data": {"digest": "d" * 64, "unseen_digest": "u" * 64},
        "probes": {"quality": {"_target_": "gan_runner.metrics.quality.ImageQuality", "every": 0, "n": n}},
        "figures": {"frechet": {"value": value, "floor": 1.0, "n": n, "against": "10 unseen rows", "probe": "quality"}},
        "features": {"feature_digest": 3.0},
    }


def test_records_of_different_n_never_share_a_column(three: list[Path]) -> None:
    for k, place in enumerate(three):
        changed(place, "result.json", step=3)
        lines = [record(value=float(k)), record(n=2000, value=2.0 * k), record(step=2, value=99.0)]
        lines += [record(value=k + 0.5), {"not": "a record"}]
        (place / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"torn')
    found = study([Papers(place) for place in three], scores=True)
    assert [found.headings[c] for c in found.columns] == [
        "frechet (n 500)",
        "frechet (n 2000)",
    ]
    first = [found.values(found.groups[0], c) for c in found.columns]
    assert first == [{1: 0.5, 2: 1.5, 3: 2.5}, {1: 0.0, 2: 2.0, 3: 4.0}], "the newest record, of the last step"


def test_records_of_an_older_best_checkpoint_do_not_count(three: list[Path]) -> None:
    for place in three:
        line = record(step=2, value=99.0, checkpoint="best")
        (place / "scores.jsonl").write_text(json.dumps(line) + "\n")
    with mock.patch.object(Papers, "best_step", 2):
        assert study([Papers(place) for place in three], scores=True).columns
    with mock.patch.object(Papers, "best_step", 3):
        assert not study([Papers(place) for place in three], scores=True).columns


def test_scores_are_asked_for_where_there_are_some(three: list[Path], tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no complete run has a record"):
        compare.compare([tmp_path], tmp_path / "t.csv", scores=True)


def test_directions_are_those_of_the_documentation() -> None:
    lines = re.findall(r"^\| (`.+?) \| (.+?) \| (.*?) \| .* \|$", (ROOT / "docs/metrics.md").read_text(), re.M)
    plain = [(names, way) for names, _, way in lines if way in ("lower", "higher")]
    assert len(plain) > 20
    for names, way in plain:
        for name in re.findall(r"`(\w+)`", names):
            if not name.isupper() and name not in ("parzen_error", "parzen_sigma") and not name.endswith("_1_error"):
                assert better(name) == way or (name.endswith("_error") and "log_likelihood" in name), name
    for names, _, way in lines:
        if not way or way.startswith(("as ", "near")):
            assert all(not better(name) for name in re.findall(r"`([a-z_]+)`", names)), names


# -- what it says ----------------------------------------------------------------------------------


def test_the_best_is_marked_only_where_intervals_exclude_zero(three: list[Path]) -> None:
    ours = runs(*(place for place in three if "hinge" not in place.name))
    column = ours.columns[0]
    best = ours.best(column)
    assert best and best.name == "wgan_gp"
    assert runs(*three).best(column) is None, "hinge may be better than both"
    (a, b, found), *_ = ours.pairs(column)
    said = words.sentence(a, b, found, "frechet")
    assert said.startswith(
        "frechet: wgan_gp is lower than ns by 3.000 (95 % interval 2.752 to 3.248, 3 seeds; p = 0.25"
    )
    assert "the least that 3 seeds can give" in said
    assert "no p below 0.25" in words.caution(ours) and "6 seeds are the fewest" in words.caution(ours)


def test_the_best_is_better_on_the_seeds_they_share(tmp_path: Path) -> None:
    """Not only on average over seeds that the other has not."""
    values = {"ns": {1: 5.0, 2: 5.1, 3: 0.0, 4: 0.0, 5: 0.0}, "hinge": {1: 4.0, 2: 4.2}}
    places = [
        made(tmp_path / f"{loss}{seed}", loss, seed, frechet=value)
        for loss, found in values.items()
        for seed, value in found.items()
    ]
    found = runs(*places)
    assert found.ranked(found.columns[0])[0].name == "ns" and found.best(found.columns[0]) is None


def test_what_is_better_than_real_rows_is_not_the_best(three: list[Path]) -> None:
    """Collapsed samples may have a precision of 1."""
    pair = [place for place in three if "hinge" not in place.name]
    for floor, best in ((8.9, "wgan_gp"), (9.1, None)):
        for place in pair:
            metrics = json.loads((place / "result.json").read_text())["metrics"]
            changed(place, "result.json", metrics=metrics | {"frechet_floor": floor})
        found = runs(*pair)
        assert getattr(found.best(found.columns[0]), "name", None) == best


def test_the_best_is_better_than_every_line(three: list[Path]) -> None:
    """One that was measured otherwise might have been better."""
    for place in three:
        if "hinge" in place.name:
            changed(place, "result.json", metrics={"frechet": 30.0, "feature_digest": 4.0})
    found = runs(*three)
    assert [c.metric for c in found.columns].count("frechet") == 2
    assert not any(found.best(column) for column in found.columns if column.metric == "frechet")


def test_no_difference_is_said_to_be_none(three: list[Path]) -> None:
    found = runs(*three)
    pairs = [pair for pair in found.pairs(found.columns[0]) if "hinge" in (pair[0].name, pair[1].name)]
    said = [words.sentence(*pair, "frechet") for pair in pairs]
    assert len(said) == 2 and all("no difference is shown" in each for each in said)


def test_of_many_groups_the_best_is_first(tmp_path: Path) -> None:
    """And is set apart from those alone whose interval excludes zero."""
    places = [
        asked(made(tmp_path / f"{rate}{seed}", "ns", seed, frechet=lift * rate), f"optimizer.lr={rate}", f"seed={seed}")
        for rate in (5, 3, 7, 1, 6, 2, 4)
        for seed, lift in ((1, 1.0), (2, 1.1))
    ]
    found = runs(*places)
    assert [group.name for group in found.groups] == [*"1234567"]
    pairs = found.pairs(found.columns[0])
    assert [b.name for a, b, _ in pairs if a.name == "1"] == [*"234567"] and len(pairs) == 6
    apart = sum(d.excludes_zero for *_, d in pairs)
    assert apart > 0 and f"from {apart} of the 6 others (2 seeds" in page(found)
    for place in places:
        value = json.loads((place / "result.json").read_text())["metrics"]["frechet"]
        changed(place, "result.json", metrics={"oddity": value})
    odd = runs(*places)
    assert words.conclusions(odd, odd.columns[0]) == [], "who leads where nobody knows the way?"


def test_a_metric_of_no_direction_has_no_best(three: list[Path]) -> None:
    for k, place in enumerate(three):
        result = json.loads((place / "result.json").read_text())
        changed(place, "result.json", metrics=result["metrics"] | {"oddity": 10.0 * (k // 3) + k % 3 / 10})
    found = runs(*three)
    (odd,) = (c for c in found.columns if c.metric == "oddity")
    assert found.best(odd) is None and found.pairs(odd)[0][2].mean == pytest.approx(-10)


# -- files -----------------------------------------------------------------------------------------


def test_csv_comes_back_as_it_was(three: list[Path]) -> None:
    found = runs(*three)
    rows = [*csv.DictReader(io.StringIO(tables.as_csv(found)))]
    assert len(rows) == len(found.groups) * len(found.columns)
    for row in rows:
        group = next(g for g in found.groups if g.name == row["group"])
        column = next(c for c in found.columns if c.metric == row["metric"])
        cell = found.cell(group, column)
        assert cell and (float(row["mean"]), float(row["sd"]), float(row["low"])) == (
            cell.mean,
            cell.sd,
            cell.student[0],
        )
        assert (row["seeds"], row["n"]) == ("1 2 3", "3")


def test_markdown_and_latex_have_the_same_cells(three: list[Path]) -> None:
    found = runs(*three)
    markdown = [line.strip("| \n").split(" | ") for line in tables.as_markdown(found).splitlines()]
    latex = [line.removesuffix(r" \\").split(" & ") for line in tables.as_latex(found).splitlines() if "&" in line]
    plain = [[cell.replace(r"$\pm$", "±").replace(r"\_", "_") for cell in line] for line in latex]
    assert [line[1:3] for line in markdown[2:5]] == [line[1:3] for line in plain[1:4]]
    assert [line[2] for line in markdown[2:]] == ["12.0 ± 2.0", "9.0 ± 2.0", "14 ± 15", "1"]
    assert tables.as_latex(found).count(r"\midrule") == 2, "real rows stand below a line"


def hostile(place: Path) -> Path:
    write_text(place / "overrides.yaml", OmegaConf.to_yaml([f"loss={HOSTILE}"]))
    result = json.loads((place / "result.json").read_text())
    changed(place, "result.json", metrics=result["metrics"] | {HOSTILE: 1.0})
    changed(place, "manifest.json", data={"name": HOSTILE, "rows": 3}, versions={HOSTILE: HOSTILE})
    return place


class Reader(html.parser.HTMLParser):
    """Tags in their order, whether they are closed in it, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "circle", "line", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_and_runs_nothing(three: list[Path]) -> None:
    hostile(three[0])
    whole = page(runs(*three), title := f"</title>{HOSTILE}", [HOSTILE])
    reader = Reader()
    reader.feed(whole)
    assert not reader.open, "every tag is closed"
    assert "<script" not in whole and title in reader.text and f"{HOSTILE}: never began" in reader.text
    allowed = {"class", "lang", "charset", "name", "content", "alt", "scope", "role", "viewbox", "d"}
    allowed |= {"aria-label", "aria-hidden", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "text-anchor", "src"}
    for tag, name, value in reader.attributes:
        assert name in allowed and (name != "src" or value.startswith("data:image/png;base64,")), (tag, name)
    assert not re.search(r"https?:|url\(|@import", whole)
    images = [tag for tag, name, _ in reader.attributes if name == "src"]
    texts = [value for tag, name, value in reader.attributes if name == "alt"]
    assert len(images) == len(texts) == 9 and all(texts)


def test_latex_and_markdown_survive_any_name(three: list[Path]) -> None:
    hostile(three[0])
    found = runs(*three)
    wide = len(found.columns) + 2
    latex = [line for line in tables.as_latex(found).splitlines() if line.endswith(r"\\")]
    assert all(len(re.findall(r"(?<!\\)&", line)) == wide - 1 for line in latex)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == wide + 1 for line in tables.as_markdown(found).splitlines())
    assert "<script" not in tables.as_markdown(found) and len(re.findall(r"(?<!\\)_", tables.as_latex(found))) == 0


def test_the_command_writes_what_it_is_asked_for(three: list[Path], tmp_path: Path, capsys) -> None:
    names = ("html", "summary", "markdown", "latex")
    files = {name: tmp_path / f"all.{name}" for name in names}
    assert compare.compare([tmp_path], tmp_path / "t.csv", None, files, "A & B") == 0
    assert "<title>A &amp; B</title>" in files["html"].read_text() and all(f.stat().st_size for f in files.values())
    said = capsys.readouterr().out
    assert "wgan_gp is lower than ns by 3.000" in said and "no p below 0.25" in said


def test_a_sweep_is_made_again_by_one_command(three: list[Path], tmp_path: Path) -> None:
    (again,) = commands([Papers(place) for place in three])
    assert again == "python -m gan_runner -m loss=ns,wgan_gp,hinge seed=1,2,3"
    assert len(commands([Papers(place) for place in three[:-1]])) == 8, "eight runs are no product"


# -- figures ---------------------------------------------------------------------------------------


def log(place: Path, rows: int, pace: float, steps: int = 6, lift: float = 0.0) -> Papers:
    """metrics.jsonl of a run whose steps take so many rows, its score the step."""
    lines = []
    for step in range(2, steps + 1, 2):
        minutes = step * pace / 60
        speed = {"speed/images_per_second": rows / pace, "speed/minutes": minutes}
        lines.append({"step": step, "time": minutes, "game/discriminator_loss": step + lift, **speed})
        lines.append({"step": step, "time": minutes, "eval/frechet": step + lift})
    write_text(place / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return Papers(place)


@pytest.mark.parametrize("pace", [0.01, 3.0])
def test_images_seen_follow_from_speed_and_time(three: list[Path], pace: float) -> None:
    """However fast the machine was, and also where an earlier session has left no row."""
    run = log(three[0], 320, pace)
    assert curves.rows_a_step(run) == pytest.approx(320)
    x, y = curves.logged(run, "eval/frechet")
    assert x == pytest.approx([640, 1280, 1920]) and [*y] == [2, 4, 6]


def test_a_band_is_of_all_seeds(three: list[Path]) -> None:
    """It ends where the first of them does, and joins points by lines."""
    for place, steps, lift in zip(three[:3], (6, 8, 6), (0.0, 1.0, 5.0), strict=True):
        log(place, 10, 0.1, steps, lift)
    found = curves.curve(runs(*three[:3]).groups[0], "eval/frechet")
    assert found and found.x == pytest.approx([20, 40, 60])
    assert [*found.low] == [2, 4, 6] and [*found.middle] == [3, 5, 7] and [*found.high] == [7, 9, 11]
    between = curves.over_runs([(np.array([0.0, 4.0]), np.array([0.0, 8.0])), (np.array([0.0, 2.0, 4.0]), np.zeros(3))])
    assert between and [*between.high] == [0, 4, 8]


@pytest.mark.parametrize("log", [False, True])
def test_axes_run_from_end_to_end(log: bool) -> None:
    axis = drawing.scale([1.0, 7.0, 900.0], 10, 110, log)
    at = [axis(v) for v in (1.0, 7.0, 900.0)]
    assert 10 <= at[0] < at[1] < at[2] <= 110
    assert all(10 <= axis(t) <= 110 for t in axis.ticks()) and 2 <= len(axis.ticks()) <= 9
    steps = [b / a if log else b - a for a, b in pairwise(axis.ticks()) if a > 0]
    assert log or steps == pytest.approx([steps[0]] * len(steps))


def test_parallel_coordinates_come_with_two_numbers(tmp_path: Path) -> None:
    places = [
        asked(
            made(tmp_path / f"{lr}-{n}", "ns", 1, frechet=float(n)),
            "loss=ns",
            f"optimizer.lr={lr}",
            f"train.batch_size={n}",
        )
        for lr, n in product(("1e-3", "1e-4"), (16, 64))
    ]
    whole = page(runs(*places))
    drawn = whole.split("<h2>The sweep</h2>")[1].split("<h2>")[0]
    assert drawn.count('class="line s') == 4 and "optimizer.lr" in drawn
    assert "The sweep" not in page(runs(*places[:2]))


def test_pictures_are_small_and_the_same(tmp_path: Path) -> None:
    import torch

    rgb = torch.arange(12 * 12, dtype=torch.uint8).view(12, 12, 1).expand(12, 12, 3).contiguous()
    png.write(tmp_path / "a.png", rgb)
    url = pictures.inline(tmp_path / "a.png")
    import base64

    (tmp_path / "b.png").write_bytes(base64.b64decode(url.partition(",")[2]))
    assert png.read(tmp_path / "b.png").equal(rgb)
    (tmp_path / "c.png").write_text("no picture")
    assert pictures.inline(tmp_path / "c.png") == ""
