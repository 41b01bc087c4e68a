"""How the discriminator's weights are spread (Gulrajani et al. 2017, Figure 1b): clipped ones pile up at the bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import INK, label, panels, render

BINS = 61


@dataclass(frozen=True)
class Weights:
    """`weights`: a histogram of all weights that the player called `player` moves, biases and gains left out.

    `weights_at_bound` is the share of them within 1 % of the largest: most of them where clipping pushes.

    Args:
        every: steps between two calls.
        player: whose.
    """

    every: int = 1000
    player: str = "discriminator"

    kinds: ClassVar[frozenset[str]] = KINDS

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if self.player not in draw.state.players:
            return Findings()
        params: Sequence[Tensor] = draw.state.players[self.player].params
        matrices = [p.detach().cpu().float().flatten() for p in params if p.dim() > 1]
        if not matrices:
            return Findings()
        values = torch.cat(matrices)
        share = at_bound(values)
        picture = histogram(values, f"{share:.0%} within 1 % of the largest")
        return Findings({"weights_at_bound": share}, {"weights": picture})


def at_bound(values: Tensor) -> float:
    """Share of the values (n,) whose size is within 1 % of the largest."""
    return float((values.abs() >= 0.99 * values.abs().max()).double().mean())


def histogram(values: Tensor, title: str = "") -> Tensor:
    """The picture: shares of values (n,) in bins, on a logarithmic scale, so that the tails are seen."""
    figure, (ax,) = panels(1, 1, 420, 260)
    reach = float(values.abs().max()) or 1.0
    edges = torch.linspace(-1.05 * reach, 1.05 * reach, BINS + 1)
    share = torch.histogram(values, edges).hist / len(values)
    ax.stairs(share.numpy(), edges.numpy(), fill=True, color=INK)
    ax.set_yscale("log")
    ax.set_ylim(0.3 / len(values), 2)
    label(ax, title, "weight", "share in a bin")
    return render(figure)
