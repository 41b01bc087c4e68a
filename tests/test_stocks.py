"""Laws of the prices: however a file is written it reads the same, or is refused by line and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_runner.datasets.prices import read_prices
from gan_runner.datasets.stocks import stocks
from gan_runner.errors import DataError, MissingInput, UsageError
from tests import data_fixtures as make

EXPECTED = np.array([[10, 20], [11, 21], [12, 20], [11, 22], [13, 21]], dtype=float)
ROWS = make.GOOD.splitlines()
DAYS = [row.split(",")[0] for row in ROWS[1:]]


def write(tmp_path: Path, content: str | bytes) -> str:
    file = tmp_path / "prices.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def dated(form: str) -> str:
    """The good file with its days, all in January, written in another form."""
    text = make.GOOD
    for day in DAYS:
        text = text.replace(day, form.format(int(day[-2:])))
    return text


def beside(*cells: str) -> str:
    """The good file with one more column."""
    return "\n".join(f"{row},{cell}" for row, cell in zip(ROWS, cells, strict=True))


@pytest.mark.parametrize(
    "content",
    [
        make.GOOD,
        make.GOOD.replace("\n", "\r\n"),
        make.GOOD.replace(",", "\t"),
        make.GOOD.replace(",", " | "),
        make.GOOD.replace(",", ";"),
        make.GOOD.replace(",", ";").replace("10", "10,00"),
        make.GOOD.replace(",", ";").replace("10", "1,0e1"),
        make.GOOD.replace("10", '"10"').replace("11", "+11.0"),
        make.GOOD + "\n\n,,\n",
        dated("{:02}.01.2020"),
        dated("1/{}/2020"),
        dated("{}/1/2020").replace("7/1/2020", "31/1/2020"),
        dated("202001{:02}"),
        dated("{:02}-Jan-2020"),
        dated("2020-01-{:02} 00:00:00+01:00"),
        make.GOOD.replace("Date", ""),
        make.GOOD.replace("Date", "Day é").encode("cp1252"),
        make.GOOD.encode("utf-8-sig"),
        make.GOOD.encode("utf-16"),
        gzip.compress(make.GOOD.encode(), mtime=0),
        "\n".join([ROWS[0], *reversed(ROWS[1:])]),
        "\n".join(row.split(",", 1)[1] for row in ROWS),
        beside("Name", "x", "y", "x", "y", "x"),
        beside("C", "", "1", "2", "3", "4"),
        beside("Volume", "1", "2", "3", "4", "0"),
        beside("", "", "", "", "", ""),
    ],
)
def test_every_way_to_write_the_same_prices(tmp_path, content):
    prices = read_prices(Path(write(tmp_path, content)))
    assert np.array_equal(prices.values, EXPECTED) and prices.names == ("A", "B")


@pytest.mark.parametrize(
    ("header", "kept"), [("Open,High,Low,Close,Adj Close,Volume", 15), ("open,high,low,close,x,volume", 14)]
)
def test_of_daily_bars_the_adjusted_close_is_taken(tmp_path, header, kept):
    rows = "".join(f"2020-01-{d:02},11,12,13,14,15,0\n" for d in range(1, 5))
    prices = read_prices(Path(write(tmp_path, f"Date,{header}\n{rows}")))
    assert prices.values.tolist() == [[kept]] * 4


@pytest.mark.parametrize("cell", ["1,234.50", '"1,234.50"', "1.234,50", "1234,5", "1234.5"])
def test_thousands_and_decimals(tmp_path, cell):
    delimiter = "," if cell.startswith('"') else ";" if "," in cell[-3:] else "\t"
    text = f"Date{delimiter}A\n2020-01-01{delimiter}{cell}\n2020-01-02{delimiter}7\n"
    assert read_prices(Path(write(tmp_path, text))).values[:, 0].tolist() == [1234.5, 7]


@pytest.mark.parametrize(("delimiter", "value"), [(";", 1.234), ("\t", 1234)])
def test_semicolons_decide_what_a_lone_comma_means(tmp_path, delimiter, value):
    text = f"Date{delimiter}A\n2020-01-01{delimiter}1,234\n2020-01-02{delimiter}7\n"
    assert read_prices(Path(write(tmp_path, text))).values[:, 0].tolist() == [value, 7]


@pytest.mark.parametrize("name", make.BAD_PRICES)
def test_bad_files_are_refused_by_line_and_column(tmp_path, name):
    content, mentions = make.BAD_PRICES[name]
    with pytest.raises(DataError) as refusal:
        stocks(write(tmp_path, content))
    message = str(refusal.value)
    assert refusal.value.code == 65 and message.count("\n") == 0
    for part in (str(tmp_path / "prices.csv"), *mentions):
        assert part in message


def test_missing_file_and_missing_column(tmp_path):
    with pytest.raises(MissingInput, match=str(tmp_path / "none.csv")):
        stocks(str(tmp_path / "none.csv"))
    with pytest.raises(MissingInput, match=str(tmp_path)):
        stocks(str(tmp_path))
    with pytest.raises(DataError, match="no column 'Aple'") as refusal:
        stocks(write(tmp_path, make.GOOD.replace("A", "Apple")), columns=["B", "Aple"])
    assert "did you mean Apple?" in str(refusal.value)


def test_columns_with_gaps_are_left_out_unless_asked_for(tmp_path):
    file = write(tmp_path, beside("C", "1", "", "3", "4", "5"))
    source = stocks(file, held_out=0.0)
    assert source.spec.names == ("A", "B") and "columns with gaps left out (1): C" in source.notes
    with pytest.raises(DataError, match="line 3, column 'C': '' is a gap"):
        stocks(file, columns=["A", "C"])


def walk(tmp_path: Path, days: int = 101, assets: int = 3, seed: int = 0) -> tuple[str, np.ndarray]:
    """A file of random prices, and their log-returns."""
    returns = np.random.default_rng(seed).normal(0.001, 0.02, (days - 1, assets))
    prices = 100 * np.exp(np.cumsum(np.vstack([np.zeros(assets), returns]), axis=0))
    rows = [
        ",".join([str(np.datetime64("2020-01-01") + i), *map(repr, map(float, row))]) for i, row in enumerate(prices)
    ]
    return write(tmp_path, "\n".join(["Date,A,B,C", *rows])), returns


def test_decode_gives_the_log_returns_back(tmp_path):
    file, returns = walk(tmp_path)
    source = stocks(file)
    assert source.held_out is not None and (len(source), len(source.held_out)) == (80, 20)
    for part, expected in ((source, returns[:80]), (source.held_out, returns[80:])):
        decoded = part.decode(part.take(torch.arange(len(part))))
        assert np.allclose(decoded, expected, atol=1e-7)
    assert torch.allclose(source.data.mean(0), torch.zeros(3), atol=1e-6)
    assert torch.allclose(source.data.std(0, correction=0), torch.ones(3), atol=1e-6)


def test_training_rows_do_not_know_the_held_out_days(tmp_path):
    file, _ = walk(tmp_path)
    before = stocks(file).digest
    rows = Path(file).read_text().splitlines()
    Path(file).write_text("\n".join(rows[:-20] + [row.replace(",", ",9") for row in rows[-20:]]))
    assert stocks(file).digest == before
    assert stocks(file, held_out=0.0).digest != before


@pytest.mark.parametrize(("window", "stride"), [(10, 1), (10, 7), (80, 1), (2, 3)])
def test_windows_are_consecutive_days(tmp_path, window, stride):
    file, _ = walk(tmp_path)
    days, series = stocks(file, held_out=0.2).data, stocks(file, window=window, stride=stride, held_out=0.0)
    whole = stocks(file, held_out=0.0).data
    assert len(days) == 80
    assert series.data.shape == ((100 - window) // stride + 1, 3, window) and series.spec.kind == "series"
    for i, one in enumerate(series.take(torch.arange(len(series)))):
        assert torch.equal(one, whole[i * stride : i * stride + window].T)
    decoded = series.decode(series.take(torch.arange(2)))
    assert torch.allclose(decoded[:, 1], series.data[:2, 1] * series.coding.scale[1] + series.coding.offset[1])


def test_constant_prices_are_kept_unscaled_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="constant returns in the training part: C"):
        source = stocks(write(tmp_path, beside("C", "7", "7", "7", "7", "7")), held_out=0.0)
    assert (source.data[:, 2] == 0).all() and source.coding.scale[2] == 1


@pytest.mark.parametrize(
    ("rows", "arguments"), [(1, {}), (2, {}), (3, {}), (5, {"window": 5, "held_out": 0.0}), (5, {"window": 3})]
)
def test_too_short_for_what_is_asked(tmp_path, rows, arguments):
    with pytest.raises(DataError) as refusal:
        stocks(write(tmp_path, "\n".join(ROWS[: rows + 1])), **arguments)
    assert refusal.value.code == 65 and "needs" in str(refusal.value)


def test_the_standard_and_poors_comes_with_arch():
    sp500 = pytest.importorskip("arch.data.sp500").load()["Adj Close"].to_numpy()
    source = stocks()
    assert source.spec.names == ("Adj Close",) and len(source) == 4024
    assert np.allclose(source.decode(source.data)[:, 0], np.diff(np.log(sp500))[:4024], atol=1e-7)


@pytest.mark.parametrize(
    "arguments", [{"window": 1}, {"window": 0}, {"stride": 0}, {"held_out": 1.0}, {"held_out": -0.1}]
)
def test_arguments_are_judged_before_the_file(arguments):
    with pytest.raises(UsageError, match=rf"dataset\.{next(iter(arguments))}="):
        stocks("/nowhere", **arguments)
