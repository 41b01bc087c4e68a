"""Energy-based models: a network learns to give data low energies, and its own chains' ends high ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor

from gan_runner.losses.chains import Langevin, Noise, Sampler, Walk, in_blocks
from gan_runner.losses.objective import Objective
from gan_runner.losses.penalties import full
from gan_runner.losses.replay import Replay
from gan_runner.state import Logs, Nets, State, evaluating


class Model(Protocol):
    """What the role "energy" promises beyond being a module.

    Attributes:
        bound: samples lie in [-bound, bound]; None where they are unbounded.
    """

    bound: float | None

    def noise(self, n: int) -> Tensor:
        """(n, latent) standard normal numbers."""
        ...

    def start(self, z: Tensor) -> Tensor:
        """Where chains (n, *shape) of latents (n, latent) begin."""
        ...

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer (n, f) of samples."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """Scores (n,) of samples, minus their energies."""
        ...


class Blur(Protocol):
    def __call__(self, x: Tensor) -> Tensor:
        """Real rows (n, *shape) with noise on them."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Normal noise of standard deviation `scale` on real rows."""

    scale: float = 0.005

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.scale * torch.randn_like(x)


@dataclass(frozen=True)
class Uniform:
    """Noise between -scale and scale on real rows; 1/256 spreads the levels of images over their width."""

    scale: float = 1 / 256

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.scale * (2 * torch.rand_like(x) - 1)


@dataclass(frozen=True)
class EnergyModel(Objective):
    """Du & Mordatch (2019), Algorithm 1: E falls where data are and rises where its chains end.

    Chains go on from a replay buffer and see the network in evaluation mode, so that what a power iteration has found
    stays as it is while they move. Energies are free but for a constant, and `weight` keeps those of data and of chains
    near 0. A sample is a chain from noise.

    Attributes:
        sampler: how chains move.
        replay: where they begin.
        weight: alpha, of the mean squares of both energies.
        blur: noise on real rows.
        moves: of a chain that makes a sample.

    Raises:
        ValueError: `weight` is negative, or `moves` is below 1.
    """

    sampler: Sampler = field(default_factory=lambda: Langevin(size=10.0, sd=0.005, clip=0.03))
    replay: Replay = field(default_factory=Replay)
    weight: float = 0.1
    blur: Blur = field(default_factory=Gaussian)
    moves: int = 200

    players: ClassVar = {"energy": ("energy",)}
    averaged: ClassVar = ("energy",)
    slow: ClassVar = True

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight={self.weight} is negative: energies would run away")
        if self.moves < 1:
            raise ValueError(f"moves={self.moves} is below 1: samples would be noise")

    def setup(self, s: State, rows: int) -> None:
        E = model(s.nets)
        self.replay.setup(s.memory, E.start(E.noise(self.replay.capacity)), E.bound)

    def step(self, s: State, x: Tensor, key: None) -> Logs:
        E = model(s.nets)
        index, start = self.replay.starts(s.memory, E.start(E.noise(len(x))), E.bound)
        fake, accepted = walk(s.nets, self.sampler, start)
        self.replay.keep(s.memory, index, fake, E.bound)
        logs = s.players["energy"].descend(self.loss, s.nets, within(self.blur(x), E.bound), fake)
        return logs | {"energy/accepted": accepted}

    def loss(self, nets: Nets, real: Tensor, fake: Tensor) -> tuple[Tensor, Logs]:
        """mean E(real) - mean E(fake) + alpha (mean E(real)^2 + mean E(fake)^2), scores being minus energies."""
        score_real, score_fake = full(nets["energy"](torch.cat([real, fake]))).split([len(real), len(fake)])
        contrast = score_fake.mean() - score_real.mean()
        size = score_real.square().mean() + score_fake.square().mean()
        logs = {"energy/contrast": contrast, "energy/size": size, "score/real": score_real, "score/fake": score_fake}
        return contrast + self.weight * size, logs

    def judge(self, nets: Nets, x: Tensor) -> Tensor:
        return nets["energy"](x)

    def features(self, nets: Nets, x: Tensor) -> Tensor:
        return model(nets).features(x)

    def energy(self, s: State, x: Tensor) -> Tensor:
        return -self.judge(s.nets, x)

    def summary(self, pooled: Mapping[str, Tensor]) -> dict[str, float]:
        real, fake = (-float(pooled[f"score/{name}"].float().mean()) for name in ("real", "fake"))
        return {"E_real": real, "E_fake": fake, "E_gap": fake - real}

    def latent(self, s: State, n: int) -> Tensor:
        return model(s.nets).noise(n)

    def generate(self, s: State, z: Tensor) -> Tensor:
        """The ends (n, *shape) of chains that begin where latents say, with noise of their own."""
        return self.way(s, z, [self.moves])[0]

    def way(self, s: State, z: Tensor, moves: Sequence[int]) -> list[Tensor]:
        """Where chains of latents (n, latent) are after each number of moves, in rising order; (n, *shape) each."""
        x, made, found = model(s.nets).start(z), 0, []
        for count in moves:
            if count > made:
                x = walk(s.nets, replace(self.sampler, steps=count - made), x, in_blocks).x
            made = count
            found.append(x)
        return found


def walk(nets: Nets, sampler: Sampler, start: Tensor, noise: Noise = torch.randn_like) -> Walk:
    """Chains from `start` (n, *shape) under a network in evaluation mode; gradients are taken for their rows alone."""
    E = nets["energy"]

    def energy(x: Tensor) -> Tensor:
        return -full(E(x))

    with evaluating([E]):
        return sampler(energy, start, model(nets).bound, noise)


def model(nets: Nets) -> Model:
    return cast(Model, nets["energy"])


def within(x: Tensor, bound: float | None) -> Tensor:
    return x if bound is None else x.clamp(-bound, bound)
