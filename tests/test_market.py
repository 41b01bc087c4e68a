"""Sources of prices beyond one's own file of columns: a simulated market, long files, packages, the network."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from gan_runner.datasets import panels
from gan_runner.datasets.market import garch, market
from gan_runner.datasets.prices import read_prices
from gan_runner.datasets.stocks import stocks
from gan_runner.errors import DataError, MissingInput, Unavailable, UsageError
from gan_runner.losses.payoffs import Minimax, NonSaturating, Smoothed, apart, contaminated_loss

# -- the simulator -------------------------------------------------------------------------------


def natural(**settings: object) -> np.ndarray:
    source = market(held_out=0.0, **settings)  # type: ignore[arg-type]
    return source.decode(source.data).double().numpy()


def test_volatility_is_that_of_the_process_and_comes_in_clusters_after_losses() -> None:
    r = garch(np.random.default_rng(0), 20_000, 40)
    assert np.sqrt((r**2).mean()) == pytest.approx(0.01, rel=0.05)
    size = r**2 - (r**2).mean()
    assert (size[1:] * size[:-1]).mean() / size.var() > 0.1
    after_loss, after_gain = r[1:][r[:-1] < 0], r[1:][r[:-1] > 0]
    assert (after_loss**2).mean() > 1.03 * (after_gain**2).mean()
    assert (r**4).mean() / (r**2).mean() ** 2 > 6  # t of 5 degrees has 9, a Gaussian 3


def test_stocks_of_a_sector_go_together() -> None:
    c = np.corrcoef(natural(eps=0.0, days=5000).T)
    same = np.arange(50)[:, None] % 5 == np.arange(50) % 5
    off = ~np.eye(50, dtype=bool)
    # loadings of mean square .653 on the market and on the sector, and 1 of their own
    assert c[off & same].mean() == pytest.approx(0.64 / 1.153, abs=0.06)
    assert c[off & ~same].mean() == pytest.approx(0.32 / 1.153, abs=0.06)


def test_a_shift_moves_planted_days_alone_by_its_size() -> None:
    calm, shaken = natural(eps=0.0), natural(eps=0.05)
    planted = market(held_out=0.0).truth["outlier"].numpy()
    assert planted.sum() == 100
    np.testing.assert_allclose(shaken[~planted], calm[~planted], atol=2e-7)
    moved = (shaken - calm)[planted] / calm.std(0)
    assert np.abs(moved) == pytest.approx(4.0, abs=1e-3)
    assert {-1.0, 1.0} == set(np.sign(moved[:, 0]))


def test_a_flip_reverses_one_sector_of_a_planted_day() -> None:
    calm, flipped = natural(eps=0.0, trouble="flip"), natural(eps=0.05, trouble="flip")
    planted = market(held_out=0.0, trouble="flip").truth["outlier"].numpy()
    changed = ~np.isclose(calm, flipped, atol=2e-7)
    assert not changed[~planted].any()
    for day in np.flatnonzero(planted):
        sectors = {j % 5 for j in np.flatnonzero(changed[day])}
        assert len(sectors) == 1
        np.testing.assert_allclose(flipped[day, changed[day]], -calm[day, changed[day]], atol=2e-7)


def test_the_truth_follows_the_days_into_the_held_out_part() -> None:
    source = market()
    whole = market(held_out=0.0).truth["outlier"]
    assert source.held_out is not None
    assert torch.equal(torch.cat([source.truth["outlier"], source.held_out.truth["outlier"]]), whole)
    assert torch.equal(source.labels, source.truth["outlier"].long())
    assert float(source.truth["eps"]) == pytest.approx(float(source.truth["outlier"].double().mean()))
    assert market(window=10).truth == {}


@pytest.mark.parametrize("wrong", [{"eps": 0.5}, {"assets": 1}, {"sectors": 51}, {"size": 0.0}, {"trouble": "panic"}])
def test_impossible_markets_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match=f"dataset.{next(iter(wrong))}="):
        market(**wrong)


# -- long files ----------------------------------------------------------------------------------

WIDE = "Date,A,B\n2020-01-02,10,20\n2020-01-03,11,21\n2020-01-06,12,20\n"
LONG = (
    "Date,Ticker,Open,Close\n2020-01-02,A,9,10\n2020-01-02,B,19,20\n2020-01-03,A,9,11\n2020-01-03,B,19,21\n"
    "2020-01-06,B,19,20\n2020-01-06,A,9,12\n"
)


def write(folder: Path, text: str) -> Path:
    file = folder / "prices.csv"
    file.write_text(text)
    return file


def test_a_long_file_reads_as_the_wide_one(tmp_path: Path) -> None:
    wide, long = read_prices(write(tmp_path, WIDE)), read_prices(write(tmp_path, LONG))
    np.testing.assert_array_equal(wide.values, long.values)
    assert wide.names == long.names == ("A", "B") and wide.dates == long.dates


def test_the_adjusted_close_comes_first_and_tickers_with_gaps_are_left_out(tmp_path: Path) -> None:
    text = "date,symbol,close,adj_close\n2020-01-02,A,9,1\n2020-01-03,A,9,2\n2020-01-02,B,9,3\n2020-01-06,A,9,4\n"
    prices = read_prices(write(tmp_path, text))
    assert prices.names == ("A",) and prices.values[:, 0].tolist() == [1, 2, 4]
    assert prices.notes == ("columns with gaps left out (1): B",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("03,B,19,21", "03,B,19,x", ["line 5", "column 'B'", "'x' is no number"]),
        ("03,B,19,21", "03,B,19,-2", ["line 5", "column 'B'", "'-2' is no price"]),
        ("03,B,19,21", "02,B,19,21", ["line 5", "column 'Ticker'", "'B' has a price of 2020-01-02 in line 3 too"]),
        ("2020-01-06,A", "2020-13-06,A", ["line 7", "column 'Date'", "'2020-13-06' is no date"]),
        ("Open,Close", "Open,Last", ["line 2", "no column named adj close or"]),
    ],
)
def test_faults_of_long_files_are_named_by_their_own_lines(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in LONG
    with pytest.raises(DataError) as caught:
        read_prices(write(tmp_path, LONG.replace(old, new)))
    assert all(word in str(caught.value) for word in words), str(caught.value)


# -- packages and the network --------------------------------------------------------------------


def test_twenty_stocks_come_with_a_package() -> None:
    source = stocks(bundle="stocks20")
    assert source.spec.shape == (20,) and len(source) + len(source.held_out or ()) == 8312
    assert {"AAPL", "XOM"} <= set(source.spec.names)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="package skfolio, which is missing"):
        stocks(bundle="stocks20")


def network(monkeypatch: pytest.MonkeyPatch, **closes: list[float]) -> list[dict]:
    """A yfinance that knows `closes` and writes down what it is asked."""
    asked: list[dict] = []

    def download(tickers: list[str], **settings: object) -> pd.DataFrame:
        asked.append({"tickers": tickers, **settings})
        days = pd.date_range("2020-01-01", periods=4)
        return pd.concat({"Close": pd.DataFrame({t: closes.get(t, [float("nan")] * 4) for t in tickers}, days)}, axis=1)

    monkeypatch.setitem(sys.modules, "yfinance", SimpleNamespace(download=download))
    return asked


def test_tickers_are_fetched_once_adjusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = network(monkeypatch, AAA=[1.0, 2.0, 4.0, 4.0], BBB=[3.0, 3.0, 9.0, 9.0])
    first, second = (stocks(tickers=["AAA", "BBB"], held_out=0.0, root=str(tmp_path)) for _ in range(2))
    assert len(asked) == 1 and asked[0]["auto_adjust"] is True and asked[0]["period"] == "max"
    expected = torch.tensor([[2.0, 1.0], [2.0, 3.0], [1.0, 1.0]]).log()
    torch.testing.assert_close(first.decode(first.data), expected)
    assert first.digest == second.digest


def test_an_empty_answer_names_the_ticker_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network(monkeypatch, AAA=[1.0, 2.0, 4.0, 8.0])
    with pytest.raises(MissingInput, match=r"dataset.tickers: no prices came for NONE"):
        stocks(tickers=["AAA", "NONE"], root=str(tmp_path))
    assert list(tmp_path.rglob("*.csv")) == []


def test_a_path_and_tickers_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"dataset.tickers="):
        stocks(path=str(write(tmp_path, WIDE)), tickers=["A"])


# -- the game as Huber's model -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eps", "loss"), [(0, 1.386294), (0.05, 1.351), (0.1, 1.31435), (0.2, 1.23653), (0.3, 1.15174)]
)
def test_the_share_that_stands_apart_is_read_off_the_generated_scores(eps: float, loss: float) -> None:
    """At the optimum D = (1 - eps) / (2 - eps) on matched rows: logit log(1 - eps), and on the others without bound."""
    fake = torch.full((1000,), math.log(1 - eps))
    real = fake.clone()
    real[: int(eps * 1000)] = 50.0
    assert apart(fake) == pytest.approx({"eps_hat": eps, "loss_at_eps_hat": loss}, abs=1e-5)
    assert float(Minimax().discriminator(real, fake)) == pytest.approx(contaminated_loss(eps), abs=1e-6)
    assert float(Minimax().generator(real, fake)) == pytest.approx(-math.log(2 - eps), abs=1e-6)


def test_scores_out_of_bounds_stay_finite_and_smoothing_says_nothing() -> None:
    for score in (1e4, -1e4):
        found = NonSaturating().summary(torch.full((3,), score), torch.full((3,), score))
        assert math.isfinite(found["loss_at_eps_hat"]) and -1 <= found["eps_hat"] <= 1
    assert not {"eps_hat", "loss_at_eps_hat"} & Smoothed().summary(torch.zeros(3), torch.zeros(3)).keys()


# -- gaps and periods ----------------------------------------------------------------------------


def test_a_gap_outside_the_period_costs_nothing_and_one_inside_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, "Date,A,B\n2020-01-02,10,\n2020-01-03,11,21\n2020-01-06,12,20\n2020-01-07,12,21\n")
    with pytest.warns(UserWarning, match=r"columns with gaps left out \(1\): B"):
        assert read_prices(file).names == ("A",)
    late = read_prices(file, start="2020-01-03")
    assert late.names == ("A", "B") and late.lines == [3, 4, 5] and late.values[0].tolist() == [11, 21]
    with pytest.raises(DataError, match="line 2, column 'B': '' is a gap"):
        read_prices(file, ["A", "B"])


def test_a_ticker_that_was_asked_for_is_never_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network(monkeypatch, AAA=[1.0, 2.0, 4.0, 4.0], BBB=[float("nan"), 3.0, 9.0, 9.0])
    with pytest.raises(DataError, match="column 'BBB'"):
        stocks(tickers=["AAA", "BBB"], held_out=0.0, root=str(tmp_path))


def test_rows_without_dates_and_returns_in_place_of_prices_are_spoken_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no column of dates"):
        read_prices(write(tmp_path, "A,B\n1,2\n2,3\n"))
    with pytest.raises(DataError, match="not returns"):
        read_prices(write(tmp_path, "Date,A\n2020-01-02,0.01\n2020-01-03,-0.02\n"))
