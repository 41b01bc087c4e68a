"""Contrastive divergence: Boltzmann machines learn by closed-form gradients, data against a Markov chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.losses.objective import Objective
from gan_runner.state import Factors, Logs, Nets, State


class Machine(Protocol):
    """What the role "rbm" promises: the parameters W (visible, hidden), b (visible,), c (hidden,), in this order."""

    W: Tensor
    b: Tensor
    c: Tensor

    def encode(self, x: Tensor) -> Tensor: ...
    def expect(self, x: Tensor) -> Tensor: ...
    def decode(self, v: Tensor) -> Tensor: ...
    def inputs(self, v: Tensor) -> Tensor: ...
    def field(self, h: Tensor) -> Tensor: ...
    def hide(self, share: Tensor) -> Tensor: ...
    def mean(self, field: Tensor) -> Tensor: ...
    def draw(self, mean: Tensor) -> Tensor: ...
    def gibbs(self, v: Tensor, steps: int) -> Tensor: ...
    def free(self, v: Tensor, inputs: Tensor) -> Tensor: ...
    def code(self, h: Tensor) -> Tensor: ...
    def show(self, z: Tensor) -> Tensor: ...


WATCHED = 16
"""Rows by which a step tells its loss and its error; all of a larger batch would only take it longer."""


@dataclass(frozen=True)
class CD(Objective):
    """Contrastive divergence (Hinton 2002): a chain of `steps` from the data stands for the model.

    With F the free energy, it descends mean F(data) - mean F(chain), whose gradient for W is the mean of v p(h | v)' at
    the chain's end less that at the data. States are draws but for the last hidden ones, which are probabilities.

    Attributes:
        steps: Gibbs steps an update (k).
        walk: Gibbs steps to a sample, from units that do not see each other.
        decay: weight decay of W; the biases have none.

    Raises:
        ValueError: `steps` is below 1, or `walk` or `decay` is negative.
    """

    steps: int = 1
    walk: int = 200
    decay: float = 0.0

    players: ClassVar = {"rbm": ("rbm",)}
    averaged: ClassVar = ("rbm",)
    slow: ClassVar = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.walk < 0 or not self.decay >= 0:
            raise ValueError(f"steps={self.steps} must be 1 or more, walk={self.walk} and decay={self.decay} 0 or more")

    @torch.no_grad()
    def step(self, s: State, x: Tensor, key: None) -> Logs:
        m = machine(s.nets)
        v0 = m.encode(x)
        p0, free = infer(m, v0)
        mean = m.mean(m.field(m.hide(p0)))
        vk = m.gibbs(m.draw(mean), self.steps - 1)
        error = F.mse_loss(mean[:WATCHED], v0[:WATCHED])
        return self.update(s, v0, p0, free, vk) | {"rbm/reconstruction_error": error}

    def update(self, s: State, v0: Tensor, p0: Tensor, free: Tensor, vk: Tensor) -> Logs:
        """One step along the gradient, from data v0 (n, visible) and chains vk (m, visible).

        At the data, h is 1 with the probabilities p0 (n, hidden), and the mean of F is `free`.
        """
        m = machine(s.nets)
        pk, fantasy = infer(m, vk)
        W = Factors([(-1 / len(v0), v0, p0), (1 / len(vk), vk, pk)])
        decayed = W.whole().add_(m.W, alpha=self.decay) if self.decay else W
        s.players["rbm"].apply([decayed, vk.mean(0) - v0.mean(0), pk.mean(0) - p0.mean(0)])
        return {"rbm/loss": free - fantasy}

    def judge(self, nets: Nets, x: Tensor) -> Tensor:
        """-F(v), the log-likelihood of samples (n, *shape) but for a constant."""
        m = machine(nets)
        v = m.encode(x)
        return -m.free(v, m.inputs(v))

    def energy(self, s: State, x: Tensor) -> Tensor:
        """F(v), of binary units at their means: between black and white it joins what it is there."""
        m = machine(s.nets)
        v = m.expect(x)
        return m.free(v, m.inputs(v))

    def reconstruct(self, s: State, x: Tensor) -> Tensor:
        m = machine(s.nets)
        return m.decode(m.mean(m.field(m.inputs(m.encode(x)).sigmoid())))

    def start(self, s: State, n: int) -> Tensor:
        """Visible states (n, visible) from which chains walk to samples."""
        m = machine(s.nets)
        return m.draw(m.mean(m.b).expand(n, -1))

    @torch.no_grad()
    def latent(self, s: State, n: int) -> Tensor:
        """(n, latent): hidden states at the ends of chains, with what else their samples are made of."""
        m = machine(s.nets)
        return m.code(m.hide(m.inputs(m.gibbs(self.start(s, n), self.walk)).sigmoid()))

    def generate(self, s: State, z: Tensor) -> Tensor:
        return machine(s.nets).show(z)


@dataclass(frozen=True)
class PCD(CD):
    """Persistent contrastive divergence (Tieleman 2008): chains go on from where the last update left them.

    They walk through the model while it learns, so its rate must fall. The state remembers them: `chains` (chains,
    visible), on each rank its own.

    Attributes:
        chains: how many; as many as a batch has rows is usual.
        walk: Gibbs steps to a sample, from one of these chains.

    Raises:
        ValueError: `chains` is below 1, or a number is out of range.
    """

    chains: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chains < 1:
            raise ValueError(f"chains={self.chains} is below 1")

    @torch.no_grad()
    def setup(self, s: State, rows: int) -> None:
        s.memory["chains"] = super().start(s, self.chains)

    @torch.no_grad()
    def step(self, s: State, x: Tensor, key: None) -> Logs:
        m, chains = machine(s.nets), s.memory["chains"]
        v0 = m.encode(x)
        vk = m.gibbs(chains, self.steps)
        logs = self.update(s, v0, *infer(m, v0), vk)
        chains.copy_(vk)
        return logs

    def start(self, s: State, n: int) -> Tensor:
        chains = s.memory["chains"]
        return chains[torch.randint(len(chains), (n,), device=chains.device)]


def infer(m: Machine, v: Tensor) -> tuple[Tensor, Tensor]:
    """p(h = 1 | v) (n, hidden) of visible states (n, visible), and the mean of F over the first `WATCHED`."""
    inputs = m.inputs(v)
    free = m.free(v[:WATCHED], inputs[:WATCHED]).mean()
    return inputs.sigmoid_(), free


def machine(nets: Nets) -> Machine:
    return cast(Machine, nets["rbm"])
