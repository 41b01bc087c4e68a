"""What latents say: how much each of an autoencoder knows of its samples, and what two of them make in their plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import INK, RULE, label, legend, panels, render
from gan_runner.pictures.grid import IMAGES, grid

ACTIVE = 0.01
"""Variance over rows of a latent's mean above which it is active (Burda et al. 2016, section 5.3)."""


@dataclass(frozen=True)
class Latents:
    """`latents`: the mean KL of each latent from its prior, the most telling first; `active_units`, `kl` in all.

    A latent that the decoder does not listen to has a KL of 0. Finds nothing where there is no encoder.

    Args:
        every: steps between two calls.
        n: rows.
    """

    every: int = 0
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = KINDS

    @torch.no_grad()
    def __call__(self, draw: Draw, source: Source) -> Findings:
        nets = draw.state.averaged().nets
        if "encoder" not in nets:
            return Findings()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # where pixels are drawn, always the same ones
            x = nets["generator"].observe(rows.some(rows.reference(source), self.n))
        mu, log_sd = (t.cpu().double() for t in nets["encoder"](x))
        kl = (0.5 * ((2 * log_sd).exp() + mu.square() - 1 - 2 * log_sd)).mean(0)
        active = mu.var(0) > ACTIVE
        scalars = {"active_units": float(active.sum()), "kl": float(kl.sum())}
        return Findings(scalars, {"latents": bars(kl, active)})


def bars(kl: Tensor, active: Tensor) -> Tensor:
    """The KL (latent,) of each in nats, in descending order, those that are not `active` (latent,) in light grey."""
    figure, (ax,) = panels(1, 1, 450, 280)
    kl, order = kl.sort(descending=True)
    place = torch.arange(1, len(kl) + 1)
    for name, chosen, colour in (("active", active[order], INK), ("not active", ~active[order], RULE)):
        if chosen.any():
            ax.bar(place[chosen].numpy(), kl[chosen].numpy(), 0.8, color=colour, label=f"{int(chosen.sum())} {name}")
    ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[attr-defined]
    label(ax, f"{float(kl.sum()):.1f} nats in all", "latent, by its KL", "KL from the prior, nats")
    legend(ax)
    return render(figure)


@dataclass(frozen=True)
class Manifold:
    """`manifold`: the images of two latents at the quantiles of their prior (Kingma and Welling 2014, figure 4).

    Finds nothing where there are more or fewer than two.

    Args:
        every: steps between two calls.
        side: images in a row.
    """

    every: int = 0
    side: int = 15

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        like = draw.latents(1)
        if like.shape[1:] != (2,):
            return Findings()
        return Findings(pictures={"manifold": grid(source.decode(draw.generate(plane(self.side).to(like))), self.side)})


def plane(side: int) -> Tensor:
    """Latents (side * side, 2): each row of them from left to right, the upper rows first, by Gaussian quantiles."""
    at = torch.special.ndtri((torch.arange(side, dtype=torch.float64) + 0.5) / side)
    return torch.stack([at.repeat(side), at.flip(0).repeat_interleave(side)], 1)
