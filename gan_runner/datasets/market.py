"""A simulated stock market whose days of trouble are known."""

from __future__ import annotations

import numpy as np

from gan_runner.datasets.files import choose, require
from gan_runner.datasets.garch import simulate
from gan_runner.datasets.spec import Source
from gan_runner.datasets.stocks import Cut, of_returns

OMEGA, ALPHA, BETA, LEVERAGE, FREEDOM = 2e-6, 0.12, 0.86, 0.05, 5
"""GJR-GARCH(1, 1): h' = OMEGA + a r^2 + BETA h, a being ALPHA on average and LEVERAGE larger after losses than gains.

Its stationary standard deviation is 0.01; shocks are Student's t of FREEDOM degrees, scaled to variance 1.
"""
BURN_IN = 500


def market(
    assets: int = 50,
    days: int = 2000,
    sectors: int = 5,
    eps: float = 0.05,
    trouble: str = "shift",
    size: float = 4.0,
    window: int | None = None,
    stride: int = 1,
    held_out: float = 0.2,
    coding: str = "standard",
    seed: int = 0,
) -> Source:
    """Daily returns with a market factor, sectors, changing volatility and heavy tails, and planted days of trouble.

    Each stock's return is its loading, uniform on [0.6, 1], times the market's, plus another times its sector's, plus
    its own; all of them have the volatility and the tails of a GARCH process (Glosten, Jagannathan and Runkle 1993).

    Args:
        assets, days, sectors: how many; stock j is of sector j modulo `sectors`.
        eps: share of the days that are planted, spread at random.
        trouble: "shift" moves all stocks by `size` of their standard deviations, up or down; "flip" reverses the sign
            of one sector.
        window, stride, held_out, coding: see `stocks.stocks`.

    Returns:
        A table (n, assets) whose labels are 1 and whose truth "outlier" is set on planted days, with "eps" (); or
        series (n, assets, window) without either.

    Raises:
        UsageError: an argument is out of range.
    """
    cut = Cut(window, stride, held_out, coding)
    require(assets > 1, "assets", assets, "choose a number above 1")
    require(days > 1, "days", days, "choose a number above 1")
    require(0 < sectors <= assets, "sectors", sectors, "choose at most one for each stock")
    require(0 <= eps < 0.5, "eps", eps, "choose a share in [0, 0.5)")
    require(size > 0, "size", size, "choose a number above 0")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    choose("trouble", trouble, TROUBLES)
    rng = np.random.default_rng(seed)
    sector = np.arange(assets) % sectors
    factors = garch(rng, days, 1 + sectors)
    loadings = rng.uniform(0.6, 1.0, (2, assets))
    returns = loadings[0] * factors[:, :1] + loadings[1] * factors[:, 1 + sector] + garch(rng, days, assets)
    planted = rng.permutation(days) < round(eps * days)
    TROUBLES[trouble](rng, returns, planted, sector, size)
    notes = (f"{planted.sum()} of {days} simulated days planted ({trouble}), seed {seed}",)
    names = tuple(f"S{j + 1}" for j in range(assets))
    return of_returns(returns, names, "market", notes, cut, outlier=planted)


def garch(rng: np.random.Generator, days: int, count: int) -> np.ndarray:
    """Returns (days, count) of independent GJR-GARCH(1, 1) processes in their stationary state."""
    shocks = rng.standard_t(FREEDOM, (BURN_IN + days, count)) * np.sqrt((FREEDOM - 2) / FREEDOM)
    return simulate(shocks, OMEGA, ALPHA, BETA, LEVERAGE)[BURN_IN:]


def shift(rng: np.random.Generator, returns: np.ndarray, planted: np.ndarray, sector: np.ndarray, size: float) -> None:
    """Move all stocks together on planted days, in place."""
    sign = rng.choice([-1.0, 1.0], planted.sum())
    returns[planted] += size * returns.std(0) * sign[:, None]


def flip(rng: np.random.Generator, returns: np.ndarray, planted: np.ndarray, sector: np.ndarray, size: float) -> None:
    """Reverse a random sector on planted days, in place."""
    chosen = rng.integers(sector.max() + 1, size=planted.sum())
    returns[planted] *= np.where(sector == chosen[:, None], -1.0, 1.0)


TROUBLES = {"shift": shift, "flip": flip}
