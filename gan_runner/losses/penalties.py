"""What the discriminator is asked beyond telling real from generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


class Penalty(Protocol):
    def __call__(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """The weighted penalty (0-d) on samples (n, *shape)."""
        ...


def full(x: Tensor) -> Tensor:
    """Scores or samples in fp32 at least: losses and penalties are never computed in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def at_real(real: Tensor, fake: Tensor) -> Tensor:
    return real


def at_fake(real: Tensor, fake: Tensor) -> Tensor:
    return fake


def between(real: Tensor, fake: Tensor) -> Tensor:
    """One uniform point on the line between each real and its generated sample; one draw per sample, not per pixel."""
    mix = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)
    return torch.lerp(fake, real, mix)


def noisy(real: Tensor, fake: Tensor) -> Tensor:
    """Real samples moved by up to half the batch's standard deviation (DRAGAN, as its authors' code draws them)."""
    reach = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)
    return real + reach * 0.5 * real.std() * torch.rand_like(real)


POINTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "between": between,
    "real": at_real,
    "fake": at_fake,
    "noisy": noisy,
}


@dataclass(frozen=True)
class GradientNorm:
    """weight * E (|grad f(x)| - target)^2, the norm over all entries of what one score judges: a sample or a pack.

    | paper | at | target | weight |
    |---|---|---|---|
    | WGAN-GP, Gulrajani et al. 2017, eq. 3 | between | 1 | lambda = 10 |
    | DRAGAN, Kodali et al. 2017, eq. 1 | noisy | 1 | lambda = 10 |
    | R1, Mescheder et al. 2018, eq. 9 | real | 0 | gamma / 2 |
    | R2, same, eq. 10 | fake | 0 | gamma / 2 |

    It is computed in full precision even inside autocast: second derivatives do not survive half precision.

    Raises:
        ValueError: `at` is unknown, or `weight` or `target` negative.
    """

    at: str = "between"
    target: float = 1.0
    weight: float = 10.0

    def __post_init__(self) -> None:
        if self.at not in POINTS:
            raise ValueError(f"at={self.at} is not one of {', '.join(POINTS)}")
        if self.weight < 0 or self.target < 0:
            raise ValueError(f"weight={self.weight} and target={self.target} must not be negative")

    def __call__(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        x = POINTS[self.at](full(real), full(fake)).detach().requires_grad_()
        with torch.autocast(x.device.type, enabled=False):
            scores = discriminator(x)
            (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        slope = slope.reshape(len(scores), -1)
        if self.target == 0:
            return self.weight * slope.square().sum(1).mean()
        return self.weight * (slope.norm(2, dim=1) - self.target).square().mean()


@dataclass(frozen=True)
class Drift:
    """weight * E f(real)^2: keeps a Wasserstein critic's scores near 0 (Karras et al. 2018, section 6.1: 0.001).

    Raises:
        ValueError: `weight` is negative.
    """

    weight: float = 0.001

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight={self.weight} must not be negative")

    def __call__(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        return self.weight * full(discriminator(real)).square().mean()
