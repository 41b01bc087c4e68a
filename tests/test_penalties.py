"""Penalties of critics whose slope is known exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_runner.losses.constraints import ClipWeights
from gan_runner.losses.penalties import POINTS, Drift, GradientNorm, between, noisy
from gan_runner.state import Player


def linear(*weights: float) -> nn.Module:
    """f(x) = w.x + 1: its slope is w everywhere."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(weights), 1), nn.Flatten(0))
    net[1].weight.data = torch.tensor([weights])
    net[1].bias.data.fill_(1.0)
    return net


class Norm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).norm(dim=1)


class Quadratic(nn.Module):
    """f(x) = |x|^2 / 2: its slope is x."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).square().sum(1) / 2


REAL, FAKE = torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.tensor([[-1.0, 1.0], [4.0, 0.0]])


def test_wgan_gp_of_a_linear_critic_is_160() -> None:
    """|w| = 5, so 10 (5 - 1)^2 = 160, and its gradient is 2 * 10 (|w| - 1) w / |w|."""
    critic = linear(3.0, 4.0)
    penalty = GradientNorm(at="between", target=1.0, weight=10.0)(critic, REAL, FAKE)
    assert float(penalty.detach()) == pytest.approx(160.0, abs=1e-4)
    (slope,) = torch.autograd.grad(penalty, critic[1].weight)
    torch.testing.assert_close(slope, torch.tensor([[48.0, 64.0]]))


def test_norm_is_over_the_whole_sample() -> None:
    """The same 160 when the two entries are pixels of an image."""
    image = REAL.view(2, 1, 1, 2)
    assert float(GradientNorm()(linear(3.0, 4.0), image, FAKE.view(2, 1, 1, 2))) == pytest.approx(160.0, abs=1e-4)


def test_a_critic_of_slope_one_is_free() -> None:
    assert float(GradientNorm()(Norm(), REAL, FAKE)) == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize(("at", "x"), [("real", REAL), ("fake", FAKE)])
def test_r1_and_r2_of_a_quadratic(at: str, x: Tensor) -> None:
    """gamma / 2 E |grad f|^2 = weight * mean |x|^2, on the side that is named."""
    penalty = GradientNorm(at=at, target=0.0, weight=0.5)(Quadratic(), REAL, FAKE)
    assert float(penalty) == pytest.approx(0.5 * float(x.square().sum(1).mean()))


def test_interpolates_share_one_mix_per_sample_and_differ_between_samples() -> None:
    real, fake = torch.ones(64, 3, 4, 4), torch.zeros(64, 3, 4, 4)
    mixed = between(real, fake)
    per_sample = mixed.flatten(1)
    assert torch.equal(per_sample.amin(1), per_sample.amax(1))
    assert len(per_sample[:, 0].unique()) == 64
    assert float(mixed.min()) >= 0 and float(mixed.max()) <= 1
    assert float(per_sample[:, 0].mean()) == pytest.approx(0.5, abs=0.15)


def test_dragan_stays_near_the_data() -> None:
    moved = noisy(REAL, FAKE) - REAL
    assert float(moved.min()) >= 0 and float(moved.max()) <= 0.5 * float(REAL.std())
    assert not torch.equal(noisy(REAL, FAKE), REAL)


def test_a_flat_critic_has_a_finite_gradient() -> None:
    """The norm at slope 0 must not send NaN into the weights."""
    critic = linear(0.0, 0.0)
    (slope,) = torch.autograd.grad(GradientNorm()(critic, REAL, FAKE), critic[1].weight)
    assert slope.isfinite().all()


@pytest.mark.parametrize("at", POINTS)
def test_double_backward_matches_finite_differences(at: str) -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0)).double()
    weight = critic[0].weight

    def penalty(w: Tensor) -> Tensor:
        torch.manual_seed(1)
        bound = lambda x: torch.func.functional_call(critic, {"0.weight": w}, (x,))  # noqa: E731
        return GradientNorm(at=at)(bound, REAL.double(), FAKE.double())

    assert torch.autograd.gradcheck(penalty, (weight.detach().clone().requires_grad_(),))


def test_inputs_are_detached() -> None:
    """A penalty never reaches the generator through its samples."""
    fake = FAKE.clone().requires_grad_()
    penalty = GradientNorm(at="fake", target=0.0)(Quadratic(), REAL, fake)
    assert torch.autograd.grad(penalty, fake, allow_unused=True)[0] is None


def test_drift_is_the_mean_square_score_of_real_samples() -> None:
    """f = 3 x + 4 y + 1 scores them 12 and 13; the generated ones do not matter."""
    critic = linear(3.0, 4.0)
    assert float(Drift(0.001)(critic, REAL, FAKE).detach()) == pytest.approx(0.001 * (12**2 + 13**2) / 2)
    (slope,) = torch.autograd.grad(Drift(0.5)(critic, REAL, FAKE), critic[1].bias)
    assert float(slope) == pytest.approx((12 + 13) / 2)


def test_clipping_reaches_biases_and_gains() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    player = Player([net], torch.optim.SGD(net.parameters(), lr=0.1))
    ClipWeights(0.01)(player)
    assert max(float(p.abs().max()) for p in net.parameters()) <= 0.01
    assert float(net[1].weight.abs().min()) == pytest.approx(0.01)


@pytest.mark.parametrize("settings", [{"at": "nowhere"}, {"weight": -1.0}, {"target": -1.0}])
def test_wrong_settings_are_named(settings: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        GradientNorm(**settings)


def test_a_negative_drift_is_refused() -> None:
    with pytest.raises(ValueError, match="weight=-1"):
        Drift(weight=-1.0)
