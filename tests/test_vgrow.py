"""Variational gradient flow: paces from their divergences, analytic flows, and the games that one step equals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gan_runner import optimizers
from gan_runner.build import build
from gan_runner.datasets.spec import Spec
from gan_runner.draw import Draw
from gan_runner.losses import vgrow
from gan_runner.losses.payoffs import Minimax, NonSaturating, Payoff, Wasserstein
from gan_runner.losses.vgrow import JS, KL, Jeffrey, LogD, Pace, ReverseKL, VGrow
from gan_runner.metrics.chamfer import Chamfer
from gan_runner.models import mlp
from gan_runner.state import State
from tests.conftest import compose
from tests.test_contract import play
from tests.test_state import Discriminator, Generator

DIVERGENCES: dict[type[Pace], Callable[[Tensor], Tensor]] = {
    KL: lambda r: r * r.log(),
    JS: lambda r: r * r.log() - (r + 1) * ((r + 1) / 2).log(),
    LogD: lambda r: (r + 1) * (r + 1).log(),
    Jeffrey: lambda r: (r - 1) * r.log(),
    ReverseKL: lambda r: -r.log(),
}


def state(bound: float | None = None) -> State:
    torch.manual_seed(0)
    nets: dict[str, nn.Module] = {"generator": Generator(), "discriminator": Discriminator()}
    nets["generator"].bound = bound  # type: ignore[assignment]
    return State.create(nets, VGrow.players, ("generator",), optimizers.Adam(1e-2))


def game(**settings) -> VGrow:
    return VGrow(NonSaturating(), **settings)


@pytest.mark.parametrize("pace", DIVERGENCES)
def test_a_pace_is_r_times_the_second_derivative_of_its_divergence(pace: type[Pace]) -> None:
    score = torch.linspace(-4, 4, 33, dtype=torch.float64)
    r = (-score).exp().requires_grad_()
    (first,) = torch.autograd.grad(DIVERGENCES[pace](r).sum(), r, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), r)
    torch.testing.assert_close(pace()(score), r.detach() * second)


@pytest.mark.parametrize("pace", DIVERGENCES)
def test_no_pace_overflows(pace: type[Pace]) -> None:
    assert pace()(torch.tensor([-1e4, 1e4])).isfinite().all()


class Exact(nn.Module):
    """log p/q for p = N(0, 1) and q = N(m, 1), both in one column."""

    def __init__(self, m: float):
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        return (self.m**2 / 2 - self.m * x).squeeze(1)


def test_the_flow_of_kl_between_gaussians_is_exact() -> None:
    """The mean shrinks by 1 - eta in each step, and the shape stays."""
    samples, m = torch.randn(500, 1, dtype=torch.float64) + 2, 2.0
    shape = samples - samples.mean()
    for _ in range(5):
        nets = {"discriminator": Exact(m), "generator": nn.Identity()}
        samples, m = game(divergence=KL(), eta=0.3).flow(nets, samples, 100), 0.7 * m
        samples = samples - samples.mean() + m  # the exact score of the next step needs the exact mean
        torch.testing.assert_close(samples - m, shape)
    nets = {"discriminator": Exact(1.0), "generator": nn.Identity()}
    moved = game(divergence=KL(), eta=0.25).flow(nets, torch.tensor([[1.0], [3.0]]), 1)
    torch.testing.assert_close(moved, torch.tensor([[0.75], [2.75]]))


@pytest.mark.parametrize(
    ("pace", "payoff"), [(KL, Wasserstein()), (JS, Minimax()), (LogD, NonSaturating())], ids=["kl", "js", "logd"]
)
def test_one_step_is_the_gradient_of_a_game(pace: type[Pace], payoff: Payoff) -> None:
    """Moving samples by eta and learning where they went is eta times the gradient of the game's generator."""
    s, eta = state(), 0.3
    G, D, z = s.nets["generator"].eval(), s.nets["discriminator"], torch.randn(20, 2)
    with torch.no_grad():
        samples = G(z)
    target = game(divergence=pace(), eta=eta).flow(s.nets, samples, 7)
    lesson, _ = VGrow.lesson(s.nets, z, target)
    score = D(G(z))
    weights = list(G.parameters())
    mine = torch.autograd.grad(lesson, weights)
    theirs = torch.autograd.grad(payoff.generator(score, score), weights)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, eta * b, rtol=1e-3, atol=1e-6)


def test_samples_of_a_pack_share_its_pace() -> None:
    packed = mlp.Discriminator(Spec((2,), "table"), hidden=[8], pack=2)
    x = torch.randn(6, 2)
    alone = torch.cat([game(divergence=JS()).velocity(packed, pair) for pair in x.split(2)])
    torch.testing.assert_close(game(divergence=JS()).velocity(packed, x), alone)


@pytest.mark.parametrize("bound", [None, 1.0])
def test_samples_stay_within_what_the_generator_can_make(bound: float | None) -> None:
    s = state(bound)
    moved = game(eta=1e4).flow(s.nets, torch.randn(30, 2).clamp(-1, 1), 30)
    assert (float(moved.abs().max()) <= 1) == (bound is not None)


def test_a_generator_is_asked_to_learn_nothing_but_how_samples_moved() -> None:
    """Batch norm is in the mode of the lessons: of samples that have not moved there is nothing to learn."""
    s, z = state(), torch.randn(8, 2)
    still = game().sample_pool(s, z, 8)
    lesson, _ = game().lesson(s.nets, z, still)
    assert lesson == 0
    unlike, _ = game().lesson(s.nets, z.flip(0)[:4], still.flip(0)[:4])
    assert unlike > 0  # other statistics: the test can fail


def test_moving_samples_touches_no_network() -> None:
    s = state()
    before = {k: v.clone() for k, v in s.nets.state_dict().items()}
    game().flow(s.nets, torch.randn(8, 2), 4)
    assert all(torch.equal(v, before[k]) for k, v in s.nets.state_dict().items())
    assert all(p.grad is None for p in s.nets.parameters()) and all(net.training for net in s.nets.children())


def test_who_moves_how_often() -> None:
    """inner * n_critic discriminator steps, passes * pool lessons; batch statistics see the pool and the lessons."""
    s, g = state(), game(inner=3, n_critic=2, pool=4, passes=[[0, 1], [5, 2]])
    counts = {name: 0 for name in s.players}
    for name, player in s.players.items():
        step = player.move

        def move(grads, name=name, step=step) -> None:
            counts[name] += 1
            step(grads)

        player.move = move
    assert g.batches(s.clock) == 6
    logs = g.step(s, torch.randn(6 * 8, 2), g.prepare(s))
    assert counts == {"discriminator": 6, "generator": 4}
    assert int(s.nets["generator"].net[1].num_batches_tracked) == 4 + 4
    assert {"generator/loss", "generator/shift", "discriminator/loss", "score/real", "score/fake"} <= logs.keys()
    s.clock.step = 4
    assert g.prepare(s) == 1
    s.clock.step = 5
    assert g.prepare(s) == 2


def test_the_discriminator_meets_samples_that_have_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    s, met = state(), []
    monkeypatch.setattr(VGrow, "criticise", lambda self, s, real, fake: met.append(fake) or {"score/fake": fake})
    monkeypatch.setattr(VGrow, "flow", lambda self, nets, samples, batch: samples + 100)
    game(inner=3).step(s, torch.randn(24, 2), 1)
    assert [round(float(fake.mean()) / 100) for fake in met] == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"eta": 0.0}, "eta=0.0"),
        ({"inner": 0}, "inner=0"),
        ({"pool": 0}, "pool=0"),
        ({"passes": [[1, 1]]}, "passes="),
        ({"passes": [[0, 0]]}, "passes="),
    ],
)
def test_settings_out_of_range(settings: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        game(**settings)


def test_indices_differ() -> None:
    index = vgrow.some(torch.zeros(10, 2), 6)
    assert len(set(index.tolist())) == 6


@pytest.mark.slow
def test_the_four_flows_fall_tenfold_and_together() -> None:
    """Two circles by each divergence (Gao et al. 2022, 2-D): the Chamfer distance from the data, from start to end."""
    ends = []
    for loss in ("vgrow_kl", "vgrow_js", "vgrow_logd", "vgrow_jeffrey"):
        run = build(compose("experiment=vgrow_circles", f"loss={loss}", "train.threads=1"))
        draw, distance = Draw(run.objective, run.state, run.source.device), Chamfer()
        start = distance(draw, run.source).scalars["chamfer"]
        play(run)
        ends.append(distance(draw, run.source).scalars["chamfer"])
        assert ends[-1] < start / 10
    assert max(ends) < 1.1 * min(ends)
