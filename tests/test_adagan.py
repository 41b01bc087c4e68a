"""AdaGAN: weights in closed form, rounds as functions of the clock, a mixture that keeps its shares, coverage."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_runner import checkpoint
from gan_runner.build import build
from gan_runner.datasets.toys import gmm
from gan_runner.draw import Draw
from gan_runner.loop import Run
from gan_runner.losses.adagan import KEPT, AdaGAN, component
from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.objective import Objective
from gan_runner.losses.payoffs import NonSaturating
from gan_runner.losses.reweighting import Equal, Fixed, Reweighting, TheoryDagger, TheoryStar, TopK, Uniform
from gan_runner.metrics.coverage import Coverage, coverage
from gan_runner.metrics.probe import Findings
from gan_runner.pictures import rounds as pictures_of
from gan_runner.pictures.rounds import Rounds
from gan_runner.restore import restore
from tests import short_runs
from tests.conftest import compose
from tests.test_contract import differing, parity, play

ROUNDS = ("loss.rounds=3", "loss.images=64", "loss.ratio=32")
"""Of batches of 16: steps 0-3 play, 4-5 compare, 6-7 play, 8-9 compare, 10 and later play."""


def make(*overrides: str, steps: int = 16) -> Run:
    data = ("dataset=ring8", "dataset.n=200", "train.batch_size=16", "probes=none", "train.ema_halflife=50")
    nets = ("model.generator.hidden=[8]", "model.discriminator.hidden=[8]")
    return build(compose("loss=adagan", *data, *nets, *ROUNDS, f"train.steps={steps}", *overrides))


def game(**settings: Any) -> AdaGAN:
    return AdaGAN(Adversarial(NonSaturating()), **settings)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# -- weights -------------------------------------------------------------------------------------

STAR = [
    ((1, 1, 1, 1), 0.5, (0.25, 0.25, 0.25, 0.25)),
    ((0, 0, 2, 2), 0.5, (0.5, 0.5, 0, 0)),
    ((0, 1, 1, 2), 0.25, (0.833333, 0.083333, 0.083333, 0)),
    ((0.2, 0.6, 1, 2.2), 0.5, (0.433333, 0.333333, 0.233333, 0)),
    ((2.2, 0.2, 1, 0.6), 0.5, (0, 0.433333, 0.233333, 0.333333)),
]
DAGGER = [
    ((1, 1, 1, 1), 0.5, (0.25, 0.25, 0.25, 0.25)),
    ((0, 0, 2, 2), 0.5, (0.5, 0.5, 0, 0)),
    ((0, 1, 1, 2), 0.25, (1, 0, 0, 0)),
    ((0.2, 0.6, 1, 2.2), 0.5, (0.444444, 0.333333, 0.222222, 0)),
]


@pytest.mark.parametrize(("d", "beta", "w"), STAR)
def test_the_best_weights_in_closed_form(d: tuple, beta: float, w: tuple) -> None:
    torch.testing.assert_close(TheoryStar()(numbers(*d), beta), numbers(*w), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("d", "beta", "w"), DAGGER)
def test_the_other_weights_in_closed_form(d: tuple, beta: float, w: tuple) -> None:
    torch.testing.assert_close(TheoryDagger()(numbers(*d), beta), numbers(*w), atol=1e-6, rtol=0)


DIVERGENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "kl": lambda r: torch.special.xlogy(r, r),
    "js": lambda r: torch.special.xlogy(r, r) - (r + 1) * ((r + 1) / 2).log(),
    "pearson": lambda r: (r - 1).square(),
    "tv": lambda r: (r - 1).abs() / 2,
}


def some_ratios(n: int = 50) -> Tensor:
    """dP_model / dP_data of a model on n equally likely rows that it covers unevenly: their mean is 1."""
    d = torch.randn(n, dtype=torch.float64).mul(2).exp()
    return d / d.mean()


@pytest.mark.parametrize("f", DIVERGENCES)
def test_no_other_component_brings_the_mixture_nearer_the_data(f: str) -> None:
    """And every divergence falls by the factor 1 - beta at least (Theorem 1 and what follows)."""
    torch.manual_seed(0)
    for beta in (0.1, 0.5, 0.9):
        d = some_ratios()

        def left(w: Tensor, d: Tensor = d, beta: float = beta) -> float:
            return float(DIVERGENCES[f]((1 - beta) * d + beta * len(d) * w).mean())

        best = TheoryStar()(d, beta)
        assert best.sum() == pytest.approx(1) and (best >= 0).all()
        assert left(best) <= (1 - beta) * float(DIVERGENCES[f](d).mean()) + 1e-12
        for _ in range(50):
            other = torch.rand_like(d)
            near = torch.lerp(best, other / other.sum(), float(torch.rand(())) ** 4)
            assert left(best) <= left(near) + 1e-12


@pytest.mark.parametrize("rule", [TheoryStar(), TheoryDagger()], ids=["star", "dagger"])
def test_what_can_be_mended_wholly_is(rule: Reweighting) -> None:
    """Where the model nowhere exceeds 1 / (1 - beta) times the data, the new mixture is the data."""
    torch.manual_seed(0)
    d, beta = torch.rand(40, dtype=torch.float64), 0.6
    d = d / d.mean()
    assert d.max() < 1 / (1 - beta)
    torch.testing.assert_close((1 - beta) * d + beta * len(d) * rule(d, beta), torch.ones_like(d))


def test_without_a_lambda_rows_weigh_alike_and_it_is_said() -> None:
    for rule, d in ((TheoryStar(), numbers(torch.nan, 1, 2)), (TheoryDagger(), numbers(0, 0, 0, 0))):
        with pytest.warns(UserWarning, match="no lambda"):
            w = rule(d, 0.5)
        assert w.tolist() == [1 / len(d)] * len(d)


def test_the_least_covered_rows_and_all_rows() -> None:
    d = numbers(3, 1, 0.5, 2)
    assert TopK(0.5)(d, 0.5).tolist() == [0, 0.5, 0.5, 0]
    assert TopK(0.1)(d, 0.5).tolist() == [0, 0, 1, 0]
    assert Uniform()(d, 0.5).tolist() == [0.25] * 4


def test_shares() -> None:
    assert [Equal()(t) for t in (2, 3, 10)] == [1 / 2, 1 / 3, 1 / 10]
    assert Fixed(0.3)(7) == 0.3


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda: game(rounds=0), "rounds=0"),
        (lambda: game(ratio=0), "ratio=0"),
        (lambda: game(images=10, ratio=10), "ratio=10"),
        (lambda: Fixed(1.0), "beta=1.0"),
        (lambda: Fixed(0.0), "beta=0.0"),
        (lambda: TopK(0.0), "share=0.0"),
        (lambda: TopK(1.1), "share=1.1"),
    ],
)
def test_wrong_settings_are_named(wrong: Callable[[], Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        wrong()


# -- rounds --------------------------------------------------------------------------------------


def test_stages_are_a_function_of_the_images_seen() -> None:
    g = game(rounds=3, images=100, ratio=30)
    at = {0: 0, 99: 0, 100: 1, 129: 1, 130: 2, 199: 2, 200: 3, 229: 3, 230: 4, 299: 4, 300: 4, 330: 4, 9999: 4}
    assert {seen: g.stage(seen) for seen in at} == at


def test_the_classifier_takes_one_batch_a_step() -> None:
    run, seen = make("loss.game.n_critic=2", "loss.images=128", steps=8), [0]
    play(run, watch=lambda: seen.append(run.state.clock.seen))
    assert [b - a for a, b in pairwise(seen)] == [32] * 4 + [16] * 2 + [32] * 2


@pytest.mark.parametrize("pause", [3, 4, 5, 6, 9, 10, 12])
def test_resume_is_exact_in_every_stage(pause: int, tmp_path: Path) -> None:
    whole, first, second = make(), make(), make()
    play(whole)
    play(first, until=pause)
    checkpoint.save(tmp_path, first.state.state_dict(), step=pause, facts={})
    torch.manual_seed(12345)
    second.state.load_state_dict(checkpoint.newest(tmp_path)[1])
    play(second)
    assert differing(whole, second) == []


@pytest.mark.parametrize(
    "part", ["weights", "alpha", "stage", "component.net.0.weight", "first.nets.generator.net.0.bias"]
)
def test_leaving_any_part_of_the_memory_out_is_noticed(part: str) -> None:
    whole, first, second = make(), make(), make()
    play(whole)
    play(first, until=7)
    saved = copy.deepcopy(first.state.state_dict())
    saved["memory"][part] = torch.zeros_like(saved["memory"][part]) + (part == "weights")
    second.state.load_state_dict(saved)
    play(second)
    assert differing(whole, second)


def test_a_round_begins_with_new_networks_of_the_same_law_and_players_that_forget() -> None:
    """Every tensor of weights holds the numbers it had at first, in another order; the average begins there too."""
    run = make()
    first = {k: v.clone() for k, v in run.state.nets.state_dict().items()}
    begun = []
    for step in (4, 6, 8, 10):
        play(run, until=step - run.state.clock.step)
        assert any(float(t.abs().sum()) > 0 for p in run.state.players.values() for t in p.moments)
        run.objective.weigh(run.state, run.source)
        assert all(float(t.abs().sum()) == 0 for p in run.state.players.values() for t in p.moments)
        now = {k: v.clone() for k, v in run.state.nets.state_dict().items()}
        assert all(torch.equal(v.flatten().sort().values, first[k].flatten().sort().values) for k, v in now.items())
        average = run.state.average["generator"].state_dict()
        assert all(torch.equal(v, now[f"generator.{k}"]) for k, v in average.items())
        begun.append(now["generator.net.0.weight"])
    assert len({tuple(w.flatten().tolist()) for w in [first["generator.net.0.weight"], *begun]}) == 5


def test_what_a_round_ends_with_is_kept_for_good() -> None:
    run, kept = make(), {}

    def watch() -> None:
        step = run.state.clock.step
        if step in (4, 8):
            kept[step] = {k: v.clone() for k, v in run.state.average["generator"].state_dict().items()}

    play(run, watch=watch)
    for name in kept[4]:
        assert torch.equal(run.state.memory[KEPT + name], torch.stack([kept[4][name], kept[8][name]]))


def test_a_game_with_a_memory_begins_it_anew() -> None:
    run = make("++loss.game._target_=gan_runner.losses.historical.Historical", "++loss.game.weight=0.1")
    play(run, until=7)
    assert float(run.state.memory["generator.steps"]) == 1


@pytest.mark.parametrize(
    ("share", "alpha"),
    [
        ("Equal", [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3] * 3]),
        ("Fixed", [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 4, 1 / 4, 1 / 2]]),
    ],
)
def test_shares_of_the_mixture(share: str, alpha: list[list[float]]) -> None:
    """1/t each after t rounds; or the newest has beta, and all before it 1 - beta together."""
    run, seen = make(f"loss.beta._target_=gan_runner.losses.reweighting.{share}"), {}

    def watch() -> None:
        seen[run.state.clock.step] = run.state.memory["alpha"].tolist()

    play(run, watch=watch)
    for steps, expected in zip(((1, 4, 6), (7, 8, 10), (11, 16)), alpha, strict=True):
        for step in steps:
            assert seen[step] == pytest.approx(expected)


# -- the mixture ---------------------------------------------------------------------------------


def test_components_are_chosen_in_proportion_to_their_shares() -> None:
    """Exactly: of 1,000 equally likely numbers so many choose each; none that sleeps, however far out."""
    u = torch.special.ndtri((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)
    assert component(numbers(0.5, 0.3, 0.2, 0), u).bincount(minlength=4).tolist() == [500, 300, 200, 0]
    assert component(numbers(1, 0, 0), torch.tensor([-6.0, 6.0])).tolist() == [0, 0]


def constant_components(run: Run, *values: float) -> None:
    """Kept generators, and then the one that learns, that answer one value whatever they are asked."""
    for name, t in run.state.memory.items():
        if name.startswith(KEPT):
            t.zero_()
            if name.endswith("net.2.bias"):
                t.copy_(torch.tensor(values[:-1])[:, None].expand_as(t))
    for net in (run.state.nets["generator"], run.state.average["generator"]):
        for name, p in net.named_parameters():
            p.data.fill_(values[-1] if name.endswith("net.2.bias") else 0)


def test_samples_come_from_the_components_by_their_shares() -> None:
    run = make()
    play(run, until=11)
    constant_components(run, 10, 20, 30)
    run.state.memory["alpha"].copy_(numbers(0.2, 0.5, 0.3))
    for live in (False, True):
        x = Draw(run.objective, run.state, run.source.device)(20_000, live=live)
        assert set(x.unique().tolist()) == {10, 20, 30}
        share = torch.stack([(x[:, 0] == value).float().mean() for value in (10, 20, 30)])
        assert (share - torch.tensor([0.2, 0.5, 0.3])).abs().max() < 0.018  # five standard errors


def test_the_classifier_meets_the_finished_components_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run, met = make(), []
    play(run, until=9)
    constant_components(run, 10, 20, 30)
    loss = AdaGAN.ratio_loss

    def ratio_loss(self: AdaGAN, nets: Any, real: Tensor, fake: Tensor) -> Any:
        met.append(fake)
        return loss(self, nets, real, fake)

    monkeypatch.setattr(AdaGAN, "ratio_loss", ratio_loss)
    run.objective.step(run.state, run.source.take(torch.arange(64)), run.objective.prepare(run.state))
    assert set(met[0].unique().tolist()) == {10, 20}


def test_the_sample_command_draws_the_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder alone gives the samples that the run itself would: all components, by their shares."""
    monkeypatch.chdir(tmp_path)
    assert short_runs.run("loss=adagan", *ROUNDS) == 0
    _, draw, step = restore(Path("r"), "newest", 0, "cpu")
    run = build(short_runs.configured("loss=adagan", *ROUNDS))
    play(run)
    assert step == 12
    assert torch.equal(draw(300), Draw(run.objective, run.state, run.source.device)(300))
    chosen = component(run.state.memory["alpha"], run.objective.latent(run.state, 300)[:, 0])
    assert len(chosen.unique()) == 3


def test_the_mixture_stays_as_it_is_while_the_classifier_learns() -> None:
    run, drawn = make(), {}
    draw = Draw(run.objective, run.state, run.source.device)
    play(run, watch=lambda: drawn.update({run.state.clock.step: draw(50)}))
    assert torch.equal(drawn[4], drawn[5]) and torch.equal(drawn[4], drawn[6])
    assert torch.equal(drawn[8], drawn[9]) and torch.equal(drawn[8], drawn[10])
    assert not torch.equal(drawn[6], drawn[7]) and not torch.equal(drawn[10], drawn[11])


@pytest.mark.slow
def test_compiled_equals_eager_in_every_stage() -> None:
    assert parity("adagan", "compiled", "loss.rounds=3", "loss.images=48", "loss.ratio=16") < 1e-12


# -- the data it sees ----------------------------------------------------------------------------


class Known(Objective):
    """A game whose judge knows the log-ratio."""

    players = {"discriminator": (), "generator": ("generator",)}

    def judge(self, nets: Any, x: Tensor) -> Tensor:
        return x[:, 0]


def test_ratios_are_model_over_data() -> None:
    """D = sigmoid(logit), and d = (1 - D) / D, for every row in its place; it stops where it would overflow."""
    run = make("dataset.n=2000")
    g, data = AdaGAN(Known()), run.source.data
    data[:2, 0] = torch.tensor([-1e4, 1e4])
    D = data[2:, 0].double().sigmoid()
    d = g.ratios(run.state, run.source)
    assert d[:2].tolist() == [1e8, 0]
    torch.testing.assert_close(d[2:], (1 - D) / D)
    assert all(net.training for net in run.state.nets.children())


def test_rows_that_the_mixture_leaves_out_gain_weight() -> None:
    """A mixture of three modes of the ring: the classifier finds it, and W_2 is uniform on the other five."""
    run = make("loss.images=4000", "loss.ratio=3200", "optimizer.lr=1e-2", "dataset.n=2000", steps=452)
    left = run.source.data[run.source.data[:, 0] < -0.1]

    def half(self: AdaGAN, s: Any, z: Tensor, kept: int) -> Tensor:
        return left[torch.randint(len(left), (len(z),))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AdaGAN, "mixture", half)
        play(run, until=451)  # 250 steps of the first round, 200 of the classifier, one more
    weights = run.state.memory["weights"]
    assert weights.sum() == pytest.approx(1)
    assert float(weights[run.source.data[:, 0] < -0.1].sum()) < 0.05
    assert float(weights[run.source.data[:, 0] > 0.1].sum()) == pytest.approx(3 / 5, abs=0.05)


def given(run: Run) -> dict[int, Tensor]:
    """Step -> the row numbers it was given."""
    found, take = {}, type(run.source).take

    def watched(self: Any, index: Tensor) -> Tensor:
        found.setdefault(run.state.clock.step, []).append(index.clone())
        return take(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run.source), "take", watched)
        play(run)
    return {step: index[-1] for step, index in found.items()}  # where a round opens, all rows are looked at first


def test_weights_drive_the_sampler() -> None:
    """Games of later rounds see rows in proportion to W_t; the first round and classifiers see each once an epoch."""
    run = make("+loss.weights.share=0.1", "loss.weights._target_=gan_runner.losses.reweighting.TopK", "loss.rounds=2")
    index = given(run)
    kept = set(run.state.memory["weights"].nonzero().flatten().tolist())
    assert len(kept) == 20
    for step in range(6, 16):
        assert set(index[step].tolist()) <= kept
    whole = torch.cat([index[step] for step in range(6)])
    assert len(set(whole.tolist())) == len(whole) and not set(whole.tolist()) <= kept


def test_draws_follow_the_weights() -> None:
    run = make("loss.rounds=2", steps=806)
    weights = torch.rand(200, dtype=torch.float64).square()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TheoryStar, "__call__", lambda self, d, beta: weights / weights.sum())
        index = given(run)
    counts = torch.cat([index[step] for step in range(6, 806)]).bincount(minlength=200)
    expected = 800 * 16 * weights / weights.sum()
    chi2 = float(((counts - expected).square() / expected)[expected > 5].sum())
    assert chi2 < (expected > 5).sum() * 1.6


# -- what is looked at ---------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.25, 0.5, 0.8, 1.0, 2.0])
def test_coverage_between_round_gaussians_has_a_closed_form(s: float) -> None:
    """Of N(0, I) in the plane, 1 - 0.05^(s^2) lies where N(0, s^2 I) exceeds its own lowest 5 %."""
    g = torch.Generator().manual_seed(0)
    found = [coverage(*(k * torch.randn(1000, 2, generator=g) for k in (s, s, 1))) for _ in range(4)]
    assert sum(found) / 4 == pytest.approx(1 - 0.05 ** (s**2), abs=0.02)


def test_coverage_counts_what_is_missed_and_not_where_it_is() -> None:
    g = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(1000, 2, generator=g) for _ in range(3))
    apart = torch.where(torch.arange(1000)[:, None] % 4 == 0, 50.0, 0.0)
    assert coverage(x, y, z + apart) == pytest.approx(0.75 * 0.95, abs=0.02)
    assert coverage(x + apart, y + apart, z) == pytest.approx(0.95, abs=0.025)
    assert coverage(1000 * x, 1000 * y, 1000 * z) == pytest.approx(coverage(x, y, z), abs=0.003)
    assert coverage(x[:1].expand(50, 2), y, z) != coverage(x[:1].expand(50, 2), y, z)  # NaN


class Same:
    """A draw of real rows."""

    def __init__(self, run: Run):
        self.objective, self.state, self.source = run.objective, run.state, run.source

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.source.take(torch.randint(len(self.source), (n,), generator=torch.Generator().manual_seed(3)))

    def interpolate(self, rows: int, columns: int) -> None: ...


def test_the_probe_finds_data_where_the_model_is_the_data() -> None:
    run = make()
    found = Coverage(n=1000)(Same(run), gmm(modes=5)).scalars  # the draw is of the ring: none of it is there
    assert found["coverage_floor"] == pytest.approx(0.95, abs=0.035)
    run.source = gmm(modes=5)
    assert Coverage(n=1000)(Same(run), run.source).scalars["coverage"] == pytest.approx(0.95, abs=0.035)


def test_the_picture_shows_the_weights_and_names_the_round() -> None:
    run, names = make(), {}

    def look() -> Findings:
        return Rounds(n=50)(Draw(run.objective, run.state, run.source.device), run.source)

    def watch() -> None:
        names[run.state.clock.step] = list(look().pictures)

    play(run, watch=watch)
    assert [names[step] for step in (4, 6, 7, 10, 16)] == [[f"round_{t}"] for t in (1, 1, 2, 2, 3)]
    ns = build(compose("loss=ns", "dataset=ring8", "dataset.n=50", "train.batch_size=16", "probes=none"))
    assert Rounds()(Draw(ns.objective, ns.state, ns.source.device), ns.source).pictures == {}


def test_weights_are_colours_of_the_real_points_alone() -> None:
    """Other weights with the same order and maximum, and nothing else: the left panel changes alone."""
    points, w = torch.randn(30, 2), torch.linspace(0, 1, 30)
    pictures = [pictures_of.weighted(points, w**power, points + 1, 2, ("x", "y")) for power in (1, 4)]
    width = pictures[0].shape[1] // 2
    assert not torch.equal(*(x[:, :width] for x in pictures)) and torch.equal(*(x[:, width:] for x in pictures))


def test_each_point_of_the_picture_has_its_own_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    run, shown = make(), []
    weights = 2 + run.source.data[:, 0].double()
    run.state.memory["weights"].copy_(weights / weights.sum())
    monkeypatch.setattr(pictures_of, "weighted", lambda *args: shown.append(args) or torch.zeros(1, 1, 3))
    Rounds(n=50)(Draw(run.objective, run.state, run.source.device), run.source)
    ((real, found, fake, t, names),) = shown
    assert len(real) == len(fake) == 50 and t == 1 and names == ("x", "y")
    torch.testing.assert_close(found, (2 + real[:, 0].double()) / weights.mean())


def test_places_move_the_centres_alone() -> None:
    a, b = gmm(modes=3, n=100), gmm(modes=3, n=100, places=1)
    assert not torch.equal(a.truth["modes"], b.truth["modes"])
    within = [x.decode(x.data) - x.truth["modes"][x.labels] for x in (a, b)]
    torch.testing.assert_close(*within, atol=1e-5, rtol=0)
