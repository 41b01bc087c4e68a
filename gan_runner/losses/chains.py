"""Markov chains that draw from p(x) = exp(-E(x) / T) / Z: Langevin dynamics, MALA and Hamiltonian Monte Carlo.

Each moves many independent chains at once, rows of x (n, *shape), and asks of the energy only that it is a function of
(n, *shape) that gives (n,):

    x, accepted = Hamiltonian(steps=100, size=0.1, leapfrogs=10)(lambda x: 0.5 * x.square().sum(1), torch.zeros(64, 2))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Energy = Callable[[Tensor], Tensor]
"""Rows (n, *shape) to energies (n,), each of its own row alone."""
Noise = Callable[[Tensor], Tensor]
"""Independent standard normal numbers in the shape of a tensor: all the randomness that a chain has."""

BLOCK = 256
"""Rows of noise that are drawn at once where the first rows must not depend on how many there are."""


class Walk(NamedTuple):
    """Where chains are, (n, *shape), and the mean share of moves that were accepted (0-d)."""

    x: Tensor
    accepted: Tensor


@dataclass(frozen=True)
class Sampler:
    """A rule by which chains move.

    Attributes:
        steps: moves of a chain.
        size: length of a step.

    Raises:
        ValueError: a number is out of range.
    """

    steps: int = 60
    size: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} is below 1: no chain would move")
        if self.size <= 0:
            raise ValueError(f"size={self.size} is not positive: no chain would move")

    def move(self, energy: Energy, x: Tensor, bound: float | None = None, noise: Noise = torch.randn_like) -> Walk:
        """One move of each row of x (n, *shape), which stays in the box [-bound, bound] if there is one."""
        raise NotImplementedError

    def __call__(self, energy: Energy, x: Tensor, bound: float | None = None, noise: Noise = torch.randn_like) -> Walk:
        """Rows of x (n, *shape) after all their moves, without a graph."""
        x, accepted = x.detach(), x.new_zeros(())
        for _ in range(self.steps):
            x, share = self.move(energy, x, bound, noise)
            accepted = accepted + share
        return Walk(x, accepted / self.steps)


@dataclass(frozen=True)
class Langevin(Sampler):
    """x' = x - size grad E(x) + sd N(0, 1), which is not corrected: its law is that of exp(-E / T) up to O(size).

    T = sd^2 / (2 size). Energy models of images are trained with far less noise than T = 1 asks for; their chains
    nearly descend (Du & Mordatch 2019). Code of papers adds the noise before the gradient is taken: the same chain,
    looked at half a move earlier. In a box, rows are clipped to it.

    Attributes:
        temperature: T; it gives the noise.
        sd: of the noise, in place of a temperature.
        clip: largest absolute value of each entry of the gradient; no limit if None.

    Raises:
        ValueError: a number is out of range, or not exactly one of `temperature` and `sd` is given.
    """

    temperature: float | None = None
    sd: float | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.temperature is None) == (self.sd is None):
            raise ValueError(
                f"temperature={self.temperature} and sd={self.sd}: give one of them, and null for the other"
            )
        for name, value in (("temperature", self.temperature), ("sd", self.sd)):
            if value is not None and value < 0:
                raise ValueError(f"{name}={value} is negative: 0 descends, above 0 draws")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip={self.clip} is not positive: choose null for gradients as they are")

    @property
    def spread(self) -> float:
        """Standard deviation of the noise of a move."""
        return math.sqrt(2 * self.size * self.temperature) if self.sd is None else self.sd  # type: ignore[operator]

    @property
    def target(self) -> float:
        """The temperature whose law the chains approach as steps get smaller."""
        return self.spread**2 / (2 * self.size)

    def move(self, energy: Energy, x: Tensor, bound: float | None = None, noise: Noise = torch.randn_like) -> Walk:
        _, slope = descent(energy, x)
        if self.clip is not None:
            slope = slope.clamp(-self.clip, self.clip)
        x = x - self.size * slope + self.spread * noise(x)
        return Walk(x if bound is None else x.clamp(-bound, bound), x.new_ones(()))


@dataclass(frozen=True)
class Mala(Sampler):
    """Langevin's move as a proposal, accepted so that exp(-E / T) is kept exactly (Roberts & Tweedie 1996).

    Attributes:
        temperature: T.

    Raises:
        ValueError: a number is out of range.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        warm(self.temperature)

    def move(self, energy: Energy, x: Tensor, bound: float | None = None, noise: Noise = torch.randn_like) -> Walk:
        a, T = self.size, self.temperature
        old, slope = descent(energy, x)
        there = x - a * slope + math.sqrt(2 * a * T) * noise(x)
        new, back = descent(energy, there)
        forth = total(there - x + a * slope) - total(x - there + a * back)  # -4 a T log of the proposals' densities
        return decide(x, there, (old - new) / T + forth / (4 * a * T), bound, noise)


@dataclass(frozen=True)
class Jumping(Mala):
    """Mala's move after a jump to a normal row anywhere; both keep exp(-E / T) exactly (Tierney 1994, section 2.3.3).

    In few dimensions jumps carry chains between modes that no gradient joins; in many they are never accepted.

    Attributes:
        reach: standard deviation of where jumps go.

    Raises:
        ValueError: a number is out of range.
    """

    reach: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reach <= 0:
            raise ValueError(f"reach={self.reach} is not positive: jumps would go nowhere")

    def move(self, energy: Energy, x: Tensor, bound: float | None = None, noise: Noise = torch.randn_like) -> Walk:
        there = self.reach * noise(x)
        with torch.no_grad():
            old, new = energy(x), energy(there)
        proposed = (total(there) - total(x)) / (2 * self.reach**2)
        here, _ = decide(x, there, (old - new) / self.temperature + proposed, bound, noise)
        return super().move(energy, here, bound, noise)


@dataclass(frozen=True)
class Hamiltonian(Sampler):
    """Leapfrog steps with a fresh momentum, accepted so that exp(-E / T) is kept exactly (Neal 2011, Figure 2).

    One leapfrog step of `size` e is Mala's move of size e^2 / 2.

    Attributes:
        temperature: T; the momentum has variance T.
        leapfrogs: steps of a move.

    Raises:
        ValueError: a number is out of range.
    """

    temperature: float = 1.0
    leapfrogs: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        warm(self.temperature)
        if self.leapfrogs < 1:
            raise ValueError(f"leapfrogs={self.leapfrogs} is below 1: no chain would move")

    def move(self, energy: Energy, x: Tensor, bound: float | None = None, noise: Noise = torch.randn_like) -> Walk:
        start = math.sqrt(self.temperature) * noise(x)
        there, _, gain = self.leap(energy, x, start)
        return decide(x, there, -gain / self.temperature, bound, noise)

    def leap(self, energy: Energy, x: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x and the momentum (n, *shape) after the leapfrog steps, and what the total energy has gained (n,)."""
        e = self.size
        old, slope = descent(energy, x)
        new, p = old, momentum - 0.5 * e * slope
        for step in range(self.leapfrogs):
            x = x + e * p
            new, slope = descent(energy, x)
            p = p - (e if step + 1 < self.leapfrogs else 0.5 * e) * slope
        return x, p, new - old + 0.5 * (total(p) - total(momentum))


def descent(energy: Energy, x: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (n,) and their gradients (n, *shape) at rows x, also where gradients are switched off."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        found = energy(x)
        (slope,) = torch.autograd.grad(found.sum(), x)
    return found.detach(), slope


def decide(x: Tensor, there: Tensor, ratio: Tensor, bound: float | None, noise: Noise) -> Walk:
    """Rows of `there` with probability min(1, e^ratio) (n,), else those of x (Metropolis et al. 1953).

    What lies beyond the box is refused, as is a ratio that is not a number.
    """
    taken = torch.special.log_ndtr(noise(ratio)) < ratio  # the logarithm of a uniform number
    if bound is not None:
        taken = taken & (there.abs() <= bound).flatten(1).all(1)
    return Walk(torch.where(taken.view(-1, *[1] * (x.dim() - 1)), there, x), taken.to(x.dtype).mean())


def total(x: Tensor) -> Tensor:
    """Squared lengths (n,) of rows (n, *shape)."""
    return x.flatten(1).square().sum(1)


def warm(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} is not positive: nothing would be accepted but descent")


def in_blocks(like: Tensor) -> Tensor:
    """Standard normal numbers like a tensor (n, ...); the first 256 rows do not depend on how many follow."""
    rows = -(-len(like) // BLOCK) * BLOCK
    return torch.randn(rows, *like.shape[1:], dtype=like.dtype, device=like.device)[: len(like)]
