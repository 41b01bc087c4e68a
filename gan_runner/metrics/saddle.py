"""How fast a game approaches its saddle point, or leaves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class Convergence:
    """`distance` from the saddle point, the empirical `rate`, and the same for the average of all plays.

    `rate` is the factor by which a step multiplies the distance; see `rate`. Matrix games also have `duality_gap`, what
    both players could gain by their best answers: 0 at the saddle point alone. `_mean` marks those of the average play.
    Finds nothing where the method plays no game.

    Args:
        every: steps between two calls.
    """

    every: int = 20

    kinds: ClassVar[frozenset[str]] = frozenset({"game"})
    against: ClassVar[str] = "truth"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "path" not in draw.state.memory:
            return Findings()
        game, (way, mean) = draw.objective.game, walked(draw.state)
        found = {}
        for name, play in (("", way[-1]), ("_mean", mean)):
            if game.saddle is not None:
                found[f"distance{name}"] = float(distances(play, game.saddle))
            if (gap := game.gap(*play.split(game.sizes))) is not None:
                found[f"duality_gap{name}"] = float(gap)
        if game.saddle is not None and math.isfinite(factor := rate(approach(way, game.saddle))):
            found["rate"] = factor
        return Findings(found)


def walked(state: Any) -> tuple[Tensor, Tensor]:
    """The last plays (k, m + n) in order of time and the average play (m + n,), float64 on the CPU."""
    path, mean = (state.memory[name].detach().double().cpu() for name in ("path", "mean"))
    newest = state.clock.step % len(path)
    way = path.roll(-1 - newest, 0)
    return way[-min(state.clock.step + 1, len(path)) :], mean


def distances(plays: Tensor, saddle: tuple[float, ...]) -> Tensor:
    """Euclidean distance (...) of plays (..., m + n) from the saddle point."""
    return (plays - torch.tensor(saddle, dtype=plays.dtype)).norm(dim=-1)


def approach(plays: Tensor, saddle: tuple[float, ...]) -> Tensor:
    """Distances of plays (k, m + n) from the saddle point until one is what rounding leaves, or overflows."""
    apart = distances(plays, saddle)
    rounding = max(1e-6 * max(abs(v) for v in saddle), 1e-36)  # of fp32
    return apart[(apart.isfinite() & (apart > rounding)).long().cumprod(0).bool()]


def rate(distance: Tensor) -> float:
    """The factor per step of distances (k,): exp of the slope of a line through their logarithms' second half.

    A rotating approach has distances that swing around that line; two points would measure the swing as well. NaN where
    fewer than 8 distances are given.
    """
    logs = distance.log()[len(distance) // 2 :]
    if len(logs) < 4:
        return math.nan
    time = torch.arange(len(logs), dtype=logs.dtype)
    time = time - time.mean()
    return math.exp(float((time * logs).sum() / time.square().sum()))


def radius(method: str, jacobian: Tensor, step: float, gamma: float = 1.0) -> float:
    """The rate that a method must have near the saddle: the spectral radius of its update's linear part.

    Args:
        method: simultaneous, alternating, extragradient, optimistic or consensus.
        jacobian: (2, 2) of F = (gradient of x's loss by x, of y's loss by y) at the saddle point.
        step: eta.
        gamma: of consensus.

    Raises:
        ValueError: the method is unknown.
    """
    A, one = step * jacobian.double(), torch.eye(2, dtype=torch.float64)
    below = A.tril(-1)  # what y's gradient owes to x, which alternating play has moved already
    updates = {
        "simultaneous": one - A,
        "alternating": torch.linalg.solve(one + below, one - A + below),
        "extragradient": one - A @ (one - A),
        "optimistic": torch.cat([torch.cat([one - 2 * A, A], 1), torch.cat([one, 0 * one], 1)]),
        "consensus": one - A - gamma / step * A.T @ A,
    }
    if method not in updates:
        raise ValueError(f"method={method} is not one of {', '.join(updates)}")
    return float(torch.linalg.eigvals(updates[method]).abs().max())
