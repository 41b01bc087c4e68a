"""Payoffs against closed forms: two unit Gaussians m apart and the optimal logit between them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from gan_runner.losses import payoffs
from gan_runner.losses.payoffs import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Smoothed, Wasserstein

ALL = [Minimax(), NonSaturating(), Smoothed(), LeastSquares(), Hinge(), Wasserstein(), Relativistic()]
names = [type(p).__name__ for p in ALL]

# m: JS, L_D, L_G saturating, L_G non-saturating, KL(q||p) - 2 JS; by quadrature
ORACLE = {
    0.5: (0.030311, 1.325672, -0.662836, 0.787836, 0.064377),
    1.0: (0.111421, 1.163451, -0.581726, 1.081726, 0.277157),
    2.0: (0.336831, 0.712633, -0.356316, 2.356316, 1.326338),
    3.0: (0.526777, 0.332740, -0.166370, 4.666370, 3.446445),
}


def optimal_scores(m: float, n: int = 200_000) -> tuple[Tensor, Tensor]:
    """Scores of n real N(0, 1) and n generated N(m, 1) under the optimal logit m^2/2 - m x."""
    g = torch.Generator().manual_seed(0)
    real = torch.randn(n, generator=g, dtype=torch.float64)
    fake = torch.randn(n, generator=g, dtype=torch.float64) + m
    return m * m / 2 - m * real, m * m / 2 - m * fake


def error(*terms: Tensor) -> float:
    """Standard error of a sum of means of independent terms."""
    return math.sqrt(sum(float(t.var()) / len(t) for t in terms))


@pytest.mark.parametrize("m", ORACLE)
def test_optimal_discriminator_reaches_the_closed_form(m: float) -> None:
    real, fake = optimal_scores(m)
    js, loss_d, saturating, non_saturating, log_d = ORACLE[m]
    sp = torch.nn.functional.softplus
    tolerance = 4 * error(sp(-real), sp(fake))
    assert float(Minimax().discriminator(real, fake)) == pytest.approx(loss_d, abs=tolerance)
    assert float(Minimax().generator(real, fake)) == pytest.approx(saturating, abs=4 * error(sp(fake)))
    assert float(NonSaturating().generator(real, fake)) == pytest.approx(non_saturating, abs=4 * error(sp(-fake)))
    assert Minimax().summary(real, fake)["js_lower_bound"] == pytest.approx(js, abs=tolerance)
    plug_in = float(sp(-fake).mean() + sp(-real).mean()) - 2 * math.log(2)
    assert plug_in == pytest.approx(log_d, abs=4 * error(sp(-fake), sp(-real)))


def test_values_where_the_discriminator_is_blind() -> None:
    zero = torch.zeros(8)
    assert float(Minimax().discriminator(zero, zero)) == pytest.approx(2 * math.log(2))
    assert float(Minimax().generator(zero, zero)) == pytest.approx(-math.log(2))
    assert float(NonSaturating().generator(zero, zero)) == pytest.approx(math.log(2))
    assert float(Relativistic().discriminator(zero, zero)) == pytest.approx(math.log(2))
    assert float(Hinge().discriminator(zero, zero)) == 2
    half = zero + 0.5
    assert float(LeastSquares().discriminator(half, half)) == pytest.approx(0.25)
    assert float(LeastSquares().generator(half, half)) == pytest.approx(0.125)


def test_values_on_unequal_scores() -> None:
    """One hand-made pair in which real, fake, signs and factors are all different."""
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 3.0])
    sp = lambda t: math.log1p(math.exp(t))  # noqa: E731
    assert float(Minimax().discriminator(real, fake)) == pytest.approx((sp(-2) + sp(0)) / 2 + (sp(-1) + sp(3)) / 2)
    assert float(Minimax().generator(real, fake)) == pytest.approx(-(sp(-1) + sp(3)) / 2)
    assert float(NonSaturating().generator(real, fake)) == pytest.approx((sp(1) + sp(-3)) / 2)
    assert float(LeastSquares().discriminator(real, fake)) == pytest.approx(0.25 * (1 + 1) + 0.25 * (1 + 9))
    assert float(LeastSquares().generator(real, fake)) == pytest.approx(0.25 * (4 + 4))
    assert float(Hinge().discriminator(real, fake)) == pytest.approx(0.5 * (0 + 1) + 0.5 * (0 + 4))
    assert float(Hinge().generator(real, fake)) == pytest.approx(-1)
    assert float(Wasserstein().discriminator(real, fake)) == pytest.approx(1 - 1)
    assert float(Wasserstein().generator(real, fake)) == pytest.approx(-1)
    assert float(Relativistic().discriminator(real, fake)) == pytest.approx((sp(-3) + sp(3)) / 2)
    assert float(Relativistic().generator(real, fake)) == pytest.approx((sp(3) + sp(-3)) / 2)
    shifted = fake - 1
    assert float(Relativistic().discriminator(real, shifted)) == pytest.approx((sp(-4) + sp(2)) / 2)
    assert float(Relativistic().generator(real, shifted)) == pytest.approx((sp(4) + sp(-2)) / 2)


@pytest.mark.parametrize("payoff", ALL, ids=names)
@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_gradients_match_finite_differences(payoff: payoffs.Payoff, side: str) -> None:
    g = torch.Generator().manual_seed(1)
    real = torch.randn(5, generator=g, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(5, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(getattr(payoff, side), (real, fake))


def test_generator_slopes() -> None:
    """Saturating -sigma(d), non-saturating -(1 - sigma(d)), Wasserstein and hinge -1: all push scores up."""
    fake = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    real = torch.zeros(9, dtype=torch.float64)

    def slope(payoff: payoffs.Payoff) -> Tensor:
        return torch.autograd.grad(payoff.generator(real, fake), fake)[0] * len(fake)

    torch.testing.assert_close(slope(Minimax()), -fake.sigmoid().detach())
    torch.testing.assert_close(slope(NonSaturating()), -(1 - fake.sigmoid().detach()))
    torch.testing.assert_close(slope(Wasserstein()), -torch.ones_like(real))
    torch.testing.assert_close(slope(Hinge()), -torch.ones_like(real))
    torch.testing.assert_close(slope(Relativistic()), -(1 - fake.sigmoid().detach()))


@pytest.mark.parametrize("payoff", ALL, ids=names)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_at_extreme_scores(payoff: payoffs.Payoff, dtype: torch.dtype) -> None:
    real, fake = torch.tensor([1e4, -1e4]).to(dtype).float(), torch.tensor([-1e4, 1e4]).to(dtype).float()
    assert payoff.discriminator(real, fake).isfinite()
    assert payoff.generator(real, fake).isfinite()


def test_wasserstein_estimate_has_the_right_sign() -> None:
    """Positive when the critic ranks real above generated."""
    found = Wasserstein().summary(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0]))
    assert found["wasserstein_estimate"] == 3.0


def test_accuracies_count_both_sides() -> None:
    found = Minimax().summary(torch.tensor([1.0, 1.0, -1.0, 2.0]), torch.tensor([-1.0, 1.0, -3.0, -2.0]))
    assert (found["accuracy_real"], found["accuracy_fake"]) == (0.75, 0.75)


# -- one-sided label smoothing ---------------------------------------------------------------------


def test_smoothing_moves_the_optimum_to_045() -> None:
    """Where p = q, D = 0.9 / 2 minimises, at -0.9 log 0.45 - 1.1 log 0.55 = 1.376278."""
    best = torch.full((3,), math.log(0.45 / 0.55), dtype=torch.float64, requires_grad=True)
    loss = Smoothed(0.9).discriminator(best, best)
    assert float(loss.detach()) == pytest.approx(1.376278, abs=1e-6)
    assert torch.autograd.grad(loss, best)[0].abs().max() < 1e-12
    found = Smoothed(0.9).summary(best.detach() + 0.01, best.detach() - 0.01)
    assert (found["accuracy_real"], found["accuracy_fake"]) == (1, 1)


def test_smoothing_touches_real_labels_alone() -> None:
    """Cross-entropy against 0.9 for real and 0 for generated samples; the generator and label 1 are the plain game."""
    real, fake = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-1.0, 3.0])
    expected = bce(real, torch.full_like(real, 0.9)) + bce(fake, torch.zeros_like(fake))
    torch.testing.assert_close(Smoothed(0.9).discriminator(real, fake), expected)
    torch.testing.assert_close(Smoothed(1.0).discriminator(real, fake), NonSaturating().discriminator(real, fake))
    assert Smoothed().generator(real, fake) == NonSaturating().generator(real, fake)
    assert Smoothed().summary(real, fake)["js_lower_bound"] == NonSaturating().summary(real, fake)["js_lower_bound"]


@pytest.mark.parametrize("label", [0.0, 1.1])
def test_labels_out_of_range_are_named(label: float) -> None:
    with pytest.raises(ValueError, match=f"^label={label} is not in"):
        Smoothed(label)
