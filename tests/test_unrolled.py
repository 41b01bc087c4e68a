"""Unrolled GAN: what the generator meets, and that nothing of the look ahead remains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_runner import optimizers
from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.payoffs import NonSaturating
from gan_runner.losses.unrolled import Unrolled
from gan_runner.state import State
from tests import test_state
from tests.test_state import Generator, weights


class Discriminator(nn.Module):
    """With statistics of batches, which a look ahead must not leave behind."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def state(discriminator: type[nn.Module] = Discriminator) -> State:
    torch.manual_seed(0)
    nets = {"generator": Generator(), "discriminator": discriminator()}
    return State.create(nets, Unrolled.players, ("generator",), optimizers.Adam(1e-2))


def after(game: Adversarial, steps: int = 1, discriminator: type[nn.Module] = Discriminator) -> State:
    s = state(discriminator)
    for step in range(steps):
        torch.manual_seed(step)
        game.step(s, torch.randn(32, 2), 1)
    return s


def test_without_a_look_ahead_it_is_the_alternating_game() -> None:
    plain, unrolled = (
        after(game, 4, test_state.Discriminator)
        for game in (Adversarial(NonSaturating()), Unrolled(NonSaturating(), ahead=0))
    )
    assert all(torch.equal(t, unrolled.tensors()[name]) for name, t in plain.tensors().items())


def test_the_look_ahead_leaves_no_trace_in_the_discriminator() -> None:
    """Weights, batch statistics, moments and the gradient that is reported are those of its own step."""
    near, far = after(Unrolled(NonSaturating(), ahead=0)), after(Unrolled(NonSaturating(), ahead=5))
    for name, t in near.tensors().items():
        if "discriminator" in name:
            assert torch.equal(t, far.tensors()[name]), name
    assert torch.equal(near.players["discriminator"].gradient_norm(), far.players["discriminator"].gradient_norm())
    assert not torch.equal(weights(near.nets["generator"]), weights(far.nets["generator"]))


@pytest.mark.parametrize("ahead", [1, 5])
def test_the_generator_meets_the_discriminator_some_steps_later(ahead: int) -> None:
    """The same as 1 + `ahead` steps on the same rows and samples taken by hand, and then the generator's."""
    game, s, theirs = Unrolled(NonSaturating(), ahead=ahead), state(), state()
    x = torch.randn(32, 2)
    torch.manual_seed(1)
    logs = game.step(s, x, 1)
    torch.manual_seed(1)
    with torch.no_grad():
        fake = game.sample(theirs, 32)
    first = game.criticise(theirs, x, fake)
    for _ in range(ahead):
        game.criticise(theirs, x, fake)
    expected = game.turn(theirs, "generator", game.generator_loss, x, game.sample_with_graph(theirs, 32))
    assert torch.equal(weights(s.nets["generator"]), weights(theirs.nets["generator"]))
    assert torch.equal(logs["generator/loss"], expected["generator/loss"])
    assert torch.equal(logs["discriminator/loss"], first["discriminator/loss"])


def test_settings_out_of_range() -> None:
    with pytest.raises(ValueError, match="ahead=-1"):
        Unrolled(NonSaturating(), ahead=-1)
