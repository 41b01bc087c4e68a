"""Saddle-point games: rates and thresholds in closed form, duality gaps against linear programmes, pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from gan_runner import checkpoint, optimizers, train
from gan_runner.build import build
from gan_runner.draw import Draw
from gan_runner.errors import Diverged, MissingInput, UsageError
from gan_runner.losses import orders, payoffs
from gan_runner.losses.games import Dirac, Game, Matrix, Quadratic, SoftMatrix
from gan_runner.losses.saddle import Saddle
from gan_runner.metrics.saddle import Convergence, approach, distances, radius, rate, walked
from gan_runner.pictures import portrait as portraits
from gan_runner.pictures.figure import FAKE, REAL
from gan_runner.pictures.portrait import Portrait, velocity
from gan_runner.pictures.rates import rates
from scripts.plot_saddle import METHODS, measured, play
from tests.conftest import ROOT, compose
from tests.test_contract import differing, parity
from tests.test_contract import play as fit
from tests.test_pictures import share

QUADRATIC, BILINEAR = Quadratic(), Quadratic(curvature=0)
JACOBIAN = {QUADRATIC: torch.tensor([[2.0, 1.0], [-1.0, 2.0]]), BILINEAR: torch.tensor([[0.0, 1.0], [-1.0, 0.0]])}
GAMES = sorted(p.stem for p in (ROOT / "configs/loss/game").glob("*.yaml"))
ORDERS = sorted(p.stem for p in (ROOT / "configs/loss/method").glob("*.yaml"))


def optimistic(eigenvalue: complex, eta: float) -> float:
    """The larger root of r^2 - (1 - 2 eta lambda) r - eta lambda = 0."""
    b, c = 1 - 2 * eta * eigenvalue, eta * eigenvalue
    root = (b * b + 4 * c) ** 0.5
    return max(abs((b + root) / 2), abs((b - root) / 2))


def alternating(eta: float) -> float:
    """Determinant (1 - 2 eta)^2, trace 2 (1 - 2 eta) - eta^2."""
    trace, determinant = 2 * (1 - 2 * eta) - eta**2, (1 - 2 * eta) ** 2
    root = complex(trace**2 - 4 * determinant) ** 0.5
    return max(abs((trace + root) / 2), abs((trace - root) / 2))


def circling(eta: float) -> float:
    """Determinant 1, trace 2 - eta^2: a pair of modulus 1 up to eta = 2."""
    return 1.0 if eta <= 2 else eta**2 / 2 - 1 + eta * math.sqrt(eta**2 / 4 - 1)


# game, method -> closed form, steps to measure at
TABLE: dict[tuple[Quadratic, str], tuple[Callable[[float], float], list[float]]] = {
    (QUADRATIC, "simultaneous"): (lambda e: math.hypot(1 - 2 * e, e), [0.05, 0.1, 0.4, 0.7, 0.79, 0.81, 1.0]),
    (BILINEAR, "simultaneous"): (lambda e: math.sqrt(1 + e * e), [0.05, 0.3, 1.0]),
    (QUADRATIC, "alternating"): (alternating, [0.1, 0.3, 0.4, 0.6, 0.66, 0.68, 0.8]),
    (BILINEAR, "alternating"): (circling, [0.1, 0.5, 1.5, 1.9, 2.1]),
    (QUADRATIC, "extragradient"): (
        lambda e: abs(1 - e * (2 + 1j) + (e * (2 + 1j)) ** 2),
        [0.05, 0.3, 0.5, 0.53, 0.54, 0.7],
    ),
    (BILINEAR, "extragradient"): (lambda e: math.sqrt(1 - e**2 + e**4), [0.1, 0.5, 0.7, 0.99, 1.01, 1.2]),
    (QUADRATIC, "optimistic"): (lambda e: optimistic(2 + 1j, e), [0.05, 0.1, 0.25, 0.29, 0.3, 0.4]),
    (BILINEAR, "optimistic"): (lambda e: optimistic(1j, e), [0.1, 0.3, 0.45, 0.57, 0.58, 0.7]),
}

# as published, eta -> rate
QUOTED = [
    (QUADRATIC, "simultaneous", 0.4, 0.4472),
    (QUADRATIC, "alternating", 0.1, 0.8),
    (QUADRATIC, "alternating", 0.4, 0.2),
    (BILINEAR, "extragradient", 0.5, 0.9014),
    (BILINEAR, "optimistic", 0.3, 0.9487),
    (BILINEAR, "optimistic", 0.5, 0.7071),
]
THRESHOLDS = [
    (QUADRATIC, "simultaneous", 0.8),
    (QUADRATIC, "alternating", 2 / 3),
    (QUADRATIC, "extragradient", 0.53601),
    (QUADRATIC, "optimistic", 0.29679),
    (BILINEAR, "extragradient", 1.0),
    (BILINEAR, "optimistic", 1 / math.sqrt(3)),
]


def name(value: object) -> str:
    return value.name if isinstance(value, Quadratic) else str(value)


@pytest.mark.parametrize(("game", "method"), TABLE, ids=name)
def test_empirical_rates_are_the_spectral_radii(game: Quadratic, method: str) -> None:
    """Every cell of the table: 200 steps in float64, within 1e-3; and the verdict on either side of the threshold."""
    exact, steps = TABLE[game, method]
    for eta in steps:
        assert abs(radius(method, JACOBIAN[game], eta) - exact(eta)) < 1e-6
        found = measured(game, method, eta)
        assert abs(found - exact(eta)) < 1e-3, eta
        if abs(exact(eta) - 1) > 2e-3:
            assert (found > 1) == (exact(eta) > 1)


@pytest.mark.parametrize(("game", "method", "eta", "expected"), QUOTED, ids=name)
def test_quoted_rates(game: Quadratic, method: str, eta: float, expected: float) -> None:
    assert abs(radius(method, JACOBIAN[game], eta) - expected) < 5e-5


@pytest.mark.parametrize(("game", "method", "threshold"), THRESHOLDS, ids=name)
def test_thresholds(game: Quadratic, method: str, threshold: float) -> None:
    """Converges below and diverges above, by runs as well as by formula."""
    assert radius(method, JACOBIAN[game], threshold - 1e-4) < 1 < radius(method, JACOBIAN[game], threshold + 1e-4)
    assert measured(game, method, threshold * 0.97) < 1 < measured(game, method, threshold * 1.03)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("eta", [0.05, 0.15, 0.3])
def test_consensus_rates(eta: float, gamma: float) -> None:
    """J^T J is 5 for the one game and 1 for the other, times the identity."""
    exact = {
        QUADRATIC: math.hypot(1 - 2 * eta - 5 * gamma * eta, eta),
        BILINEAR: math.hypot(1 - gamma * eta, eta),
    }
    for game, expected in exact.items():
        way = walked(play(game, orders.Consensus(gamma), optimizers.SGD, eta))[0]
        assert abs(rate(approach(way, (0.0, 0.0))) - expected) < 1e-3
        assert abs(radius("consensus", JACOBIAN[game], eta, gamma) - expected) < 1e-6


def test_the_saddle_of_the_quadratic_game() -> None:
    """F(z) = A z, its only zero is 0, and there max and min exchange: f(x, 0) >= 0 >= f(0, y)."""
    grid = torch.linspace(-2, 2, 9)
    for x in grid:
        for y in grid:
            a, b = x.view(1).requires_grad_(), y.view(1).requires_grad_()
            loss_x, loss_y = QUADRATIC.losses(a, b)
            assert loss_x.item() == -loss_y.item() == float(x * x - y * y + x * y)
            (gx,), (gy,) = torch.autograd.grad(loss_x, a, retain_graph=True), torch.autograd.grad(loss_y, b)
            assert torch.allclose(torch.cat([gx, gy]), JACOBIAN[QUADRATIC] @ torch.stack([x, y]).detach())
        nothing = torch.zeros(1)
        assert QUADRATIC.losses(x.view(1), nothing)[0] >= 0 >= QUADRATIC.losses(nothing, x.view(1))[0]


def test_alternating_play_lets_x_move_first() -> None:
    state = play(BILINEAR, orders.Alternating(), optimizers.SGD, 0.5, 1, ([1.0], [1.0]))
    assert walked(state)[0].tolist() == [[1.0, 1.0], [0.5, 1.25]]


def test_bilinear_averages_approach_as_one_over_t() -> None:
    """Alternating play circles for ever; its average nears at 1 / T: T times the distance stays bounded."""
    for steps in (100, 400, 1600):
        state = play(BILINEAR, orders.Alternating(), optimizers.SGD, 0.3, steps)
        way, mean = walked(state)
        assert 0.9 < float(way[-1].norm()) < 1.4
        assert float(mean.norm()) * steps < 10
        torch.testing.assert_close(mean, way[1:].mean(0))


# -- Dirac-GAN -----------------------------------------------------------------------------------


def test_dirac_gan_diverges_circles_and_converges() -> None:
    """Mescheder et al. 2018: unregularised, simultaneous play leaves and alternating play circles; R1 converges."""
    leaving = distances(walked(play(Dirac(), orders.Simultaneous(), optimizers.SGD, 0.2))[0], (0.0, 0.0))
    assert (leaving.diff() > 0).all()
    circling = distances(walked(play(Dirac(), orders.Alternating(), optimizers.SGD, 0.2, 3000))[0], (0.0, 0.0))
    assert float(circling.min()) / 1.118 > 0.9 and float(circling.max()) / 1.118 < 1.1
    near = ([0.01], [0.005])
    for payoff in (payoffs.Minimax(), payoffs.NonSaturating()):
        for penalty in (0.3, 0.7):
            jacobian = torch.tensor([[0.0, -0.5], [0.5, penalty]])
            for method in ("simultaneous", "alternating", "extragradient", "optimistic"):
                order, optimizer = METHODS[method]
                found = walked(play(Dirac(payoff, penalty), order, optimizer, 0.2, 600, near))[0]
                assert abs(rate(approach(found, (0.0, 0.0))) - radius(method, jacobian, 0.2)) < 1e-3
                assert radius(method, jacobian, 0.2) < 1


# -- matrix games --------------------------------------------------------------------------------

PENNIES = [[1.0, -1.0], [-1.0, 1.0]]
SCISSORS = [[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]


def programme(payoff: list[list[float]]) -> tuple[float, Tensor, Tensor]:
    """(value, p, q) of min_p max_q p^T A q: the least v with p^T A <= v, and its dual."""
    A = torch.tensor(payoff, dtype=torch.float64)
    m, n = A.shape
    simplex = {"A_eq": [[1.0] * m + [0.0]], "b_eq": [1.0], "bounds": [(0, 1)] * m + [(None, None)]}
    upper = torch.cat([A.T, -torch.ones(n, 1)], 1).numpy()
    found = linprog([0.0] * m + [1.0], A_ub=upper, b_ub=[0.0] * n, **simplex)
    p, q = torch.tensor(found.x[:m]), -torch.tensor(found.ineqlin.marginals)
    return float(found.fun), p, q


@pytest.mark.parametrize("payoff", [PENNIES, SCISSORS], ids=["pennies", "scissors"])
def test_matrix_games_have_value_0_and_uniform_strategies(payoff: list[list[float]]) -> None:
    value, p, q = programme(payoff)
    n = len(payoff)
    assert abs(value) < 1e-12
    for game in (Matrix(payoff), SoftMatrix(payoff)):
        assert game.saddle == pytest.approx([1 / n] * 2 * n)
        torch.testing.assert_close(torch.cat([p, q]).tolist(), list(game.saddle))
        assert float(game.gap(p, q)) < 1e-12


def test_duality_gaps_against_linear_programmes() -> None:
    """At the programme's solution 0, elsewhere max_j (p^T A)_j - min_i (A q)_i > 0; also where A is not square."""
    g = torch.Generator().manual_seed(0)
    for m, n in ((2, 2), (3, 3), (2, 4), (5, 3)):
        A = torch.randn(m, n, generator=g, dtype=torch.float64)
        game = Matrix(A.tolist())
        value, p, q = programme(A.tolist())
        assert game.sizes == (m, n) and abs(float(game.gap(p, q))) < 1e-9
        assert abs(float(game.losses(p, q)[0]) - value) < 1e-9
        x, y = torch.rand(m, generator=g).softmax(0).double(), torch.rand(n, generator=g).softmax(0).double()
        assert float(game.gap(x, y)) == pytest.approx(float((x @ A).max() - (A @ y).min())) and game.gap(x, y) > 0
        assert game.saddle is None
        soft = SoftMatrix(A.tolist())
        torch.testing.assert_close(soft.losses(x.log(), y.log())[0], x @ A @ y)
        torch.testing.assert_close(torch.cat(soft.plays(*soft.parameters(x, y))), torch.cat([x, y]))


@pytest.mark.parametrize("kind", [Matrix, SoftMatrix])
@pytest.mark.parametrize("payoff", [PENNIES, SCISSORS], ids=["pennies", "scissors"])
def test_averages_converge_where_plays_circle(payoff: list[list[float]], kind: type[Matrix]) -> None:
    """Simultaneous play: the last play stays away, the average reaches the linear programme's strategies and value."""
    game, n = kind(payoff), len(payoff)
    start = ([0.8] + [0.2 / (n - 1)] * (n - 1), [0.4] + [0.6 / (n - 1)] * (n - 1))
    state = play(game, orders.Simultaneous(), optimizers.SGD, 0.05, 3000, start)
    way, mean = walked(state)
    value, p, q = programme(payoff)
    assert float(game.gap(*way[-1].split(n))) > 0.15
    assert float(game.gap(*mean.split(n))) < 0.05
    torch.testing.assert_close(mean, torch.cat([p, q]), rtol=0, atol=0.04)
    assert abs(float(Matrix(payoff).losses(*mean.split(n))[0]) - value) < 0.01
    assert (way >= 0).all() and torch.allclose(way[:, :n].sum(1), torch.ones(1, dtype=way.dtype))


def test_extragradient_reaches_the_saddle_of_a_projected_game() -> None:
    """Korpelevich's projections: the last play itself converges, also where the solution is on the edge."""
    start = ([0.8, 0.1, 0.1], [0.1, 0.6, 0.3])
    way, _ = walked(play(Matrix(SCISSORS), orders.Extragradient(), optimizers.SGD, 0.2, 600, start))
    assert float(distances(way[-1], (1 / 3,) * 6)) < 1e-4
    A = [[3.0, 1.0, 1.5], [0.0, 2.0, 0.5], [4.0, 3.0, 4.0]]
    value, p, q = programme(A)
    way, _ = walked(play(Matrix(A), orders.Extragradient(), optimizers.SGD, 0.1, 2000, start))
    torch.testing.assert_close(way[-1], torch.cat([p, q]), rtol=0, atol=1e-4)
    assert float(Matrix(A).gap(*way[-1].split(3))) < 1e-3 and min(p.min(), q.min()) == 0
    assert abs(float(Matrix(A).losses(*way[-1].split(3))[0]) - value) < 1e-3


def test_projected_games_begin_on_the_simplex() -> None:
    way, _ = walked(play(Matrix(PENNIES), orders.Simultaneous(), optimizers.SGD, 0.1, 1, ([3.0, 0.0], [0.5, 0.9])))
    torch.testing.assert_close(way[0], torch.tensor([1.0, 0.0, 0.3, 0.7], dtype=torch.float64))


@pytest.mark.parametrize("payoff", [[], [[1.0], [1.0, 2.0]], [1.0, 2.0], [[]]])
def test_what_is_no_matrix_is_refused(payoff: list) -> None:
    with pytest.raises(ValueError, match="payoff="):
        Matrix(payoff)


# -- what is remembered, measured and drawn ------------------------------------------------------


def test_the_path_keeps_the_last_plays_and_the_mean_all() -> None:
    whole = play(QUADRATIC, orders.Simultaneous(), optimizers.SGD, 0.1, 12)
    way, mean = walked(whole)
    assert len(way) == 13
    for keep in (2, 5, 12, 13, 40):
        short = Saddle(QUADRATIC, orders.Simultaneous(), keep)
        nets = {role: play(QUADRATIC, orders.Simultaneous(), optimizers.SGD, 0.1, 0).nets[role] for role in "xy"}
        s = type(whole).create(nets, short.players, short.averaged, optimizers.SGD(0.1))
        short.setup(s, 1)
        for _ in range(12):
            short.prepare(s)
            short.step(s, torch.zeros(1, 2), None)
            s.tick(1, 1, 0)
        found, average = walked(s)
        assert torch.equal(found, way[-min(keep, 13) :])
        assert torch.equal(average, mean)


def test_rate_of_a_turning_geometric_sequence() -> None:
    time = torch.arange(200.0, dtype=torch.float64)
    for factor in (0.5, 0.97, 1.0, 1.04):
        swinging = factor**time * (1 + 0.3 * (0.7 * time).cos())
        assert abs(rate(swinging) - factor) < 1e-3
        fading = 1e3 * (0.8 * factor) ** time  # the second eigenvalue, larger at first
        assert abs(rate(swinging + fading) - factor) < 1e-3
    assert math.isnan(rate(torch.tensor([1.0, 0.5])))


def test_rounding_and_overflow_end_the_approach() -> None:
    apart = torch.tensor([1.0, 0.1, 1e-4, 1e-9, 1e-3, math.inf], dtype=torch.float64)
    plays = torch.stack([0.5 + apart, torch.full((6,), 0.5, dtype=torch.float64)], 1)
    assert len(approach(plays, (0.5, 0.5))) == 3
    assert len(approach(plays - 0.5, (0.0, 0.0))) == 5


@pytest.mark.parametrize("game", [QUADRATIC, Dirac(penalty=0.5), SoftMatrix(PENNIES)], ids=lambda g: type(g).__name__)
def test_the_field_is_where_small_steps_lead(game: Game) -> None:
    start = ([0.3, -0.2], [0.5, 0.1]) if isinstance(game, Matrix) else ([0.3], [-0.5])
    way, _ = walked(play(game, orders.Simultaneous(), optimizers.SGD, 1e-4, 1, start))
    torch.testing.assert_close(velocity(game, way[:1])[0], (way[1] - way[0]) / 1e-4, rtol=1e-3, atol=1e-4)


def test_every_game_by_every_method_trains_resumes_and_is_drawn(tmp_path: Path) -> None:
    """From YAML: 5 + 4 steps through a checkpoint are the bits of 9, and each picture shows the way in orange."""
    for game in GAMES:
        for method in ORDERS:
            line = ("experiment=saddle", f"loss/game={game}", f"loss/method={method}", "train.steps=9", "device=cpu")
            whole, first, second = (build(compose(*line)) for _ in range(3))
            fit(whole)
            fit(first, until=5)
            place = tmp_path / f"{game}-{method}"
            checkpoint.save(place, first.state.state_dict(), step=5, facts={})
            second.state.load_state_dict(checkpoint.newest(place)[1])
            fit(second)
            assert differing(whole, second) == [], (game, method)
            assert isinstance(whole.objective, Saddle)
            assert ("previous" in str(whole.state.tensors().keys())) == (method == "optimistic")
        draw = Draw(whole.objective, whole.state, whole.source.device)
        found = Convergence()(draw, whole.source).scalars
        assert {"distance", "distance_mean"} <= found.keys()
        assert ("duality_gap" in found) == ("duality_gap_mean" in found) == isinstance(whole.objective.game, Matrix)
        picture = Portrait()(draw, whole.source).pictures["portrait"]
        assert share(picture, FAKE) > 2e-4 and share(picture, REAL) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("method", ORDERS)
def test_compiled_methods_equal_eager(method: str) -> None:
    """On projected strategies, so that constraints are compiled as well."""
    assert parity("saddle", "compiled", "loss/game=rock_paper_scissors", f"loss/method={method}") < 1e-12


def test_the_time_of_a_game_that_overflows_is_counted_from_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten plays the last three are not finite: seven are drawn, and they are the first."""
    drawn = []
    monkeypatch.setattr(portraits, "decay", lambda ax, game, way, first: drawn.append((first, len(way))))
    way = torch.randn(10, 2, dtype=torch.float64)
    way[7:] = torch.inf
    portraits.portrait(Quadratic(), way, way[:7].mean(0), "simultaneous", step=9)
    assert drawn == [(0, 7)]


def test_probes_find_nothing_where_no_game_is_played() -> None:
    run = build(compose("dataset=none", "loss=ns", "train.batch_size=4", "train.steps=2"))
    fit(run)
    draw = Draw(run.objective, run.state, run.source.device)
    for probe in run.probes.values():
        found = probe(draw, run.source)
        assert not found.scalars and not found.pictures


def test_a_diverging_run_ends_with_79(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Diverged) as caught:
        train.train(compose("experiment=saddle", "optimizer.lr=2", "run.dir=r"), [])
    assert caught.value.code == 79
    code, distance = train.train(compose("experiment=saddle", "optimizer.lr=0.79", "run.dir=s"), [])
    assert code == 0 and distance is not None and distance < 0.5
    assert (tmp_path / "s/pictures/portrait.png").is_file()


def test_a_gan_does_not_go_on_as_a_game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the losses first: there is no room for every setting that differs."""
    monkeypatch.chdir(tmp_path)
    assert train.train(compose("experiment=saddle", "probes=none", "train.steps=2", "run.dir=r"), [])[0] == 0
    with pytest.raises(MissingInput, match=r"F07.*loss\._target_: \S+Saddle -> \S+Reusing"):
        train.train(compose("dataset=ring8", "loss=ns") | {"resume": "r"}, [])


def test_players_of_the_wrong_size_are_refused() -> None:
    with pytest.raises(UsageError, match=r"model\.y has 1 numbers, this game needs 3"):
        build(compose("experiment=saddle", "loss/game=rock_paper_scissors", "model.y.start=[1.0]"))


def test_rates_picture_marks_thresholds() -> None:
    """Of two curves that cannot be told apart, the one that reaches 1 has more of its colour: the mark."""
    steps = torch.linspace(0.01, 1, 100)
    reaching, falling_short = (1 + 0.2 * (steps - 1) + shift for shift in (1e-3, -1e-3))
    drawn, without = (
        rates(["a game"], {"method": [(steps, line)]}, {"method": [(steps[::10], line[::10])]})
        for line in (reaching, falling_short)
    )
    assert drawn.shape == without.shape and share(drawn, FAKE) > 1.02 * share(without, FAKE)


def test_a_sweep_over_games_and_methods(cli: Callable, tmp_path: Path) -> None:
    words = ["-m", "experiment=saddle", "loss/game=bilinear", "loss/method=alternating,optimistic", "sweep=games"]
    done = cli(*words, "train.steps=5", "probes.portrait.every=-1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs/sweeps/games/leaderboard.csv").read_text().count("completed") == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("experiment=saddle loss/game=bilinar", ["did you mean loss/game=bilinear", "rock_paper_scissors"]),
        ("experiment=saddle loss/method=extragradent", ["did you mean loss/method=extragradient", "optimistic"]),
        ("loss/game=bilinear", ["loss/game", "loss=saddle"]),
        ("experiment=saddle loss/method=consensus loss.method.gamma=-1", ["loss.method.gamma=-1"]),
        ("experiment=saddle loss.game.curvature=-1", ["loss.game.curvature=-1"]),
        ("experiment=saddle loss.keep=1", ["loss.keep=1"]),
        ("experiment=saddle model.x.start=[]", ["model.x.start="]),
        ("experiment=saddle model.x.spread=-1", ["model.x.spread=-1"]),
        ("experiment=saddle dataset.n=0", ["n=0"]),
        ("loss=saddle model=mlp", ["roles x, y"]),
    ],
)
def test_mistakes_are_named(line: str, words: list[str], cli: Callable, tmp_path: Path) -> None:
    done = cli(*line.split())
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for word in [*words, "fix: "]:
        assert word in done.stderr
    assert list(tmp_path.iterdir()) == []
