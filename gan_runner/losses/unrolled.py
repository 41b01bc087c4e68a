"""Unrolled GAN: the generator learns against the discriminator as it would be some steps later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_runner.losses.adversarial import Adversarial
from gan_runner.state import Logs, Player, State


@dataclass(frozen=True)
class Unrolled(Adversarial):
    """Metz et al. (2017), section 2.2, without the derivative through the steps ahead, as AdaGAN's authors play it.

    After its own step the discriminator takes `ahead` more on the same rows and samples; the generator steps against
    what they lead to; then the discriminator, its moments included, is put back where it was.

    Attributes:
        ahead: discriminator steps that are taken back (k); 0 is the alternating game, but for batch statistics.

    Raises:
        ValueError: `ahead` is negative.
    """

    ahead: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ahead < 0:
            raise ValueError(f"ahead={self.ahead} is negative: give the discriminator steps to look ahead")

    def step(self, s: State, x: Tensor, key: int) -> Logs:
        for real in x.chunk(key):
            with torch.no_grad():
                fake = self.sample(s, len(real))
            logs = self.criticise(s, real, fake)
        with taken_back(s.players["discriminator"], s.nets["discriminator"]):
            for _ in range(self.ahead):
                self.criticise(s, real, fake)
            fake = self.sample_with_graph(s, len(real))
            return logs | self.turn(s, "generator", self.generator_loss, real, fake)


@contextmanager
def taken_back(player: Player, net: nn.Module) -> Iterator[None]:
    """Afterwards the player's network, gradient and moments are as they were before."""
    tensors, grads = [*net.parameters(), *net.buffers(), *player.moments], [p.grad for p in player.params]
    before = [t.detach().clone() for t in tensors]
    yield
    with torch.no_grad():
        for t, old in zip(tensors, before, strict=True):
            t.copy_(old)
    for p, grad in zip(player.params, grads, strict=True):
        p.grad = grad
