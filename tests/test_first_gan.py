"""The game of Goodfellow et al. (2014) where everything is known: data N(0, 1), samples N(m, 1)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gan_runner.datasets.spec import Spec
from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.payoffs import Minimax, NonSaturating, Payoff
from gan_runner.losses.penalties import GradientNorm
from gan_runner.models import mlp, roles
from gan_runner.state import State
from tests.test_payoffs import ORACLE

shifts = pytest.mark.parametrize("m", ORACLE)
STEP = 1e-3
GRID = torch.arange(-12, 16, STEP, dtype=torch.float64)


def density(mean: float) -> Tensor:
    return (-(GRID - mean).square() / 2).exp() / math.sqrt(2 * math.pi)


def js(m: float) -> float:
    """The Jensen-Shannon divergence of N(0, 1) and N(m, 1), by quadrature."""
    p, q = density(0), density(m)
    middle = (p + q) / 2
    return float((p * (p / middle).log() + q * (q / middle).log()).sum() * STEP) / 2


def log_d(m: float) -> float:
    """What the "log D trick" minimises: KL(q || p) - 2 JS."""
    return m * m / 2 - 2 * js(m)


def quantiles(n: int = 100_001) -> Tensor:
    """Points of which each stands for 1 / n of N(0, 1)."""
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


@shifts
def test_a_trained_linear_discriminator_reaches_the_optimum(m: float) -> None:
    """The best logit is linear, so logistic regression on samples ends within 0.01 of L_D*, and of the logit."""
    g = torch.Generator().manual_seed(0)
    real = torch.randn(20_000, 1, generator=g, dtype=torch.float64)
    fake = torch.randn(20_000, 1, generator=g, dtype=torch.float64) + m
    D = mlp.Discriminator(Spec((1,), "table"), hidden=[]).double()
    climb = torch.optim.LBFGS(D.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        climb.zero_grad()
        value = Minimax().discriminator(D(real), D(fake))
        value.backward()
        return value

    climb.step(loss)
    assert float(loss()) == pytest.approx(ORACLE[m][1], abs=0.01)
    assert float(D.head.weight) == pytest.approx(-m, rel=0.1)


@shifts
@pytest.mark.parametrize(("payoff", "divergence"), [(Minimax(), lambda m: 2 * js(m)), (NonSaturating(), log_d)])
def test_the_gradient_of_the_generator_is_that_of_its_divergence(payoff: Payoff, divergence, m: float) -> None:
    """With D held at its optimum, dL_G / dm is d/dm of 2 JS, or of KL - 2 JS; and so in closed form."""
    shift = torch.tensor(m, dtype=torch.float64, requires_grad=True)
    logit = m * m / 2 - m * (quantiles() + shift)
    (found,) = torch.autograd.grad(payoff.generator(logit, logit), shift)
    assert float(found) == pytest.approx((divergence(m + 1e-4) - divergence(m - 1e-4)) / 2e-4, abs=1e-4)
    sigma = torch.sigmoid(m * m / 2 - m * GRID)
    pull = sigma if isinstance(payoff, Minimax) else 1 - sigma
    assert float(found) == pytest.approx(float((density(m) * m * pull).sum() * STEP), abs=1e-4)
    assert found > 0


def test_both_generators_point_the_same_way() -> None:
    """Sample by sample the saturating gradient is D / (1 - D) times the other."""
    fake = torch.linspace(-6, 6, 25, dtype=torch.float64, requires_grad=True)
    saturating, trick = (torch.autograd.grad(p.generator(fake, fake), fake)[0] for p in (Minimax(), NonSaturating()))
    torch.testing.assert_close(saturating / trick, fake.detach().exp())


class Quadratic(roles.Discriminator):
    """A score of degree two, of which the best logit between Gaussians is one."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), nn.Linear(2, 1))

    def features(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.square()], 1)


@pytest.mark.parametrize("payoff", [Minimax(), NonSaturating()])
def test_a_gaussian_is_learnt(payoff: Payoff) -> None:
    """An affine generator against a quadratic discriminator ends within 0.1 of the data's mean 1 and sd 0.5."""
    torch.manual_seed(0)
    nets = {"generator": mlp.Generator(Spec((1,), "table"), latent=1, hidden=[]), "discriminator": Quadratic()}
    game = Adversarial(payoff, {"r1": GradientNorm("real", 0.0, 0.05)})

    def rate(player: str, params) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=0.2 if player == "discriminator" else 0.1)

    s = State.create(nets, game.players, game.averaged, rate)
    for _ in range(1000):
        game.step(s, 1 + 0.5 * torch.randn(256, 1), game.prepare(s))
        s.tick(256, 256, 10_000)
    made = game.sample(s.averaged(), 20_000)
    assert float(made.mean()) == pytest.approx(1, abs=0.1)
    assert float(made.std()) == pytest.approx(0.5, abs=0.1)
