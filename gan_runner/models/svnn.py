"""Stochastic volatility by neural networks: R_t = sigma_t eps_t + mu_t (Quant GANs, Wiese et al. 2020, section 4.3).

Volatility and drift of a day are made of the noise of the days before it, its innovation of the day's own noise. They
are thus independent, which prices under the risk-neutral measure rest upon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive
from gan_runner.models.tcn import TCN, PathGenerator, field_of, levels_of


class ConstrainedGenerator(PathGenerator):
    """C-SVNN: the innovation of a day is Gaussian, the first of its noise channels; (n, columns, time), unbounded.

    Args:
        receptive_field: of how many days before a day its volatility is made; None: as many as a window has.

    Raises:
        ValueError: the data are not such windows, or an argument is not positive.
    """

    def __init__(
        self,
        spec: roles.Spec,
        channels: int = 3,
        width: int = 50,
        standard: bool = False,
        receptive_field: int | None = None,
    ):
        positive(channels=channels, width=width)
        levels, columns = levels_of(spec, "svnn", receptive_field), spec.shape[0]
        if channels < columns:
            raise ValueError(f"channels={channels} is fewer than the {columns} columns: each needs an innovation")
        super().__init__(spec, channels, field_of(levels), standard)
        self.columns = columns
        self.net = nn.Sequential(TCN(channels, width, levels), nn.Conv1d(width, 2 * columns, 1))
        self.shape = self.shaper(channels, width)

    def shaper(self, channels: int, width: int) -> nn.Module:
        """What makes innovations, one a column in the first channels, of a day's noise (n, channels, time)."""
        return nn.Identity()

    def parts(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(sigma, mu, eps) of noise (n, latent), each (n, columns, time), before returns are standardised."""
        noise = self.unflatten(z)
        sigma, mu = self.net(noise[..., :-1]).chunk(2, dim=1)
        return sigma.abs(), mu, self.innovation(noise[..., self.past :])

    def innovation(self, noise: Tensor) -> Tensor:
        """(n, columns, time) of the noise of the same days (n, channels, time)."""
        return self.shape(noise)[:, : self.columns]

    def returns(self, z: Tensor) -> Tensor:
        sigma, mu, eps = self.parts(z)
        return sigma * eps + mu


class Generator(ConstrainedGenerator):
    """SVNN: the innovation of a day is a network of one hidden layer on the day's noise.

    Raises:
        ValueError: the data are not such windows, or an argument is not positive.
    """

    def shaper(self, channels: int, width: int) -> nn.Module:
        return nn.Sequential(nn.Conv1d(channels, width, 1), nn.PReLU(), nn.Conv1d(width, self.columns, 1))


@dataclass(frozen=True)
class RiskNeutral:
    """Paths of a C-SVNN under the risk-neutral measure: R^M_t = sigma_t eps_t - sigma_t^2 / 2 + r.

    The discounted price is then a martingale, E[exp(R^M_t - r) | noise before t] = 1, since eps_t is Gaussian and
    independent of sigma_t. It needs returns that are sigma eps + mu in natural units: dataset.coding=standard.

    Attributes:
        generator: trained on standardised returns.
        scale: by which they were divided, one number a column.
        rate: the riskless log-return of a day.
    """

    generator: ConstrainedGenerator
    scale: Sequence[float]
    rate: float = 0.0

    def __call__(self, z: Tensor) -> Tensor:
        """(n, columns, time) log-returns of noise (n, latent)."""
        sigma, mu, eps = self.generator.parts(z)
        _, deviation = self.generator.level(sigma * eps + mu)
        sigma = sigma / deviation * torch.tensor([*self.scale], dtype=sigma.dtype, device=sigma.device)[:, None]
        return sigma * eps - sigma.square() / 2 + self.rate
