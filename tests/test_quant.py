"""Laws of what Quant GANs need around their networks: the Lambert W coding, scores of paths, their rivals, commands."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from gan_runner import checkpoint, train
from gan_runner.arguments import parse
from gan_runner.build import build
from gan_runner.construct import construct
from gan_runner.datasets import lambert
from gan_runner.datasets.garch import garch
from gan_runner.datasets.lambert import Lambert, burden, lighten
from gan_runner.datasets.split import split
from gan_runner.datasets.stocks import stocks
from gan_runner.draw import Draw
from gan_runner.errors import DataError, UsageError
from gan_runner.metrics import baselines, quant, stylised
from gan_runner.metrics.stylised import Scale
from gan_runner.pictures import stylised as pictures
from gan_runner.pictures.stylised import PathFacts
from gan_runner.restore import coding_of
from gan_runner.sample import Settings, sample
from tests.conftest import compose
from tests.test_contract import differing, play
from tests.test_stocks import make, walk, write


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# -- the Lambert W coding --------------------------------------------------------------------------


def test_tails_by_the_closed_form() -> None:
    assert float(burden(torch.tensor(2.0, dtype=torch.float64), 0.1)) == pytest.approx(2.442806, abs=1e-6)
    u = torch.linspace(-9, 9, 1_800_001, dtype=torch.float64)
    weight = (-u.square() / 2).exp() / math.sqrt(2 * math.pi) * 1e-5
    y = burden(u, 0.1)
    kurtosis = float((weight * y**4).sum() / (weight * y**2).sum() ** 2)
    closed = 3 * (1 - 0.2) ** 3 / (1 - 0.4) ** 2.5
    assert closed == pytest.approx(5.508, abs=1e-3) and kurtosis == pytest.approx(closed, abs=0.02)


@pytest.mark.parametrize("delta", [0.0, 1e-9, 0.1, 0.48])
def test_tails_are_taken_off_as_they_were_put_on(delta: float) -> None:
    u = torch.cat([normal(1000), torch.tensor([0.0, 1e-9, -1e-9, 7.0, -7.0], dtype=torch.float64)])
    assert float((lighten(burden(u, delta), delta) - u).abs().max()) < 1e-12
    assert torch.equal(lighten(-u, delta), -lighten(u, delta))


def test_the_whole_coding_goes_there_and_back() -> None:
    """Also for values far beyond those it was fitted to, of single precision, of rows and of windows."""
    x = burden(normal(3000, 2), torch.tensor([0.05, 0.2])) * torch.tensor([0.01, 3.0]) + torch.tensor([0.001, -1.0])
    code = lambert.fit(x)
    wild = torch.cat([x, 3 * x])
    assert float(((code.decode(code.encode(wild)) - wild) / x.std(0)).abs().max()) < 1e-12
    coded = code.encode(x)
    assert float(coded.mean(0).abs().max()) < 1e-12 and float((coded.std(0, correction=0) - 1).abs().max()) < 1e-12
    assert all(lambert.kurtosis(column) == pytest.approx(3, abs=1e-6) for column in coded.T)
    windows = x.T.unfold(1, 10, 10).transpose(0, 1)
    assert torch.equal(code.encode(windows), coded.T.unfold(1, 10, 10).transpose(0, 1))
    assert code.encode(x.float()).dtype == torch.float32


def test_a_planted_delta_is_found() -> None:
    """With the location and scale of what is below the tails, not of the values themselves."""
    code = lambert.fit(burden(normal(60_000, 1), 0.1) * 0.02 + 0.003)
    assert code.delta[0] == pytest.approx(0.1, abs=0.01)
    assert code.scale[0] == pytest.approx(0.02, rel=0.01) and code.offset[0] == pytest.approx(0.003, abs=2e-4)
    assert lambert.fit(normal(5_000, 1).clamp(-2, 2)).delta[0] < 1e-6, "light tails stay as they are"


@pytest.mark.parametrize(("kurtosis", "delta"), [(1.0, 0.01), (5.508, 0.1243), (1e6, 0.48)])
def test_the_first_guess(kurtosis: float, delta: float) -> None:
    assert lambert.first_guess(kurtosis) == pytest.approx(delta, abs=1e-3)


def test_a_manifest_makes_the_same_coding_again() -> None:
    code = lambert.fit(burden(normal(500, 2), 0.1))
    again = construct(coding_of(json.loads(json.dumps({"coding": code.describe()}))), "dataset", path="coding")
    assert again == code and isinstance(again, Lambert)


def test_the_coding_does_not_know_the_held_out_days(tmp_path: Path) -> None:
    file, returns = walk(tmp_path, days=301)
    before = stocks(file, coding="lambert")
    rows = Path(file).read_text().splitlines()
    Path(file).write_text("\n".join(rows[:-60] + [row.replace(",", ",9") for row in rows[-60:]]))
    after = stocks(file, coding="lambert")
    assert before.coding == after.coding and before.digest == after.digest
    np.testing.assert_allclose(before.decode(before.data.double()), returns[:240], atol=1e-7)


def test_a_constant_column_has_no_tails_to_take_off(tmp_path: Path) -> None:
    file = write(tmp_path, "\n".join(f"{row},{'C' if i == 0 else 7}" for i, row in enumerate(make.GOOD.splitlines())))
    with pytest.raises(DataError, match=r"constant returns in the training part: C.*dataset\.coding=standard"):
        stocks(file, coding="lambert", held_out=0.0)


# -- data ------------------------------------------------------------------------------------------


def test_the_period_of_the_paper() -> None:
    pytest.importorskip("arch")
    source = stocks(window=127, start="2009-05-01", end="2018-12-31", coding="lambert", held_out=0.0)
    prices = pytest.importorskip("arch.data.sp500").load().loc["2009-05-01":"2018-12-31", "Adj Close"]
    returns = np.diff(np.log(prices.to_numpy()))
    assert len(source) == len(returns) - 126 and source.spec.shape == (1, 127)
    np.testing.assert_allclose(quant.days_of(source), returns, atol=1e-7)
    assert any("2009-05-01 to 2018-12-31" in note for note in source.notes)


def test_dates_choose_the_days(tmp_path: Path) -> None:
    file, returns = walk(tmp_path)
    part = stocks(file, held_out=0.0, start="2020-01-11", end="2020-02-09")
    np.testing.assert_allclose(part.decode(part.data), returns[10:39], atol=1e-7)
    assert len(stocks(file, held_out=0.0, end="2020-02-09")) == 39
    for wrong in ({"start": "11.1.2020"}, {"end": "soon"}):
        with pytest.raises(UsageError, match=rf"dataset\.{next(iter(wrong))}=.*2009-05-01"):
            stocks(file, **wrong)
    with pytest.raises(DataError, match="no day from 2030-01-01"):
        stocks(file, start="2030-01-01")
    undated = write(tmp_path, "A,B\n1,2\n2,3\n3,5\n")
    with pytest.raises(DataError, match="need a column of dates"):
        stocks(undated, start="2030-01-01")


def test_the_simulator_has_the_law_it_says() -> None:
    source = garch(days=100_000, window=100, stride=100, held_out=0.0, nu=9.0, alpha=0.1, beta=0.8, omega=1e-5)
    r, truth = quant.days_of(source), {name: float(v) for name, v in source.truth.items()}
    assert float(r.std()) == pytest.approx(truth["sd"], rel=0.02) and truth["sd"] == pytest.approx(0.01)
    assert float(r.mean()) == pytest.approx(truth["mu"], abs=1e-4)
    fitted = baselines.fit_garch(r[:20_000])
    assert (fitted.alpha, fitted.beta) == pytest.approx((0.1, 0.8), abs=0.03)
    assert not torch.equal(garch(days=700).data, garch(days=700, seed=1).data)


@pytest.mark.parametrize("wrong", [{"beta": 0.9}, {"nu": 2.0}, {"omega": 0.0}, {"window": 1}, {"days": 0}])
def test_the_simulator_refuses_laws_without_a_variance(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=rf"dataset\.{next(iter(wrong))}="):
        garch(**wrong)  # type: ignore[arg-type]


# -- scores ----------------------------------------------------------------------------------------


def test_the_distance_of_shifted_values_is_the_shift() -> None:
    x = normal(1000) * 3
    assert stylised.emd(x, x + 0.6) == pytest.approx(0.6 / float(x.std(correction=0)))
    assert stylised.emd(x, x.repeat(3)) == pytest.approx(0, abs=1e-12)
    y = normal(70, seed=1)
    assert stylised.emd(x, y) * float(x.std(correction=0)) == pytest.approx(wasserstein_distance(x, y))


def test_sums_by_hand() -> None:
    paths = torch.tensor([[1.0, 2.0, 4.0, 8.0], [0.0, 0.0, 1.0, 0.0]])
    assert stylised.sums(paths, 1).tolist() == paths.flatten().tolist()
    assert stylised.sums(paths, 3).tolist() == [7, 14, 1, 1]


def test_the_dy_metric_by_hand() -> None:
    """Four values to a bin: two bins; of the others a quarter lie in the lower one."""
    real = torch.arange(8, dtype=torch.float64)
    fake = torch.tensor([-5.0, 4.0, 5.0, 99.0], dtype=torch.float64)
    expected = abs(math.log(0.5 / 0.25)) + abs(math.log(0.5 / 0.75))
    assert stylised.dy(real, fake, 4) == pytest.approx(expected)
    assert stylised.dy(real, real, 4) == 0
    empty = abs(math.log(0.5 / (0.5 / 4))) + math.log(1 / 0.5)
    assert stylised.dy(real, fake.abs() + 4, 4) == pytest.approx(empty)


def brute(early: np.ndarray, late: np.ndarray, lag: int) -> float:
    a, b = early - early.mean(), late - late.mean()
    total = sum(a[t] * b[t + lag] for t in range(len(a) - lag))
    return total / math.sqrt((a**2).sum() * (b**2).sum())


def test_memory_and_leverage_by_brute_force() -> None:
    paths = burden(normal(2, 60), 0.2)
    found = stylised.curves(paths, 20)
    for i, r in enumerate(paths.numpy()):
        pairs = {"acf": (r, r), "acf_abs": (abs(r), abs(r)), "acf_square": (r**2, r**2), "leverage": (r, r**2)}
        for name, (early, late) in pairs.items():
            expected = [brute(early, late, lag) for lag in range(1, 21)]
            np.testing.assert_allclose(found[name][i], expected, atol=1e-12, err_msg=name)


def test_falls_that_are_followed_by_storms_are_leverage() -> None:
    """Volatility that rises after losses has a negative curve; after gains a positive one."""
    z, r, h = normal(20_000), torch.zeros(20_000, dtype=torch.float64), 1.0
    for t, shock in enumerate(z.tolist()):
        r[t] = math.sqrt(h) * shock
        h = 0.1 + 0.8 * h + 0.3 * float(r[t] < 0) * float(r[t]) ** 2 / 2
    assert float(stylised.curves(r[None], 5)["leverage"][0, 0]) < -0.05
    assert float(stylised.curves(-r[None], 5)["leverage"][0, 0]) > 0.05


def test_norms_differ_by_the_root_of_the_lags() -> None:
    a, b = normal(250), normal(250, seed=1)
    assert Scale(norm="l2").distance(a, b) == pytest.approx(Scale(norm="rms").distance(a, b) * math.sqrt(250))
    for wrong in ({"norm": "l1"}, {"points_per_bin": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Scale(**wrong)  # type: ignore[arg-type]


def test_a_path_scores_nothing_against_itself() -> None:
    r = normal(700)
    found = stylised.compare(r, r[None])
    assert len(found) == 12 and all(value == pytest.approx(0, abs=1e-12) for value in found.values())


@pytest.mark.parametrize("stride", [1, 3, 10, 12])
def test_windows_are_joined_to_the_series_they_were_cut_from(stride: int) -> None:
    x = normal(2, 100)
    windows = x.unfold(1, 10, stride).transpose(0, 1)
    joined = stylised.join(windows)
    expected = x[:, : 10 + stride * (len(windows) - 1)] if stride <= 10 else windows.transpose(0, 1).flatten(1)
    assert torch.equal(joined, expected)
    assert torch.equal(stylised.join(windows[:1]), windows[0])


def test_paths_beyond_twice_the_extremes_are_told() -> None:
    real = torch.tensor([-1.0, 0.0, 2.0])
    paths = torch.tensor([[-2.0, 4.0], [-2.1, 0.0], [0.0, 4.1], [0.0, 0.0]])
    assert stylised.within(paths, real).tolist() == [True, False, False, True]


# -- rivals ----------------------------------------------------------------------------------------


def test_garch_paths_have_their_variance_and_memory() -> None:
    process = baselines.Garch(0.05, 0.05, 0.1, 0.85)
    paths = process.paths(50, 4000)
    assert paths.shape == (50, 4000) and torch.equal(paths, process.paths(50, 4000))
    assert float(paths.std()) == pytest.approx(0.01, rel=0.05) and float(paths.mean()) == pytest.approx(5e-4, abs=1e-4)
    # Bollerslev (1986): rho_1 of squares is alpha (1 - alpha beta - beta^2) / (1 - 2 alpha beta - beta^2)
    rho = 0.1 * (1 - 0.085 - 0.7225) / (1 - 0.17 - 0.7225)
    assert float(stylised.curves(paths, 1)["acf_square"].mean()) == pytest.approx(rho, abs=0.03)


def test_the_bootstrap_keeps_values_and_neighbours() -> None:
    real = torch.arange(1000, dtype=torch.float64)
    paths = baselines.bootstrap(real, 40, block=20.0)
    follow = (paths[:, 1:] - paths[:, :-1]) % 1000 == 1
    assert float(follow.double().mean()) == pytest.approx(1 - 1 / 20, abs=0.01)
    assert float(paths.mean()) == pytest.approx(499.5, rel=0.05)


# -- runs and commands -----------------------------------------------------------------------------

SMALL = ("model.width=3", "dataset.window=15", "train.batch_size=8", "probes=none")


@pytest.mark.parametrize("model", ["tcn", "svnn", "csvnn"])
def test_resume_is_exact(model: str, tmp_path: Path) -> None:
    """Three steps, a checkpoint, three more by fresh objects: the same bits as six."""
    series, dropout = ("dataset=garch", "dataset.days=200"), "model.discriminator.dropout=0.3"
    overrides = (*series, f"model={model}", dropout, "loss=r1", *SMALL, "train.steps=6")
    whole, first, second = (build(compose(*overrides, f"seed={seed}")) for seed in (1, 1, 1))
    play(whole)
    play(first, until=3)
    checkpoint.save(tmp_path, first.state.state_dict(), step=3, facts={})
    second.state.load_state_dict(checkpoint.newest(tmp_path)[1])
    play(second)
    assert differing(whole, second) == []


def test_long_paths_are_drawn_like_samples() -> None:
    run = build(compose("dataset=garch", "dataset.days=200", *SMALL))
    draw = Draw(run.objective, run.state, run.source.device)
    paths = draw.paths(23, 60)
    assert paths is not None and paths.shape == (23, 1, 60)
    assert torch.equal(paths[:4], draw.paths(4, 60)[:4])
    assert len({tuple(path.flatten().tolist()) for path in paths}) == 23


def test_the_probe_scores_paths_beside_garch_and_chance() -> None:
    pytest.importorskip("arch")
    run = build(compose("dataset=garch", "dataset.days=1500", *SMALL))
    draw = Draw(run.objective, run.state, run.source.device)
    found = quant.PathQuality(n=3, days=600)(draw, run.source).scalars
    names = {name for name in found if not name.endswith(("_garch", "_floor"))}
    assert names == {f"{k}_{t}" for k in ("emd", "dy") for t in (1, 5, 20, 100)} | {
        *("acf", "acf_abs", "acf_square", "leverage", "unseen_emd")
    }
    assert found.keys() - names == {f"{n}{end}" for n in names - {"unseen_emd"} for end in ("_garch", "_floor")}
    assert found["emd_1_garch"] < found["emd_1"], "an untrained network is no rival"
    assert all(math.isfinite(value) for value in found.values())
    mlp = build(compose("dataset=garch", "dataset.days=200", "model=mlp", *SMALL[1:]))
    assert quant.PathQuality()(Draw(mlp.objective, mlp.state, mlp.source.device), mlp.source).scalars == {}


def test_pictures_of_facts_tell_good_paths_from_bad() -> None:
    """Three pictures of the right kind; paths that move alike cover the real ones, and sleepy ones do not."""
    pytest.importorskip("arch")
    run = build(compose("dataset=garch", "dataset.days=1500", *SMALL))
    found = PathFacts(n=4)(Draw(run.objective, run.state, run.source.device), run.source)
    assert set(found.pictures) == {"horizons", "memory", "fan"} and found.scalars == {}
    assert all(p.dtype == torch.uint8 and p.dim() == 3 for p in found.pictures.values())
    real = quant.days_of(run.source)
    alike, sleepy = real.repeat(3, 1), real.repeat(3, 1) / 100
    for picture in (pictures.horizons, pictures.memory, pictures.fan):
        if picture is not pictures.memory:  # correlations do not know the scale
            assert not torch.equal(picture(real, alike, alike), picture(real, sleepy, alike))
        assert torch.equal(picture(real, alike, alike), picture(real, alike, alike))
    assert pictures.between(normal(1001, 3), 0.5, 0.5).shape == (2, 3)


def test_a_run_folder_makes_paths_of_any_length(cli, tmp_path: Path) -> None:
    small = ["dataset=garch", "dataset.days=200", *SMALL, "train.steps=1", "device=cpu"]
    assert cli(*small, "run.dir=r").returncode == 0
    done = cli("run=r", "n=3", "length=50", "out=paths.csv", module="gan_runner.sample")
    assert done.returncode == 0, done.stderr
    returns, prices = pd.read_csv(tmp_path / "paths.csv"), pd.read_csv(tmp_path / "paths-prices.csv")
    assert returns.shape == (50, 3) and prices.shape == (51, 3) and (prices.iloc[0] == 100).all()
    np.testing.assert_allclose(np.diff(np.log(prices), axis=0), returns, atol=1e-6)
    assert cli("run=r", "n=3", "length=50", "format=npz", "out=p.npz", module="gan_runner.sample").returncode == 0
    np.testing.assert_allclose(np.load(tmp_path / "p.npz")["samples"][:, 0].T, returns, rtol=1e-5, atol=1e-9)


def test_risk_neutral_paths_are_martingales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discounted prices of 4,000 paths have a mean of 1 on each day; those of the model itself do not."""
    monkeypatch.chdir(tmp_path)
    small = ["dataset=garch", "dataset.days=200", *SMALL[1:], "train.steps=1"]
    words = (*small, "model=csvnn", "dataset.coding=standard", "run.dir=r")
    assert train.train(compose(*words), [])[0] == 0
    for extra, out in ((["riskless=0.01"], "neutral"), ([], "own")):
        assert sample(parse(Settings, ["run=r", "n=4000", "length=6", f"out={out}.csv", *extra])) == 0
    for out, fair in (("neutral", True), ("own", False)):
        gain = np.exp(np.cumsum(pd.read_csv(f"{out}.csv").to_numpy() - 0.01, axis=0))
        off = np.abs(gain.mean(1) - 1) / gain.std(1) * math.sqrt(4000)
        assert (off < 4).all() if fair else (off[-1] > 8)
    assert train.train(compose(*small, "model=tcn", "run.dir=t"), [])[0] == 0
    for wrong, said in (
        (("run=r", "riskless=much", "length=6"), "is no number"),
        (("run=r", "riskless=0.01"), "give length=DAYS"),
        (("run=r", "riskless=0.01", "length=6", "format=npz"), "no other format"),
        (("run=t", "riskless=0.01", "length=6"), "no Gaussian innovations"),
    ):
        with pytest.raises(UsageError, match=said):
            sample(parse(Settings, wrong))


def test_windows_alone_are_refused_a_length(cli) -> None:
    small = ["dataset=garch", "dataset.days=200", "model=mlp", *SMALL[1:], "train.steps=1", "device=cpu"]
    assert cli(*small, "run.dir=r").returncode == 0
    done = cli("run=r", "length=50", module="gan_runner.sample")
    assert done.returncode == 2 and "makes no paths" in done.stderr and "model=tcn" in done.stderr


def test_short_paths_have_no_memory_beyond_their_end() -> None:
    r = torch.randn(3, 40, generator=torch.Generator().manual_seed(0)).double()
    curve = stylised.correlations(r, r, 60)
    z = r - r.mean(1, keepdim=True)
    expected = torch.stack([(z[:, k:] * z[:, :-k]).sum(1) for k in range(1, 40)], 1) / z.square().sum(1, keepdim=True)
    torch.testing.assert_close(curve[:, :39], expected)
    assert curve.shape == (3, 60) and curve[:, 39:].abs().max() < 1e-12


def test_windows_side_by_side_are_joined_whole() -> None:
    assert stylised.join(torch.tensor([[[1, 2, 0]], [[0, 3, 4]], [[5, 6, 7]]])).tolist() == [
        [1, 2, 0, 0, 3, 4, 5, 6, 7]
    ]


def test_rows_held_out_of_windows_share_no_day_with_training() -> None:
    source = split(garch(days=300, window=15, held_out=0.0, coding="standard"), 0.2)
    assert source.held_out is not None and len(source.held_out) == 57 and len(source) == 286 - 57 - 14
    last, first = source.data[-1, 0], source.held_out.data[0, 0]
    whole = garch(days=300, window=15, held_out=0.0, coding="standard").data
    assert torch.equal(first, whole[229, 0]) and torch.equal(last, whole[214, 0])  # days 214 to 228, and 229 on
