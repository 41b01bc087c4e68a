"""Phase portraits: the way of a game through the field of its players' gradients, and its distance from the saddle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.saddle import approach, distances, rate, walked
from gan_runner.pictures.figure import FAKE, INK, REAL, RULE, label, panels, render

MESH = 25
"""Points of the field along each axis."""

REACH = 1e-6
"""A step small enough to stand for a derivative."""

SURE = 1e-3
"""What a rate of 200 steps may be wrong by."""

FIELD = "#ced4da"
"""Colour of the field."""

SIDE = 400
"""Pixels of a panel's sides."""

CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]], dtype=torch.float64)
"""Where three pure strategies are drawn."""


@dataclass(frozen=True)
class Portrait:
    """`portrait`: the last plays of a game of two numbers or of two or three strategies each, and how they converge.

    Finds nothing where the method plays no such game.

    Args:
        every: steps between two calls.
    """

    every: int = 0

    kinds: ClassVar[frozenset[str]] = frozenset({"game"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "path" not in draw.state.memory or draw.objective.game.sizes not in ((1, 1), (2, 2), (3, 3)):
            return Findings()
        if draw.state.clock.step == 0:  # nobody has moved
            return Findings()
        player = next(iter(draw.state.players.values()))
        method = type(draw.objective.method).__name__.lower()
        optimizer = type(player.optimizer).__name__.removeprefix("Quick").removesuffix("Descent").lower()
        how = f"{method}, {optimizer}, η = {player.rate:g}".replace(", sgd", "")
        how = how.replace("simultaneous, optimistic", "optimistic")
        way, mean = walked(draw.state)
        return Findings(pictures={"portrait": portrait(draw.objective.game, way, mean, how, draw.state.clock.step)})


def portrait(game: Any, way: Tensor, mean: Tensor, how: str, step: int) -> Tensor:
    """The picture: the way, in the plane or in two triangles, and beside it what should fall to 0.

    Args:
        game: of `gan_runner.losses.games`.
        way: (k, m + n) plays in order of time, the last after step `step`.
        mean: (m + n,) average play.
        how: the method and its step.
    """
    first, wide = step + 1 - len(way), len(way[0]) == 6
    way = way[way.isfinite().all(1)]
    figure, axes = panels(1, 3 if wide else 2, SIDE, SIDE)
    if wide:
        for ax, part, average, name in zip(axes, way.split(3, 1), mean.split(3), game.axes, strict=False):
            triangle(ax, part, average, name)
    else:
        plane(axes[0], game, way, mean)
    axes[0].set_title(f"{game.name}: {how}", fontsize=9, color=INK, loc="left")
    if game.gap(*way[0].split(game.sizes)) is None:
        decay(axes[-1], game, way, first)
    else:
        gaps(axes[-1], game, way, first, mean)
    return render(figure)


# -- the way -------------------------------------------------------------------------------------


def plane(ax: Any, game: Any, way: Tensor, mean: Tensor) -> None:
    """Two numbers, or the share of the first of two strategies of each player, over the field of their gradients."""
    mixed, columns = len(way[0]) == 4, [0, len(way[0]) // 2]
    saddle = None if game.saddle is None else torch.tensor(game.saddle, dtype=way.dtype)[columns]
    centre, reach = torch.full((2,), 0.5), 0.5
    if not mixed:
        centre = torch.zeros(2) if saddle is None else saddle
        reach = 1.15 * float((way - centre).abs().max()) or 1.0
    grid = [torch.linspace(float(c) - 0.999 * reach, float(c) + 0.999 * reach, MESH, dtype=way.dtype) for c in centre]
    x, y = (axis.flatten() for axis in torch.meshgrid(*grid, indexing="xy"))
    flow = velocity(game, torch.stack([x, 1 - x, y, 1 - y] if mixed else [x, y], 1))[:, columns].view(MESH, MESH, 2)
    field = (axis.numpy() for axis in (*grid, *flow.unbind(-1)))
    ax.streamplot(*field, color=FIELD, linewidth=0.8, arrowsize=0.8, density=1.1)
    trace(ax, way[:, columns], mean[columns], saddle)
    edge = 1.03 * reach  # what plays on the edge is seen whole
    ends = [(float(c) - edge, float(c) + edge) for c in centre]
    ax.set(xlim=ends[0], ylim=ends[1], aspect="equal")
    label(ax, "", *(f"{name}, share of the first strategy" if mixed else name for name in game.axes))


def triangle(ax: Any, plays: Tensor, mean: Tensor, name: str) -> None:
    """Shares (k, 3) of three strategies as points of a triangle."""
    ax.fill(*CORNERS.T.numpy(), facecolor="none", edgecolor=RULE, linewidth=1)
    trace(ax, plays @ CORNERS, mean @ CORNERS, CORNERS.mean(0))
    for i, (x, y) in enumerate(CORNERS.tolist()):
        ax.text(x, y + (0.03 if i == 2 else -0.06), f"always {i + 1}", fontsize=8, color=INK, ha="center")
    ax.text(0.5, -0.13, f"mixed strategy {name}", fontsize=9, color=INK, ha="center")
    ax.set(xlim=(-0.1, 1.1), ylim=(-0.2, 1.0), aspect="equal")
    ax.set_axis_off()


def trace(ax: Any, path: Tensor, mean: Tensor, saddle: Tensor | None) -> None:
    """A path (k, 2) with a dot at each step while these are few, and four marks with their names."""
    ax.plot(*path.T.numpy(), color=FAKE, linewidth=1.1, marker="." if len(path) <= 500 else "", markersize=4)
    marks: list[tuple[str, Tensor, dict[str, Any], tuple[int, int]]] = [
        ("start", path[0], {"marker": "o", "color": FAKE, "markerfacecolor": "white", "markersize": 7}, (-32, 8)),
        ("end", path[-1], {"marker": "o", "color": FAKE, "markersize": 7}, (8, -14)),
        ("average", mean, {"marker": "D", "color": REAL, "markersize": 6, "markeredgecolor": "white"}, (9, 6)),
    ]
    if saddle is not None:
        cross = {"marker": "+", "color": INK, "markersize": 15, "markeredgewidth": 1.8}
        marks.append(("saddle", saddle, cross, (-42, 8)))
    for name, (x, y), style, offset in marks:
        ax.plot(float(x), float(y), linestyle="", zorder=4, **style)
        box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
        words = {"fontsize": 8, "color": INK, "textcoords": "offset points", "zorder": 5, "bbox": box}
        ax.annotate(name, (float(x), float(y)), offset, **words)


# -- what should fall to 0 -----------------------------------------------------------------------


def decay(ax: Any, game: Any, way: Tensor, first: int) -> None:
    """Distance from the saddle after steps `first` and later, with the line whose slope is the rate."""
    apart = approach(way, game.saddle)
    time = torch.arange(first, first + len(way)).numpy()
    if first == 0:
        averages = distances(averaged(way), game.saddle)
        ax.semilogy(time[1 : len(way)], averages.numpy(), color=REAL, linewidth=1.2, label="average play")
    ax.semilogy(time[: len(apart)], apart.numpy(), color=FAKE, linewidth=1.4, label="play")
    factor, half = rate(apart), len(apart) // 2
    if math.isfinite(factor):
        rise = math.log(factor) * torch.arange(len(apart) - half)
        fitted = (apart[half:].log().mean() - rise.mean() + rise).exp()
        ax.semilogy(time[half : len(apart)], fitted.numpy(), "--", color=INK, linewidth=1.4, label="line of the rate")
    verdict = "converges" if factor < 1 - SURE else "diverges" if factor > 1 + SURE else "neither nears nor leaves"
    label(ax, f"rate {factor:.4f} per step: {verdict}", "step", "distance from the saddle")
    decades(ax)


def gaps(ax: Any, game: Any, way: Tensor, first: int, mean: Tensor) -> None:
    """Duality gaps after steps `first` and later, of plays and, where all are remembered, of their averages."""

    def gap(plays: Tensor) -> Tensor:
        return torch.stack([game.gap(*play.split(game.sizes)) for play in plays]).clamp(min=1e-16)

    time = torch.arange(first, first + len(way))[1:].numpy()
    ax.loglog(time, gap(way[1:]).numpy(), color=FAKE, linewidth=1.4, label="play")
    if first == 0:
        ax.loglog(time, gap(averaged(way)).numpy(), color=REAL, linewidth=1.4, label="average play")
    last, average = gap(way[-1:]), gap(mean[None])
    label(ax, f"after {time[-1]} steps: play {float(last):.3g}, average {float(average):.3g}", "step", "duality gap")
    decades(ax)


def averaged(way: Tensor) -> Tensor:
    """(k - 1, m + n): at each step the mean of all plays after the first, as the state keeps it."""
    return way[1:].cumsum(0) / torch.arange(1, len(way), dtype=way.dtype)[:, None]


def decades(ax: Any) -> None:
    """A logarithmic axis that shows two decades at least, and what its lines are."""
    low, high = (math.log10(end) for end in ax.get_ylim())
    room = max(2 - (high - low), 0) / 2
    ax.set_ylim(10 ** (low - room), 10 ** (high + room))
    ax.tick_params(which="minor", labelleft=False, labelbottom=False, length=0)
    ax.legend(loc="best", fontsize=8, labelcolor=INK, framealpha=0.8, edgecolor="none", handlelength=1.5)


# -- the field -----------------------------------------------------------------------------------


def velocity(game: Any, plays: Tensor) -> Tensor:
    """(n, m + n): how plays begin to move where all players descend their gradients."""
    m, moved = game.sizes[0], []
    for play in plays:
        x, y = (part.clone().requires_grad_() for part in game.parameters(play[:m], play[m:]))
        loss_x, loss_y = game.losses(x, y)
        (down_x,), (down_y,) = torch.autograd.grad(loss_x, x, retain_graph=True), torch.autograd.grad(loss_y, y)
        moved.append(torch.cat(game.plays(x.detach() - REACH * down_x, y.detach() - REACH * down_y)) - play)
    return torch.stack(moved) / REACH
