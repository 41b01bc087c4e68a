"""Boltzmann machines: closed forms on machines small enough to count every state."""

from __future__ import annotations

import copy
import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner import optimizers
from gan_runner.build import build
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw
from gan_runner.losses import contrastive
from gan_runner.losses.contrastive import CD, PCD
from gan_runner.metrics import rbm as metrics
from gan_runner.metrics.rbm import Likelihood, annealed, exact, over_hidden, over_visible, pseudo_likelihood
from gan_runner.models import rbm
from gan_runner.models.rbm import RBM, Bernoulli, Cut, Gaussian
from gan_runner.pictures.rbm import Chains, Filters, shaded
from gan_runner.state import State
from tests.conftest import compose
from tests.test_contract import STEPS, differing, make, play


def binary(visible: int = 8, hidden: int = 6, spread: float = 0.7, seed: int = 0) -> Bernoulli:
    torch.manual_seed(seed)
    return randomised(Bernoulli(Spec((1, 1, visible), "image"), hidden).double(), spread)


def gaussian(visible: int = 2, hidden: int = 5, spread: float = 0.7, seed: int = 0) -> Gaussian:
    torch.manual_seed(seed)
    return randomised(Gaussian(Spec((visible,), "table"), hidden).double(), spread)


def randomised(m, spread: float):
    with torch.no_grad():
        for p in m.parameters():
            p.normal_(0, spread)
    return m.requires_grad_(False)


def all_states(n: int) -> Tensor:
    return torch.tensor(list(product([0.0, 1.0], repeat=n)), dtype=torch.float64)


def playing(m: RBM, objective: CD, lr: float = 1.0) -> State:
    s = State.create({"rbm": m.requires_grad_()}, CD.players, CD.averaged, optimizers.SGD(lr))
    objective.setup(s, 100)
    return s


def law(m: Bernoulli) -> Tensor:
    """p(v) of every visible state, in the order of `all_states`."""
    return (-m.free_energy(all_states(len(m.b)))).softmax(0)


# -- energies and the partition function -----------------------------------------------------------


@pytest.mark.parametrize("m", [binary(5, 4), gaussian(3, 4)])
def test_the_free_energy_sums_the_hidden_states_out(m: RBM) -> None:
    v = m.draw(torch.randn(7, len(m.b), dtype=torch.float64))
    energies = torch.stack([m.energy(v, h.expand(7, -1)) for h in all_states(4)])
    torch.testing.assert_close(m.free_energy(v), -(-energies).logsumexp(0))


@pytest.mark.parametrize("m", [binary(5, 4), gaussian(3, 4)])
def test_the_energy_is_the_textbooks(m: RBM) -> None:
    v, h = torch.randn(6, len(m.b), dtype=torch.float64), all_states(4)[:6]
    by_hand = [-(m.b @ x) - m.c @ y - x @ m.W @ y + (0 if m.binary else x @ x / 2) for x, y in zip(v, h, strict=True)]
    torch.testing.assert_close(m.energy(v, h), torch.stack(by_hand))


def test_a_machine_without_parameters_counts_states() -> None:
    m = binary(3, 2, spread=0)
    assert exact(m) == pytest.approx(5 * math.log(2)) == pytest.approx(3.465736, abs=1e-6)


def test_log_z_is_the_same_over_both_sides_and_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    m = binary(8, 6)
    pairs = torch.cat([-m.energy(v.expand(64, -1), all_states(6)) for v in all_states(8)]).logsumexp(0)
    monkeypatch.setattr(metrics, "AT_ONCE", 10)  # the last part is shorter
    assert over_hidden(m) == pytest.approx(float(pairs)) == pytest.approx(over_visible(m))


def test_log_z_of_gaussian_units_is_the_integral_over_the_plane() -> None:
    m, axis = gaussian(2, 3), torch.arange(-14, 14, 0.05, dtype=torch.float64)
    heights = (-m.free_energy(torch.cartesian_prod(axis, axis))).exp().sum() * 0.05**2
    assert exact(m) == pytest.approx(float(heights.log()), abs=1e-9)


@pytest.mark.parametrize("kind", [binary, gaussian])
def test_annealing_comes_within_three_deviations_of_the_truth(kind) -> None:
    """On 24 random machines of either kind; an error of 0.2 nats tells."""
    for seed in range(24):
        m = kind(8, 6, spread=0.7 if kind is binary else 0.35, seed=seed)
        estimate, error = annealed(m, torch.full((8,), 0.3, dtype=torch.float64), 600, 200)
        assert abs(estimate - exact(m)) < error < 0.2


def test_temperatures_are_those_of_the_paper() -> None:
    t = metrics.inverse_temperatures(14_500)
    assert len(t) == 14_501 and float(t[0]) == 0 and float(t[-1]) == 1 and bool((t.diff() > 0).all())
    assert float(t[500]) == pytest.approx(0.5) and float(t[4500]) == pytest.approx(0.9)


# -- chains ----------------------------------------------------------------------------------------


def test_gibbs_steps_are_in_detailed_balance_on_all_sixteen_states() -> None:
    """p(v) T(v, w) = p(w) T(w, v), and draws land where T says."""
    m, V, H = binary(4, 3, spread=1.0), all_states(4), all_states(3)
    given_v, given_h = m.inputs(V).sigmoid(), m.mean(m.field(H))
    up = torch.stack([(H * p + (1 - H) * (1 - p)).prod(1) for p in given_v])
    down = torch.stack([(V * p + (1 - V) * (1 - p)).prod(1) for p in given_h])
    T = up @ down
    flow = law(m)[:, None] * T
    torch.testing.assert_close(flow, flow.T, rtol=0, atol=1e-15)
    n = 20_000
    for start in (0, 5, 15):
        ends = m.gibbs(V[start].expand(n, -1), 1) @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)
        share = torch.bincount(ends.long(), minlength=16) / n
        assert ((share - T[start]).abs() < 4.5 * (T[start] * (1 - T[start]) / n).sqrt()).all()


def test_gaussian_units_have_their_field_as_mean_and_noise_of_one() -> None:
    field = torch.tensor([-3.0, 5.0], dtype=torch.float64).expand(20_000, -1)
    v = gaussian(2).draw(field)
    assert (v.mean(0) - field[0]).abs().max() < 4.5 / math.sqrt(20_000)
    assert (v.var(0) - 1).abs().max() < 4.5 * math.sqrt(2 / 20_000)


@pytest.mark.parametrize("objective", [CD(walk=60), PCD(walk=60, chains=50)])
def test_samples_have_the_machines_own_moments(objective: CD) -> None:
    n = 4000
    m = binary(6, 4, spread=1.0)
    s = playing(m, objective)
    shown = (objective.generate(s, objective.latent(s, n)).detach().flatten(1) + 1) / 2
    assert (shown.mean(0) - law(m) @ all_states(6)).abs().max() < 4.5 * 0.5 / math.sqrt(n)
    g = gaussian(2, 3, spread=1.0)
    s = playing(g, objective)
    g.location.fill_(3.0), g.scale.fill_(2.0)
    x = objective.generate(s, objective.latent(s, n)).detach()
    H = all_states(3)
    p = (H @ g.c + g.log_sum(g.field(H))).detach().softmax(0)
    means = 3 + 2 * g.field(H).detach()
    mean = p @ means
    spread = 4 * torch.eye(2) + (means - mean).T @ (p[:, None] * (means - mean))
    assert ((x.mean(0) - mean).abs() < 4.5 * (spread.diag() / n).sqrt()).all()
    torch.testing.assert_close(torch.cov(x.T), spread, rtol=0.15, atol=0.25)


# -- learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [CD(steps=2000), PCD(steps=2000, chains=4000)])
def test_long_chains_give_the_gradient_of_the_likelihood(objective: CD) -> None:
    """Of 4,000 rows: direction within cos > 0.99 and length within 5 %, of each parameter."""
    m = binary(8, 6)
    x = 2 * (torch.rand(4000, 8, dtype=torch.float64) < torch.linspace(0.1, 0.9, 8)).double().view(-1, 1, 1, 8) - 1
    s = playing(m, objective)
    log_z = (-m.free_energy(all_states(8))).logsumexp(0)
    expected = torch.autograd.grad(m.free_energy(m.encode(x)).mean() + log_z, list(m.parameters()))
    before = copy.deepcopy(list(m.parameters()))
    objective.step(s, x, None)
    for p, old, slope in zip(m.parameters(), before, expected, strict=True):
        moved = (old - p).detach()
        assert torch.cosine_similarity(moved.flatten(), slope.flatten(), 0) > 0.99
        assert float(moved.norm() / slope.norm()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("watched", [20, 64])
@pytest.mark.parametrize("objective", [CD(steps=3), PCD(steps=3, chains=70)])
def test_a_step_descends_the_gap_of_free_energies_that_it_logs(
    objective: CD, watched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its closed form equals autograd's at the same chain, and its loss is that gap, of the first rows alone."""
    monkeypatch.setattr(contrastive, "WATCHED", watched)
    m, x = gaussian(3, 4), torch.randn(50, 3, dtype=torch.float64)
    s, chain = playing(m, objective), {}
    walk = m.gibbs
    m.gibbs = lambda v, steps: chain.setdefault("end", walk(v, steps))  # type: ignore[method-assign]
    before = copy.deepcopy(m)
    logs = objective.step(s, x, None)
    data, model = before.free_energy(before.encode(x)), before.free_energy(chain["end"])
    slopes = torch.autograd.grad(data.mean() - model.mean(), list(before.parameters()))
    torch.testing.assert_close(logs["rbm/loss"], (data[:watched].mean() - model[:watched].mean()).detach())
    for p, old, slope in zip(m.parameters(), before.parameters(), slopes, strict=True):
        torch.testing.assert_close(old - slope, p)


def test_the_reconstruction_is_that_of_the_first_step() -> None:
    m = gaussian(3, 4, spread=0)
    x = torch.randn(90, 3, dtype=torch.float64)
    logs = CD().step(playing(m, CD()), x, None)
    torch.testing.assert_close(logs["rbm/reconstruction_error"], x[: contrastive.WATCHED].square().mean())


def test_decay_shrinks_weights_alone() -> None:
    ends = []
    for decay in (0.0, 0.25):
        m, objective = binary(), CD(decay=decay)
        s, first = playing(m, objective, lr=0.5), m.W.detach().clone()
        torch.manual_seed(1)
        objective.step(s, torch.ones(4, 1, 1, 8, dtype=torch.float64), None)
        ends.append(m)
    torch.testing.assert_close(ends[0].W - ends[1].W, 0.5 * 0.25 * first)
    assert torch.equal(ends[0].b, ends[1].b) and torch.equal(ends[0].c, ends[1].c)


def test_chains_go_on_from_where_they_were() -> None:
    """Through 2,000 updates at rate 0 persistent chains of one Gibbs step reach the machine's own law."""
    m = binary(6, 4, spread=1.0)
    objective, x = PCD(chains=4000), -torch.ones(4, 1, 1, 6, dtype=torch.float64)
    s = playing(m, objective, lr=1e-30)
    first = s.memory["chains"].clone()
    assert (first.mean(0) - m.b.detach().sigmoid()).abs().max() < 4.5 * 0.5 / math.sqrt(4000)
    for _ in range(60):
        objective.step(s, x, None)
    assert (s.memory["chains"].mean(0) - law(m) @ all_states(6)).abs().max() < 4.5 * 0.5 / math.sqrt(4000)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("objective", [CD, PCD])
def test_an_update_takes_as_many_gibbs_steps_as_it_says(objective: type[CD], steps: int) -> None:
    m, drawn = binary(), []
    hide = m.hide
    m.hide = lambda inputs: drawn.append(len(inputs)) or hide(inputs)  # type: ignore[method-assign]
    chosen = objective(steps=steps)
    chosen.step(playing(m, chosen), torch.ones(64, 1, 1, 8, dtype=torch.float64), None)
    assert drawn == [64] * steps


def test_samples_start_from_persistent_chains() -> None:
    objective = PCD(chains=3)
    s = playing(binary(), objective)
    s.memory["chains"].copy_(all_states(8)[[3, 80, 200]])
    starts = objective.start(s, 200) @ (2.0 ** torch.arange(7, -1, -1, dtype=torch.float64))
    assert set(starts.tolist()) == {3.0, 80.0, 200.0}


@pytest.mark.parametrize("left_out", [False, True])
def test_resuming_restores_the_chains_bit_for_bit(left_out: bool) -> None:
    whole, first, second = make("pcd"), make("pcd"), make("pcd")
    play(whole)
    play(first, until=27)
    saved, fresh = copy.deepcopy(first.state.state_dict()), second.state.memory["chains"].clone()
    assert not torch.equal(saved["memory"]["chains"], fresh)
    if left_out:
        saved["memory"]["chains"] = fresh
    second.state.load_state_dict(saved)
    play(second)
    assert whole.state.clock.step == STEPS and bool(differing(whole, second)) == left_out


def test_chains_are_as_many_as_rows_of_a_batch() -> None:
    assert make("pcd").state.memory["chains"].shape == (16, 2)


# -- coins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("common", [0, 1, 511])
def test_fifteen_bits_and_nine_common_ones_make_every_step_once(common: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each of 2^15 words comes once, so does each number of [0, 1) whose last 9 of 24 bits are the common."""
    words = torch.arange(2**15, dtype=torch.int16)[torch.randperm(2**15)]
    words[: 2**14] -= 2**15  # half of them with a first bit that must not count
    monkeypatch.setattr(torch.ops.aten, "random_", lambda out: out.copy_(words.view(torch.int64)))
    monkeypatch.setattr(torch, "randint", lambda high, size, **how: torch.tensor(common, **how))
    for dtype, low in product((torch.float32, torch.float64), (0.0, -1.0)):
        found = rbm.uniforms(torch.empty(128, 256, dtype=dtype), low).flatten().sort().values
        assert torch.equal(found, low + (1 - low) * (torch.arange(2**15, dtype=dtype) * 512 + common) / 2**24)


@pytest.mark.parametrize("size", [(3,), (128, 784)])
def test_coins_fall_as_they_should(size: tuple[int, ...]) -> None:
    """Bins of [0, 1), the last bits, and neighbours in all four places of a 64-bit word, within 4.5 deviations."""
    torch.manual_seed(0)
    draws = torch.stack([rbm.uniforms(torch.empty(size)).double() for _ in range(10_000 if len(size) == 1 else 4)])
    u, n = draws.flatten(), draws.numel()
    assert u.min() >= 0 and u.max() < 1
    for among, bins, high in ((u, 512, 1), (draws.flatten(1)[:, 0] * 2**24 % 512, 16, 512)):
        few = len(among) / bins
        chi2 = ((torch.histc(among, bins, 0, high) - few) ** 2 / few).sum()
        assert chi2 < bins + 4.5 * math.sqrt(2 * bins) or few < 50
    for lag in range(1, 5):
        assert ((u[lag:] - 0.5) * (u[:-lag] - 0.5)).mean().abs() < 4.5 / 12 / math.sqrt(n)
    share = torch.tensor([0.0, 1.0]).expand(50_000, 2)
    assert torch.equal(rbm.coins(share), share)


# -- data and units --------------------------------------------------------------------------------


def test_pixels_are_coins_thrown_anew() -> None:
    m, x = binary(3), torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).expand(5000, 1, 1, 3)
    v, again = m.encode(x), m.encode(x)
    assert set(v.unique().tolist()) == {0.0, 1.0} and not torch.equal(v, again)
    assert v[:, 0].max() == 0 and v[:, 2].min() == 1 and float(v[:, 1].mean()) == pytest.approx(0.5, abs=0.03)
    torch.testing.assert_close(m.decode(torch.tensor([[0.0, 0.5, 1.0]])), torch.tensor([[[[-1.0, 0.0, 1.0]]]]))


def test_pixels_that_are_cut_are_not_drawn() -> None:
    m, x = Cut(Spec((1, 1, 4), "image"), 3), torch.tensor([-1.0, -0.2, 0.2, 1.0]).expand(10, 1, 1, 4)
    for states in (m.encode(x), m.expect(x)):
        assert torch.equal(states, torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(10, 4))
    with torch.no_grad():
        m.begin(x)
    torch.testing.assert_close(m.b.sigmoid(), torch.tensor([0.05, 0.05, 1.05, 1.05]) / 1.1, check_dtype=False)


def test_columns_come_back_from_their_states() -> None:
    m, x = gaussian(2).float(), torch.tensor([5.0, -1.0]) + torch.tensor([3.0, 0.1]) * torch.randn(1000, 2)
    m.begin(x)
    v = m.encode(x)
    torch.testing.assert_close(v.std(0, correction=0), torch.full((2,), 1 / m.sd))
    torch.testing.assert_close(m.decode(v), x)


def test_without_weights_units_have_the_means_of_their_data() -> None:
    m = binary(4, spread=0)
    share = torch.tensor([0.0, 0.3, 0.5, 1.0], dtype=torch.float64)
    m.begin((2 * share - 1).expand(9, 1, 1, 4))
    torch.testing.assert_close(m.mean(m.field(torch.ones(1, 6, dtype=torch.float64)))[0], (share + 0.05) / 1.1)
    run = make("cd", "dataset=digits")
    assert float(run.state.average["rbm"].b.std()) > 1


@pytest.mark.parametrize("kind", ["table", "series"])
def test_binary_units_refuse_what_is_no_image(kind: str) -> None:
    with pytest.raises(ValueError, match="choose model=rbm"):
        Bernoulli(Spec((3,), kind))


@pytest.mark.parametrize(
    "make_it", [lambda: CD(steps=0), lambda: CD(walk=-1), lambda: CD(decay=-0.1), lambda: PCD(chains=0)]
)
def test_numbers_out_of_range_are_refused(make_it) -> None:
    with pytest.raises(ValueError, match="="):
        make_it()


def test_first_weights() -> None:
    torch.manual_seed(0)
    spec = Spec((1, 28, 28), "image")
    assert float(rbm.suited(spec).W.detach().std()) == pytest.approx(0.01, rel=0.02)
    W, reach = rbm.suited(spec, spread=None).W.detach(), math.sqrt(6 / 1284)
    assert float(W.abs().max()) == pytest.approx(reach, rel=1e-3) and float(W.std()) == pytest.approx(
        reach / math.sqrt(3), rel=0.01
    )


# -- metrics and pictures --------------------------------------------------------------------------


def test_the_pseudo_likelihood_is_the_product_of_conditionals() -> None:
    m = binary(5, 4)
    p, V = law(m), all_states(5)
    by_hand = []
    for k, v in enumerate(V):
        others = [(torch.where(torch.arange(5) == i, 1 - v, v) == V).all(1).nonzero().item() for i in range(5)]
        by_hand.append(sum(math.log(p[k] / (p[k] + p[other])) for other in others))
    assert pseudo_likelihood(m, V, 100) == pytest.approx(sum(by_hand) / 32)
    picked = [pseudo_likelihood(m, V, 2) for _ in range(400)]
    assert sum(picked) / 400 == pytest.approx(sum(by_hand) / 32, rel=0.03)


def drawn(m: RBM, rows: Tensor) -> tuple[Draw, Source]:
    spec = Spec(tuple(m.shape), "image" if m.binary else "table")
    return Draw(CD(walk=5), playing(m, CD()), torch.device("cpu")), Source(spec, rows)


def test_log_likelihoods_of_all_states_sum_to_one() -> None:
    m, V = binary(5, 4), all_states(5)
    rows = (2 * V - 1).view(-1, 1, 1, 5)
    total = sum(math.exp(Likelihood()(*drawn(m, row[None])).scalars["log_likelihood"]) for row in rows)
    assert total == pytest.approx(1)


def test_densities_of_columns_integrate_to_one_in_their_own_scale() -> None:
    m, axis = gaussian(1, 3), torch.arange(-40, 60, 0.5, dtype=torch.float64)
    m.location.fill_(3.0), m.scale.fill_(4.0)
    draw, _ = drawn(m, axis[:, None])
    found = [Likelihood()(draw, Source(Spec((1,), "table"), x.view(1, 1))).scalars["log_likelihood"] for x in axis]
    assert sum(map(math.exp, found)) * 0.5 == pytest.approx(1, abs=1e-6)


def test_a_large_machine_is_annealed_and_says_how_sure_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    m, rows = binary(8, 6), (2 * all_states(8) - 1).view(-1, 1, 1, 8)
    truth = Likelihood()(*drawn(m, rows)).scalars
    monkeypatch.setattr(metrics, "ENUMERATED", 5)
    found = Likelihood(temperatures=600)(*drawn(m, rows)).scalars
    assert truth["log_z_error"] == 0 < found["log_z_error"] < 0.3 and found["log_z"] != truth["log_z"]
    for name in ("log_likelihood", "log_likelihood_train"):
        assert abs(found[name] - truth[name]) < found["log_z_error"]
    assert found["pseudo_likelihood"] == pytest.approx(truth["pseudo_likelihood"])


def test_units_without_weights_are_the_baseline() -> None:
    share = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    rows = 2 * (torch.rand(5000, 3, dtype=torch.float64) < share).double().view(-1, 1, 1, 3) - 1
    mean = (rows.flatten(1).mean(0) + 1) / 2
    kept = (mean + 0.05) / 1.1
    expected = (mean * kept.log() + (1 - mean) * (1 - kept).log()).sum()
    found = Likelihood(n=5000)(*drawn(binary(3), rows)).scalars["log_likelihood_independent"]
    assert found == pytest.approx(float(expected))


def test_probes_of_machines_find_nothing_in_other_games() -> None:
    run = build(compose("dataset=digits", "probes=none", "model.width=4"))
    draw = Draw(run.objective, run.state, run.source.device)
    for probe in (Likelihood(), Filters(), Chains()):
        found = probe(draw, run.source)
        assert not found.scalars and not found.pictures


def test_filters_are_grey_where_weights_are_nothing() -> None:
    W = torch.tensor([[0.0, 0.5, -1.0], [4.0, 0.0, 2.0]]).view(2, 1, 1, 3)
    assert shaded(W).flatten().tolist() == [128, 191, 0, 255, 128, 191]


def test_chains_begin_with_real_images_and_end_where_the_machine_is() -> None:
    """One whose weights are nothing forgets the image at once: each picture after it shows sigmoid(b)."""
    m = Bernoulli(Spec((1, 2, 2), "image"), 3, 0.0).requires_grad_(False)
    m.b.copy_(torch.tensor([40.0, -40.0, 0.0, 40.0]))
    rows = torch.tensor([0, 255, 0, 255], dtype=torch.uint8).view(1, 1, 2, 2)
    picture = Chains(n=1, columns=2, steps=3)(*drawn(m, rows)).pictures["chains"]
    size = (picture.shape[1] - 2) // 3
    tiles = picture[2:-2, 2:-2, 0].float().unfold(1, size - 2, size).unbind(1)
    corners = [[int(t[0, 0]), int(t[0, -1]), int(t[-1, 0]), int(t[-1, -1])] for t in tiles]
    assert corners[0] == [0, 255, 0, 255] and corners[1:] == [[255, 0, 128, 255]] * 2


def test_a_machine_learns_the_embedded_digits() -> None:
    """Ten hidden units, 1,500 updates: three nats better than pixels that do not see each other.

    Over binarisations of the held-out rows, of which it judges by one, the gain has a deviation of 0.09.
    """
    words = ("loss=pcd", "dataset.size=8", "train.held_out=0.2", "model.rbm.hidden=10", "probes=none")
    run = build(compose(*words, "train.steps=1500", "train.ema_halflife=0"))
    play(run)
    found = Likelihood()(Draw(run.objective, run.state, run.source.device), run.source).scalars
    assert found["log_likelihood"] > found["log_likelihood_independent"] + 2.7


@pytest.mark.parametrize(("given", "finite"), [((), True), (("optimizer.lr=0.1",), False)])
def test_gaussian_units_bear_their_own_rate_on_images_and_not_that_of_binary_ones(
    given: tuple[str, ...], finite: bool
) -> None:
    words = ("loss=cd", "model=rbm_gaussian", "probes=none", "train.steps=60")
    run = build(compose("dataset=digits", *words, *given))
    play(run)
    assert all(bool(p.isfinite().all()) for p in run.state.nets["rbm"].parameters()) == finite


def test_softplus_is_that_of_torch_also_far_out_and_has_its_gradient() -> None:
    """To a rounding of 1 near 0 and of x where x is large; without overflow."""
    x = torch.tensor([-1e4, -50.0, -1.0, 0.0, 1.0, 30.0, 39.0, 41.0, 1e4], requires_grad=True)
    ours = rbm.softplus(x)
    torch.testing.assert_close(ours, F.softplus(x), rtol=1e-6, atol=2e-7)
    (slope,) = torch.autograd.grad(ours.sum(), x)
    torch.testing.assert_close(slope, x.sigmoid().detach(), rtol=1e-6, atol=1e-6)
