"""Returns simulated by GARCH(1,1) with Student innovations, whose law is known."""

from __future__ import annotations

import numpy as np

from gan_runner.datasets.files import require
from gan_runner.datasets.spec import Source
from gan_runner.datasets.stocks import Cut, of_returns

BURN_IN = 1000
"""Days that the simulation forgets."""


def garch(
    days: int = 2500,
    mu: float = 4e-4,
    omega: float = 2e-6,
    alpha: float = 0.12,
    beta: float = 0.86,
    nu: float = 5.0,
    window: int = 127,
    stride: int = 1,
    held_out: float = 0.2,
    coding: str = "lambert",
    seed: int = 0,
) -> Source:
    """Windows of log-returns r_t = mu + e_t, e_t = sqrt(h_t) z_t, h_t = omega + alpha e_(t-1)^2 + beta h_(t-1).

    Args:
        days: returns in all.
        mu, omega, alpha, beta: of the process (Bollerslev 1986).
        nu: degrees of freedom of z, a Student variable of variance 1.
        window, stride, held_out, coding: as of `stocks`.
        seed: of the simulation.

    Returns:
        Series (n, 1, window) with `truth` "mu", "omega", "alpha", "beta", "nu", and "sd", the stationary standard
        deviation.

    Raises:
        UsageError: an argument is out of range.
        DataError: there are too few days.
    """
    cut = Cut(window, stride, held_out, coding)
    require(omega > 0, "omega", omega, "choose a number above 0")
    require(alpha >= 0, "alpha", alpha, "choose 0 or more")
    require(beta >= 0 and alpha + beta < 1, "beta", beta, "choose alpha + beta below 1: the variance must be finite")
    require(nu > 2, "nu", nu, "choose a number above 2: the variance must be finite")
    require(days > 0, "days", days, "choose a number above 0")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    z = np.random.default_rng(seed).standard_t(nu, BURN_IN + days) * np.sqrt((nu - 2) / nu)
    made = simulate(z, omega, alpha, beta)
    law = {"mu": mu, "omega": omega, "alpha": alpha, "beta": beta, "nu": nu, "sd": (omega / (1 - alpha - beta)) ** 0.5}
    notes = (f"{days} simulated days, seed {seed}",)
    return of_returns(mu + made[BURN_IN:, None], ("r",), "garch", notes, cut, law=law)


def simulate(z: np.ndarray, omega: float, alpha: float, beta: float, leverage: float = 0.0) -> np.ndarray:
    """Returns of innovations z (days, ...) under h' = omega + a r^2 + beta h, from the stationary variance on.

    a is alpha + leverage / 2 after losses and alpha - leverage / 2 after gains (Glosten, Jagannathan and Runkle 1993).
    """
    h, made = np.full(z.shape[1:], omega / (1 - alpha - beta)), np.empty_like(z)
    for day, innovation in enumerate(z):
        made[day] = np.sqrt(h) * innovation
        h = omega + (alpha + leverage * np.where(made[day] < 0, 0.5, -0.5)) * made[day] ** 2 + beta * h
    return made
