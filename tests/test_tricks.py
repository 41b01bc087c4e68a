"""Feature matching and historical averaging (Salimans et al. 2016) against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_runner.build import build
from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.historical import Historical
from gan_runner.losses.matching import DiscriminatorOnly, FeatureMatching
from gan_runner.losses.payoffs import Logistic, NonSaturating
from gan_runner.models import roles
from gan_runner.state import State
from tests.conftest import compose
from tests.test_contract import SMALL

REAL, FAKE = torch.tensor([[1.0, 2.0], [0.0, 3.0], [2.0, 4.0]]), torch.tensor([[-1.0, 1.0], [4.0, 0.0]])


class Halving(roles.Discriminator):
    """f(x) = x W, so that the slope of the features is W."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 4, bias=False), nn.Linear(4, 1))
        self.trunk.weight.data = torch.arange(8.0).view(4, 2) / 4 - 1


# -- feature matching ------------------------------------------------------------------------------


def test_feature_matching_is_the_mean_square_of_differing_means() -> None:
    """Means (1, 3) and (1.5, 0.5) differ by (-0.5, 2.5); through W by hand."""
    D = Halving()
    difference = torch.tensor([-0.5, 2.5]) @ D.trunk.weight.detach().T
    expected = 3.0 * float(difference.square().sum()) / 4
    assert float(FeatureMatching(weight=3.0)(D, REAL, FAKE).detach()) == pytest.approx(expected)


def test_equal_batches_match_in_any_order() -> None:
    assert float(FeatureMatching()(Halving(), REAL, REAL.flip(0)).detach()) == pytest.approx(0, abs=1e-12)


def test_the_gradient_is_twice_the_difference_through_the_features() -> None:
    """d/dx_i of |E f(fake) - E f(real)|^2 / F = 2 / (F n) (E f(fake) - E f(real))^T df; none reaches the real ones."""
    D, real, fake = Halving(), REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    value = FeatureMatching()(D, real, fake)
    to_real, to_fake = torch.autograd.grad(value, (real, fake), allow_unused=True)
    difference = (FAKE.mean(0) - REAL.mean(0)) @ D.trunk.weight.detach().T
    expected = 2 / (4 * 2) * difference @ D.trunk.weight.detach()
    assert to_real is None
    torch.testing.assert_close(to_fake, expected.expand(2, 2))
    assert (to_fake.mean(0) @ (FAKE.mean(0) - REAL.mean(0))) > 0  # downhill is towards the data


def test_the_generator_sees_features_alone_and_the_discriminator_is_logistic() -> None:
    game = Adversarial(DiscriminatorOnly(), extras={"feature_matching": FeatureMatching()})
    D, fake = Halving(), FAKE.clone().requires_grad_()
    loss, logs = game.generator_loss({"discriminator": D}, REAL, fake)
    assert torch.equal(loss, FeatureMatching()(D, REAL, fake)) and logs["generator/loss"] == 0
    D.head.weight.data += 1
    assert torch.equal(game.generator_loss({"discriminator": D}, REAL, fake)[0], loss)  # the score plays no part
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 1.0])
    assert DiscriminatorOnly().discriminator(real, fake) == Logistic().discriminator(real, fake)


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_a_weight_without_effect_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=f"^weight={weight} is not positive"):
        FeatureMatching(weight)


# -- historical averaging --------------------------------------------------------------------------


def game(weight: float, n_critic: int = 1, rate: float = 0.1) -> tuple[Historical, State]:
    torch.manual_seed(0)
    found = Historical(NonSaturating(), n_critic=n_critic, weight=weight)
    nets = {"generator": roles.Generator(2, nn.Linear(2, 2)), "discriminator": Halving()}
    s = State.create(nets, found.players, found.averaged, lambda _, params: torch.optim.SGD(params, lr=rate))
    found.setup(s, 100)
    return found, s


def weights(s: State, player: str) -> Tensor:
    return torch.cat([p.detach().flatten() for p in s.players[player].params])


def remembered(s: State, player: str) -> Tensor:
    count = len(s.players[player].params)
    return torch.cat([s.memory[f"{player}.mean.{i}"].flatten() for i in range(count)])


def test_the_memory_is_the_mean_of_all_weights_a_step_began_with() -> None:
    """Of each player by its own count of steps: three of the discriminator to one of the generator."""
    found, s = game(weight=0.5, n_critic=3)
    past: dict[str, list[Tensor]] = {"discriminator": [], "generator": []}
    for name, player in s.players.items():
        plain = player.descend

        def spy(*inputs, name=name, plain=plain):
            past[name].append(weights(s, name))
            return plain(*inputs)

        player.descend = spy
    for _ in range(5):
        logs = found.step(s, torch.randn(12, 2), 3)
    assert [len(past[name]) for name in past] == [15, 5] == [int(s.memory[f"{name}.steps"]) for name in past]
    for name, thetas in past.items():
        mean = torch.stack(thetas).mean(0)
        torch.testing.assert_close(remembered(s, name), mean)
        drift = 0.5 * (thetas[-1] - mean).square().sum()
        assert float(logs[f"{name}/history"]) == pytest.approx(float(drift), rel=1e-4)


def test_each_step_adds_the_pull_towards_the_mean() -> None:
    """The second step differs from one without the term by - rate * weight * 2 (theta_2 - (theta_1 + theta_2) / 2)."""
    ends = []
    for weight in (0.0, 0.7):
        found, s = game(weight)
        starts = {name: weights(s, name) for name in s.players}
        torch.manual_seed(1)
        x = torch.randn(2, 8, 2)
        found.step(s, x[0], 1)
        middles = {name: weights(s, name) for name in s.players}
        s.nets.eval()
        logs = s.players["discriminator"].gradient(
            found.discriminator_loss, s.nets, x[1], x[0]
        )  # the discriminator alone, at the same place
        plain = torch.cat([g.flatten() for g in logs[0]])
        found.turn(s, "discriminator", found.discriminator_loss, x[1], x[0])
        moved = weights(s, "discriminator") - middles["discriminator"]
        pull = weight * (middles["discriminator"] - starts["discriminator"])
        torch.testing.assert_close(moved, -0.1 * (plain + pull), atol=1e-7, rtol=1e-4)
        ends.append(moved)
    assert not torch.equal(*ends)


def test_without_weight_it_is_the_plain_game() -> None:
    plain = build(compose("loss=ns", "loss._target_=gan_runner.losses.adversarial.Adversarial", *TOY))
    zero = build(compose("loss=ns_historical", "loss.weight=0.0", *TOY))
    for run in (plain, zero):
        for step in range(3):
            torch.manual_seed(step)
            run.objective.step(run.state, run.source.take(torch.arange(16)), 1)
    for a, b in zip(plain.state.nets.parameters(), zero.state.nets.parameters(), strict=True):
        torch.testing.assert_close(a, b)


TOY = ("dataset=ring8", "dataset.n=100", *SMALL)
