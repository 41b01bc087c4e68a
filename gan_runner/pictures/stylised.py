"""Generated paths beside the real one: sums over days, memory, leverage, and prices (after Wiese et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import baselines
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.quant import days_of
from gan_runner.metrics.stylised import HORIZONS, LAGS, curves, sums
from gan_runner.pictures.figure import FAKE, INK, REAL, RULE, label, legend, panels, render

BINS = 60
SHOWN = 50
"""Paths of prices that are drawn."""
BAND = (0.05, 0.95)
"""Between these quantiles of single GARCH paths lies what is shaded or dotted."""
TITLES = {"acf": "memory of r", "acf_abs": "memory of |r|", "acf_square": "memory of r²", "leverage": "leverage effect"}


@dataclass(frozen=True)
class PathFacts:
    """`horizons`, `memory` and `fan`: long generated paths of the first column, the training days, and GARCH(1,1).

    Args:
        every: steps between two calls.
        n: paths, as long as the real one.
    """

    every: int = 0
    n: int = 100

    kinds: ClassVar[frozenset[str]] = frozenset({"series"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real = days_of(source)
        paths = draw.paths(self.n, len(real))
        if paths is None:
            return Findings()
        fake, garch = source.decode(paths)[:, 0].double().cpu(), baselines.fit_garch(real).paths(self.n, len(real))
        return Findings(pictures={picture.__name__: picture(real, fake, garch) for picture in (horizons, memory, fan)})


def horizons(real: Tensor, fake: Tensor, garch: Tensor) -> Tensor:
    """The picture of densities of sums over 1, 5, 20 and 100 days of real (time,), fake and garch (n, time), upwards in
    logarithms, since tails are the matter."""
    figure, axes = panels(1, len(HORIZONS), 230, 230)
    for ax, days in zip(axes, HORIZONS, strict=True):
        a, b, c = (sums(x, days) for x in (real, fake, garch))
        reach = 1.25 * float(a.abs().max())
        edges = torch.linspace(-reach, reach, BINS + 1, dtype=a.dtype)
        ax.stairs(density(a, edges), edges.numpy(), fill=True, color=REAL, alpha=0.6, label="real")
        ax.stairs(density(c, edges), edges.numpy(), color=INK, linewidth=0.9, linestyle=":", label="GARCH")
        ax.stairs(density(b, edges), edges.numpy(), color=FAKE, linewidth=1.6, label="generated")
        ax.set_yscale("log")
        ax.set_ylim(0.3 / (len(a) * reach * 2 / BINS), 3 * float(density(a, edges).max()))
        ax.locator_params(axis="x", nbins=5)
        label(ax, f"{days} day{'s' * (days > 1)}", "log-return", "density" if days == 1 else "")
    axes[0].legend(fontsize=7, labelcolor=INK, frameon=False, loc="upper right")
    return render(figure)


def density(x: Tensor, edges: Tensor):
    """Share of the values x (n,) in each bin, per unit."""
    return (torch.histogram(x, edges).hist / len(x) / edges.diff()).numpy()


def memory(real: Tensor, fake: Tensor, garch: Tensor) -> Tensor:
    """The picture of autocorrelations and leverage of real (time,), fake and garch (n, time) at lags up to 250."""
    figure, axes = panels(2, 2, 420, 200, left=68)
    ours, theirs, rival = curves(real[None]), curves(fake), curves(garch)
    lags = torch.arange(1, LAGS + 1).numpy()
    for ax, (name, title) in zip(axes, TITLES.items(), strict=True):
        ax.fill_between(
            lags, *between(rival[name], *BAND).numpy(), color=RULE, alpha=0.35, linewidth=0, label="GARCH, 90 %"
        )
        ax.plot(lags, ours[name][0].numpy(), color=REAL, linewidth=0.9, label="real")
        ax.plot(lags, theirs[name].mean(0).numpy(), color=FAKE, linewidth=1.6, label="generated")
        ax.axhline(0, color=INK, linewidth=0.5)
        label(ax, title, "lag in days", "correlation")
        legend(ax)
    return render(figure)


def fan(real: Tensor, fake: Tensor, garch: Tensor) -> Tensor:
    """The picture of log-prices of fake (n, time), 50 paths above their fan, with those of real (time,) on top."""
    figure, (ax,) = panels(1, 1, 720, 320)
    days = range(len(real) + 1)
    for (low, high), alpha in ((BAND, 0.15), ((0.25, 0.75), 0.25)):
        ax.fill_between(days, *between(walk(fake), low, high).numpy(), color=FAKE, alpha=alpha, linewidth=0)
    ax.plot(days, walk(fake)[:SHOWN].T.numpy(), color=FAKE, linewidth=0.4, alpha=0.5)
    low, high = between(walk(garch), *BAND).numpy()
    ax.plot(days, low, ":", color=INK, linewidth=1.2, label="GARCH, 90 %")
    ax.plot(days, high, ":", color=INK, linewidth=1.2)
    ax.plot([], [], color=FAKE, label="generated")
    ax.plot(days, walk(real), color=REAL, linewidth=2.2, label="real")
    label(ax, "50 paths; of all, 50 % and 90 %", "day", "log-price")
    legend(ax)
    return render(figure)


def between(paths: Tensor, low: float, high: float) -> Tensor:
    """Two quantiles (2, time) over paths (n, time)."""
    return paths.quantile(torch.tensor([low, high], dtype=paths.dtype), dim=0)


def walk(returns: Tensor) -> Tensor:
    """Log-prices from 0 (..., 1 + time) of log-returns (..., time)."""
    return F.pad(returns.cumsum(-1), (1, 0))
