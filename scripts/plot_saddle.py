"""`python scripts/plot_saddle.py [FOLDER]`: saddle-rates.png, the rate of each method against its step on two games.

Dots are runs of 200 steps in float64; lines are closed forms. Takes about a minute.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import torch

from gan_runner import optimizers
from gan_runner.datasets.spec import Spec
from gan_runner.losses import orders
from gan_runner.losses.games import Game, Quadratic
from gan_runner.losses.saddle import Saddle
from gan_runner.metrics import saddle
from gan_runner.models.saddle import Point
from gan_runner.pictures import png
from gan_runner.pictures.rates import rates
from gan_runner.state import State

GAMES = {
    "min max x² − y² + xy": (Quadratic(), torch.tensor([[2.0, 1.0], [-1.0, 2.0]])),
    "min max xy": (Quadratic(curvature=0), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])),
}
METHODS = {
    "simultaneous": (orders.Simultaneous(), optimizers.SGD),
    "alternating": (orders.Alternating(), optimizers.SGD),
    "extragradient": (orders.Extragradient(), optimizers.SGD),
    "optimistic": (orders.Simultaneous(), optimizers.Optimistic),
}


def play(
    game: Game,
    order: orders.Order,
    optimizer: type[optimizers.Optimizer],
    eta: float,
    steps: int = 200,
    start: tuple[list[float], list[float]] = ([1.0], [0.5]),
) -> State:
    """The state after so many steps of size eta, in float64; its memory keeps all plays."""
    point = partial(Point, Spec((2,), "game"), spread=0.0)
    objective = Saddle(game, order, keep=steps + 2)
    nets = {role: point(start=numbers).double() for role, numbers in zip("xy", start, strict=True)}
    state = State.create(nets, objective.players, objective.averaged, optimizer(eta))
    objective.setup(state, 1)
    for _ in range(steps):
        objective.prepare(state)
        objective.step(state, torch.zeros(1, 2), None)
        state.tick(1, 1, 0)
    return state


def measured(game: Game, method: str, eta: float) -> float:
    """The empirical rate of a method of `METHODS`."""
    order, optimizer = METHODS[method]
    assert game.saddle is not None
    return saddle.rate(saddle.approach(saddle.walked(play(game, order, optimizer, eta))[0], game.saddle))


def main() -> None:
    torch.set_num_threads(1)
    fine, coarse = torch.linspace(0.002, 1.1, 550), torch.linspace(0.05, 1.05, 21)
    curves, points = {}, {}
    for method in METHODS:
        curves[method], points[method] = [], []
        for game, jacobian in GAMES.values():
            exact = torch.tensor([saddle.radius(method, jacobian, float(eta)) for eta in fine])
            found = torch.tensor([measured(game, method, float(eta)) for eta in coarse])
            curves[method].append((fine, exact))
            points[method].append((coarse, found))
    out = Path(sys.argv[1] if sys.argv[1:] else ".") / "saddle-rates.png"
    png.write(out, rates(list(GAMES), curves, points))
    print(out)


if __name__ == "__main__":
    main()
