"""Laws of tables: what a column is, and that coding loses nothing, looks at training rows alone and can be repeated."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from gan_runner.construct import construct
from gan_runner.datasets.columns import Category, Columns, Gappy, Number
from gan_runner.datasets.spec import Source
from gan_runner.datasets.table import encode_file, sklearn_table, table
from gan_runner.errors import DataError
from gan_runner.restore import coding_of

N = 300


def people() -> pd.DataFrame:
    """Columns of every kind: text, truth, few and many integers, decimals, an atom at zero, codes, a constant."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "city": rng.choice(["Rome", "Oslo", "São Paulo"], N),
            "member": rng.random(N) < 0.3,
            "children": rng.integers(0, 4, N),
            "age": rng.integers(18, 90, N),
            "income": rng.lognormal(3, 1, N).round(2),
            "spent": np.where(rng.random(N) < 0.5, 0, rng.exponential(50, N).round(1)),
            "zip": rng.choice(["00123", "04567", "99999"], N),
            "tiny": rng.normal(0, 1e-6, N).round(9),
            "planet": "Earth",
        }
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    people().to_csv(tmp_path / "people.csv", index=False)
    return tmp_path / "people.csv"


pytestmark = pytest.mark.filterwarnings("ignore:.*is always 'Earth'")


def made(file: Path, **settings: Any) -> tuple[Source, Columns]:
    source = table(str(file), **settings)
    assert isinstance(source.coding, Columns)
    return source, source.coding


def rows(source: Source) -> pd.DataFrame:
    """A source's rows as its coding writes them."""
    return source.frame(source.data)


# -- what a column is ------------------------------------------------------------------------------


def test_columns_are_what_they_look_like(file: Path) -> None:
    _, coding = made(file, label="city")
    kinds = {column.name: type(column) for column in coding.columns}
    categories = {"city", "member", "children", "zip", "planet"}
    assert kinds == {name: Category if name in categories else Number for name in people()}
    assert coding.groups == (3, 2, 4, 1, 1, 1, 3, 1) and coding.target == 0
    assert [len(levels) for levels in coding.levels] == [3, 2, 4, 0, 0, 0, 3, 0, 1]
    assert [c.decimals for c in coding.columns if isinstance(c, Number)] == [0, 2, 1, 9]


def test_what_the_user_says_counts_more_than_looks(file: Path) -> None:
    _, coding = made(file, categorical=["age"], numeric=["children"], ignore=["zip", "planet"])
    kinds = {column.name: type(column) for column in coding.columns}
    assert kinds["age"] is Category and kinds["children"] is Number and "zip" not in kinds
    assert made(file, columns=["income", "city"])[1].names == ("city", "income")
    assert made(file, columns=["income"], label="city")[1].names == ("city", "income")


@pytest.mark.parametrize(
    "write",
    [
        lambda t: t,
        lambda t: t.replace(",", ";"),
        lambda t: t.replace(",", ";").replace(".", ","),
        lambda t: t.replace(",", "\t").replace("\n", "\r\n"),
        lambda t: "\n".join("'" + line.replace(",", "','") + "'" for line in t.splitlines()),
        lambda t: t.encode("utf-8-sig"),
        lambda t: t.encode("utf-16"),
        lambda t: t.encode("cp1252"),
        lambda t: gzip.compress(t.encode()),
        lambda t: "\n".join(f"{i if i else ''},{line}" for i, line in enumerate(t.splitlines())),
    ],
)
def test_every_way_to_write_the_same_table(write: Any, file: Path) -> None:
    expected, text = made(file)[0], file.read_text()
    content = write(text)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    source, coding = made(file)
    assert source.digest == expected.digest and coding.describe() == expected.coding.describe()  # type: ignore[union-attr]


def test_parquet_is_read_like_csv(file: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = people().astype({"age": "int16", "city": "category"})
    frame.to_parquet(file.with_suffix(".parquet"))
    expected, found = made(file)[0], made(file.with_suffix(".parquet"))[0]
    assert torch.equal(found.data, expected.data) and found.spec == expected.spec
    single = pd.DataFrame({"x": np.array([0.1, 0.2, 0.7], dtype=np.float32)})
    single.to_parquet(file.with_suffix(".pq"))
    assert made(file.with_suffix(".pq"), held_out=0.0)[1].columns[0].decimals == 1  # type: ignore[attr-defined]


# -- there and back --------------------------------------------------------------------------------


def test_training_rows_come_back_exactly_with_names_order_and_types(file: Path) -> None:
    frame, source = people(), made(file, held_out=0.0)[0]
    found = rows(source)
    assert list(found) == list(frame)
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(found.to_csv(index=False)), dtype={"zip": str}), frame.assign()
    )
    assert [str(found[name].dtype) for name in ("member", "children", "age", "income")] == [
        *("bool", "int64", "int64", "float64"),
    ]


def test_codes_of_categories_are_one_hot_over_all_levels(file: Path) -> None:
    source, coding = made(file, held_out=0.0)
    parts = source.data.split(coding.groups, 1)
    for part, size in zip(parts, coding.groups, strict=True):
        if size > 1:
            assert ((part == 0) | (part == 1)).all() and torch.equal(part.sum(1), torch.ones(N))
            assert (part.sum(0) > 0).all()


NUMBERS = {
    "normal": torch.randn(500, generator=torch.Generator().manual_seed(0)).double().round(decimals=6),
    "two atoms": torch.tensor([0.0] * 60 + [1.0] * 40 + [2.5, 3.5, 7.25]).double(),
    "an atom at the end": torch.tensor([*range(50), *[50] * 50]).double(),
    "one value": torch.tensor([4.0, 4.0]).double(),
    "two values": torch.tensor([4.0, 5.0]).double(),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_rise_with_their_scores_and_back(name: str) -> None:
    """Strictly rising beyond the training range, too; decoded to the same number within it, to its end beyond."""
    values = NUMBERS[name]
    column = Number("x", 9).fitted(values)
    low, high = float(values.min()), float(values.max())
    wide = high - low or 1.0
    axis = torch.cat([torch.linspace(low - 3 * wide, high + 3 * wide, 2001).double(), values]).sort().values.unique()
    scores = column.encode(axis).squeeze(1)
    assert (scores.diff() > 0).all()
    torch.testing.assert_close(column.decode(scores.unsqueeze(1)), axis.clamp(low, high), atol=2e-9, rtol=0)
    back = column.decode(torch.linspace(-9, 9, 999).double().unsqueeze(1))
    assert (back.diff() >= 0).all() and float(back[0]) == low and float(back[-1]) == high


def test_scores_of_training_values_are_those_of_a_gaussian() -> None:
    values = NUMBERS["normal"].exp().round(decimals=9)
    scores = Number("x", 9).fitted(values).encode(values).squeeze(1).sort().values
    expected = torch.special.ndtri((torch.arange(500) + 0.5).double() / 500)
    torch.testing.assert_close(scores[20:-20], expected[20:-20], atol=0.08, rtol=0)


def test_an_atom_has_the_middle_of_the_scores_that_decode_to_it() -> None:
    column = Number("x", 2).fitted(NUMBERS["two atoms"])
    axis = torch.linspace(-4, 4, 4001).double()
    zero = axis[column.decode(axis.unsqueeze(1)) == 0]
    share = torch.special.ndtr(zero.max())
    assert float(share) == pytest.approx(60 / 103, abs=0.02)
    inner = zero[zero >= column.line(axis)[1][1]]
    middle = column.encode(torch.zeros(1, dtype=torch.float64))
    assert float(middle) == pytest.approx(float(inner.min() + inner.max()) / 2, abs=0.01)


# -- once more -------------------------------------------------------------------------------------


def test_encoding_the_file_again_gives_the_same_rows(file: Path) -> None:
    source, coding = made(file, held_out=0.0)
    assert torch.equal(encode_file(file, coding), source.data)
    manifest = json.loads(json.dumps({"coding": coding.describe()}))
    restored = construct(coding_of(manifest), "dataset", path="coding")
    assert torch.equal(encode_file(file, restored), source.data) and restored.describe() == coding.describe()
    shuffled = file.with_name("shuffled.csv")
    people()[list(people())[::-1]].assign(more=1).to_csv(shuffled, index=False)
    assert torch.equal(encode_file(shuffled, restored), source.data)


def test_samples_written_down_are_read_again_as_they_are(file: Path, tmp_path: Path) -> None:
    source, coding = made(file)
    x = torch.randn(200, source.spec.shape[0], generator=torch.Generator().manual_seed(0))
    frame = coding.frame(x)
    frame.to_csv(tmp_path / "made.csv", index=False)
    again = encode_file(tmp_path / "made.csv", coding)
    assert torch.equal(coding.decode(again), coding.decode(x))
    for name in ("age", "income", "spent", "tiny"):
        train = rows(source)[name]
        assert train.min() <= frame[name].min() and frame[name].max() <= train.max()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Oslo", "Osla", ("line 4", "'city'", "'Osla'", "none of the 3 categories", "did you mean Oslo?")),
        ("31", "old", ("line 3", "'age'", "'old' is no number")),
        ("31", "", ("line 3", "'age'", "gap")),
        ("31", "1e999", ("line 3", "'age'", "not finite")),
        ("city,age", "town,age", ("no column 'city'",)),
    ],
)
def test_a_further_file_is_refused_by_line_and_column(
    old: str, new: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    text = "city,age\nRome,30\nRome,31\nOslo,32.5\nBonn,40\n" + "".join(f"Rome,{i}\nBonn,{i}\n" for i in range(50, 60))
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv").write_text(text.replace(old, new, 1))
    _, coding = made(tmp_path / "a.csv")
    with pytest.raises(DataError) as refusal:
        encode_file(tmp_path / "b.csv", coding)
    for word in (str(tmp_path / "b.csv"), *words):
        assert word in str(refusal.value)


# -- held out, and gaps ----------------------------------------------------------------------------


def test_scales_do_not_know_the_held_out_rows(file: Path) -> None:
    """Other values there change neither the coding nor a training row."""
    source, coding = made(file)
    assert source.held_out is not None and (len(source), len(source.held_out)) == (240, 60)
    kept = set(torch.randperm(N, generator=torch.Generator().manual_seed(0))[:240].tolist())
    frame = people()
    away = [i for i in range(N) if i not in kept]
    frame.loc[away, ["age", "income", "spent"]] = [1, 1.25, 0.5]
    frame.to_csv(file, index=False)
    other, recoded = made(file)
    assert recoded.describe() == coding.describe() and torch.equal(other.data, source.data)
    assert other.held_out is not None and not torch.equal(other.held_out.data, source.held_out.data)


def test_the_seed_decides_which_rows_are_held_out(file: Path) -> None:
    parts = [made(file, seed=seed)[0] for seed in (0, 0, 1)]
    assert parts[0].digest == parts[1].digest != parts[2].digest
    for source in parts:
        assert source.held_out is not None
        whole = pd.concat([rows(source), source.held_out.frame(source.held_out.data)])
        assert sorted(whole["age"]) == pytest.approx(sorted(people()["age"]), abs=1)


def gappy(file: Path) -> pd.DataFrame:
    frame = people().astype({"age": "float64"})
    frame.loc[::7, "age"] = np.nan
    frame.loc[::5, "city"] = None
    frame["age"] = frame["age"].astype("Int64")
    frame.to_csv(file, index=False)
    return frame


def test_rows_with_gaps_can_be_left_out(file: Path) -> None:
    frame = gappy(file)
    source, coding = made(file, missing="drop", held_out=0.0)
    assert len(source) == len(frame.dropna()) and f"{N - len(source)} of {N} rows have a gap: left out" in source.notes
    assert rows(source)["income"].tolist() == frame.dropna()["income"].tolist()
    assert coding.groups == (3, 2, 4, 1, 1, 1, 3, 1)


def test_gaps_can_be_kept_and_come_back_as_gaps(file: Path, tmp_path: Path) -> None:
    frame = gappy(file)
    source, coding = made(file, missing="keep", held_out=0.0)
    assert isinstance(coding.columns[3], Gappy) and coding.groups == (4, 2, 4, 2, 1, 1, 1, 3, 1)
    found = rows(source)
    assert found["age"].tolist() == frame["age"].tolist() and str(found["age"].dtype) == "Int64"
    assert found["city"].isna().tolist() == frame["city"].isna().tolist()
    assert (source.data[::7, 12] == 0).all() and coding.decode(source.data)[::7, 3].isnan().all()
    found.to_csv(tmp_path / "again.csv", index=False)
    assert torch.equal(encode_file(tmp_path / "again.csv", coding), source.data)


# -- scikit-learn ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n", "p", "k"), [("breast_cancer", 569, 30, 2), ("wine", 178, 13, 3), ("iris", 150, 4, 3)]
)
def test_tables_of_scikit_learn(name: str, n: int, p: int, k: int) -> None:
    from sklearn import datasets

    source = sklearn_table(name, held_out=0.0)
    data = getattr(datasets, f"load_{name}")()
    assert source.spec.shape == (p + k,) and source.spec.classes == k and len(source) == n
    assert np.array_equal(source.decode(source.data)[:, :p].numpy(), data.data)
    found = rows(source)["class"].tolist()
    assert found == [data.target_names[t] for t in data.target]
    assert source.labels is not None and torch.equal(source.labels, source.decode(source.data)[:, p].long())


def labels_follow_rows(source: Source) -> Tensor:
    return source.decode(source.data)[:, -1].long()


def test_labels_follow_their_rows() -> None:
    source = sklearn_table("wine", seed=3)
    for part in (source, source.held_out):
        assert part is not None and part.labels is not None
        assert torch.equal(part.labels, labels_follow_rows(part))


def test_whole_numbers_written_with_a_point_are_integers(tmp_path: Path) -> None:
    """So pandas writes integers beside gaps."""
    (tmp_path / "x.csv").write_text("age\n" + "".join(f"{20 + 7 * k % 31}.0\n" for k in range(40)))
    source = table(str(tmp_path / "x.csv"), held_out=0.0)
    frame = source.frame(source.data)
    assert frame["age"].dtype == "int64" and frame["age"].tolist() == [20 + 7 * k % 31 for k in range(40)]


def test_zero_has_no_sign() -> None:
    column = Number("x", 0).fitted(torch.tensor([-1.0, 0.0, 1.0, 2.0, 5.0], dtype=torch.float64))
    made = column.decode(torch.linspace(-3, 3, 601)[:, None])
    assert (made == 0).any() and not torch.signbit(made[made == 0]).any()
