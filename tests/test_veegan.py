"""VEEGAN: signs, who learns from what, and the densities of the reconstructor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from gan_runner import optimizers
from gan_runner.datasets.spec import Spec
from gan_runner.losses.penalties import GradientNorm
from gan_runner.losses.veegan import LogRatio, Reconstruction, ReconstructorGame, Veegan
from gan_runner.models import mlp
from gan_runner.models.pairs import JointDiscriminator, Reconstructor
from gan_runner.state import State

PLANE = Spec((2,), "table")


def state() -> State:
    torch.manual_seed(0)
    nets = {
        "generator": mlp.Generator(PLANE, latent=3, hidden=[8]),
        "reconstructor": Reconstructor(PLANE, latent=3, hidden=[8]),
        "joint_discriminator": JointDiscriminator(PLANE, latent=3, hidden=[8]),
    }
    return State.create(nets, Veegan.players, ("generator",), optimizers.SGD(0.1))


def slopes(loss: Tensor, net: nn.Module) -> Tensor:
    found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([g.flatten() for g in found])


def test_the_payoff_is_the_log_ratio() -> None:
    """At q = p the best discriminator is 0 and its loss 2 log 2; the generator wants its own pairs scored high."""
    zero, score = torch.zeros(4), torch.tensor([1.0, 3.0], requires_grad=True)
    assert float(LogRatio().discriminator(zero, zero)) == pytest.approx(2 * math.log(2))
    loss = LogRatio().generator(zero, score)
    assert float(loss.detach()) == -2.0
    torch.testing.assert_close(torch.autograd.grad(loss, score)[0], torch.tensor([-0.5, -0.5]))


def test_real_pairs_are_scored_high() -> None:
    s, game = state(), Veegan(LogRatio())
    D, real, fake, z = s.nets["joint_discriminator"], torch.ones(50, 2), -torch.ones(50, 2), torch.randn(50, 3)
    for _ in range(100):
        s.players["discriminator"].descend(game.pair_loss, s.nets, real, z, fake, z)
    with torch.no_grad():
        assert float(D(real, z).mean()) > 1 > -1 > float(D(fake, z).mean())


def test_reconstruction_teaches_both_networks_and_the_payoff_the_generator_alone() -> None:
    s, z, real = state(), torch.randn(6, 3), torch.randn(6, 2)
    G, F, D = (s.nets[r] for r in ("generator", "reconstructor", "joint_discriminator"))
    payoff = Veegan(LogRatio()).cycle_loss(s.nets, real, z)[0]
    assert slopes(payoff, F).abs().sum() == 0
    fake = G(z)
    torch.testing.assert_close(
        slopes(Veegan(LogRatio()).cycle_loss(s.nets, real, z)[0], G), slopes(-D(fake, z).mean(), G)
    )
    found = Reconstruction()(s.nets, real, G(z), z)
    assert slopes(found, F).abs().sum() > 0
    assert slopes(Reconstruction()(s.nets, real, G(z), z), G).abs().sum() > 0


def test_the_reconstructor_may_play_too() -> None:
    """It wants the discriminator to take its real pairs for generated ones; the generator has no part in this term."""
    s, z, real = state(), torch.randn(6, 3), torch.randn(6, 2)
    torch.manual_seed(1)
    term = ReconstructorGame(2.0)(s.nets, real, s.nets["generator"](z), z)
    torch.manual_seed(1)
    D, F = s.nets["joint_discriminator"], s.nets["reconstructor"]
    torch.testing.assert_close(term, 2 * D(real, F(real)).mean())
    assert slopes(term, F).abs().sum() > 0
    term = ReconstructorGame()(s.nets, real, s.nets["generator"](z), z)
    assert slopes(term, s.nets["generator"]).abs().sum() == 0


def test_terms_are_added_and_logged() -> None:
    s, z, real = state(), torch.randn(6, 3), torch.randn(6, 2)
    game = Veegan(LogRatio(), terms={"reconstruction": Reconstruction(2.0)})
    loss, logs = game.cycle_loss(s.nets, real, z)
    torch.testing.assert_close(loss, logs["generator/loss"] + logs["generator/reconstruction"])
    torch.testing.assert_close(
        logs["generator/reconstruction"],
        -2 * s.nets["reconstructor"].log_likelihood(z, s.nets["generator"](z)).mean(),  # type: ignore[operator]
    )


def test_each_player_moves_its_own_networks_alone() -> None:
    s, game = state(), Veegan(LogRatio(), terms={"reconstruction": Reconstruction()})
    before = {k: v.clone() for k, v in s.nets.state_dict().items()}

    def moved() -> set[str]:
        return {k.split(".")[0] for k, v in s.nets.state_dict().items() if not torch.equal(v, before[k])}

    z = torch.randn(6, 3)
    s.players["discriminator"].descend(game.pair_loss, s.nets, torch.randn(6, 2), z, torch.randn(6, 2), z)
    assert moved() == {"joint_discriminator"}
    before = {k: v.clone() for k, v in s.nets.state_dict().items()}
    s.players["generator"].descend(game.cycle_loss, s.nets, torch.randn(6, 2), z)
    assert moved() == {"generator", "reconstructor"}


@pytest.mark.parametrize("sd", [None, 0.3])
def test_log_likelihood_is_that_of_the_gaussian_drawn_from(sd: float | None) -> None:
    F, x, z = Reconstructor(PLANE, latent=3, hidden=[8], sd=sd), torch.randn(5, 2), torch.randn(5, 3)
    mean, spread = F.density(x)
    expected = Normal(mean, spread).log_prob(z).sum(1) + 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(F.log_likelihood(z, x), expected)
    draws = torch.stack([F(x) for _ in range(4000)])
    torch.testing.assert_close(draws.mean(0), mean, atol=0.08, rtol=0)
    torch.testing.assert_close(draws.std(0), spread, atol=0.08, rtol=0)


def test_a_fixed_spread_gives_the_squared_distance_of_the_paper() -> None:
    F, x = Reconstructor(PLANE, latent=3, hidden=[8], sd=math.sqrt(0.5)), torch.randn(5, 2)
    a, b = torch.randn(5, 3), torch.randn(5, 3)
    difference = F.log_likelihood(a, x) - F.log_likelihood(b, x)
    mean = F.density(x)[0]
    torch.testing.assert_close(difference, (b - mean).square().sum(1) - (a - mean).square().sum(1))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="penalties="):
        Veegan(LogRatio(), penalties={"p": GradientNorm()})
    with pytest.raises(ValueError, match="sd=0"):
        Reconstructor(PLANE, latent=2, sd=0.0)


def test_samples_are_judged_without_noise() -> None:
    """The score of a point is that of the pair with its likeliest latent: the same however often it is asked."""
    nets, x = state().nets, torch.randn(7, 2)
    mean, _ = nets["reconstructor"].density(x)  # type: ignore[operator]
    judged = [Veegan(LogRatio()).judge(nets, x) for _ in range(2)]
    assert all(torch.equal(scores, nets["joint_discriminator"](x, mean)) for scores in judged)
