"""What generated paths are measured beside: GARCH(1,1) fitted to the same days, and the real path's own bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan_runner.errors import Unavailable

BURN_IN = 500
"""Days that a simulated path forgets."""
PERCENT = 100.0
"""Returns are fitted in per cent: optimisers like numbers near 1."""


@dataclass(frozen=True)
class Garch:
    """r_t = mu + e_t, e_t = sqrt(h_t) z_t, h_t = omega + alpha e_(t-1)^2 + beta h_(t-1) (Bollerslev 1986), z Gaussian.

    Attributes:
        mu, omega, alpha, beta: for returns in per cent.
    """

    mu: float
    omega: float
    alpha: float
    beta: float

    def paths(self, n: int, days: int, seed: int = 0) -> Tensor:
        """(n, days) simulated log-returns."""
        noise = np.random.default_rng(seed).standard_normal((BURN_IN + days, n))
        h = np.full(n, self.omega / max(1 - self.alpha - self.beta, 0.01))
        made = np.empty_like(noise)
        for day, z in enumerate(noise):
            made[day] = np.sqrt(h) * z
            h = self.omega + self.alpha * made[day] ** 2 + self.beta * h
        return torch.from_numpy((self.mu + made[BURN_IN:].T) / PERCENT)


def fit_garch(real: Tensor) -> Garch:
    """The GARCH(1,1) with constant mean and Gaussian innovations that is most likely to make log-returns (time,).

    Raises:
        Unavailable: the package arch is missing.
    """
    try:
        from arch import arch_model
    except ImportError as error:
        raise Unavailable(
            "GARCH is fitted by the package arch, which is missing", "pip install arch", id="F50"
        ) from error
    found = arch_model(PERCENT * real.double().numpy(), mean="Constant", vol="GARCH", p=1, q=1, rescale=False)
    return Garch(*(float(value) for value in found.fit(disp="off").params))


def bootstrap(real: Tensor, n: int, block: float = 100.0, seed: int = 0) -> Tensor:
    """(n, time): paths made of blocks of a real path (time,) whose lengths are geometric (Politis and Romano 1994).

    Args:
        block: mean days of a block.
    """
    rng, days = np.random.default_rng(seed), len(real)
    fresh = rng.random((n, days)) < 1 / block
    fresh[:, 0] = True
    starts, since = rng.integers(days, size=(n, days)), np.arange(days)
    last = np.maximum.accumulate(np.where(fresh, since, 0), axis=1)
    index = (np.take_along_axis(starts, last, 1) + since - last) % days
    return real[torch.from_numpy(index)]
