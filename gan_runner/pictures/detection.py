"""How outliers score beside clean and generated rows, and how well each score ranks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_runner.metrics.ranking import auroc, roc
from gan_runner.pictures.curves import COLOURS
from gan_runner.pictures.figure import FAKE, HIGHS, INK, REAL, RULE, label, legend, panels, render
from gan_runner.pictures.marginals import BINS, density

OWN = ("logit", "mahalanobis", "density", "inversion")
"""Scores of the run, drawn as lines; those of others are broken."""

DOTS = 400
"""Points of a curve that has more."""


def detection(
    logits: Tensor, outlier: Tensor, made: Tensor, expected: float, scored: Mapping[str, tuple[Tensor, Tensor]]
) -> Tensor:
    """The picture: densities of logits, and the curve of each score.

    Args:
        logits: (n,) the discriminator's scores of real rows, of which `outlier` (n,) bool says which are outliers.
        made: (m,) those of samples.
        expected: the logit of clean rows in theory.
        scored: name -> scores (k,) and outliers (k,) bool.
    """
    figure, (left, right) = panels(1, 2, 420, 300)
    clean, planted = logits[~outlier].float(), logits[outlier].float()
    everything = torch.cat([clean, planted, made.float()])
    low, high = (float(everything.quantile(q)) for q in (0.0005, 0.9995))
    edges = torch.linspace(low, high + 1e-6, 2 * BINS + 1)
    left.stairs(density(clean, edges), edges.numpy(), fill=True, color=REAL, label="clean")
    if len(planted):
        left.stairs(density(planted, edges), edges.numpy(), fill=True, color=HIGHS, alpha=0.7, label="outliers")
    left.stairs(density(made.float(), edges), edges.numpy(), color=FAKE, linewidth=1.6, label="generated")
    left.axvline(expected, color=INK, linewidth=0.8, linestyle=":")
    left.yaxis.set_visible(False)
    label(left, "", f"logit of D; dotted: log(1 - eps) = {expected:.3f}")
    legend(left)
    curves(right, scored)
    return render(figure)


def curves(ax: Any, scored: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """The receiver operating characteristic of each score, the best first."""
    known = {name: (auroc(*pair), *roc(*pair)) for name, pair in scored.items() if 0 < pair[1].sum() < len(pair[1])}
    ours, others = ([n for n in known if (n in OWN) == own] for own in (True, False))
    colour = {name: COLOURS[i] for group in (ours, others) for i, name in enumerate(group)}
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=0.8)
    for name in sorted(known, key=lambda name: -known[name][0]):
        area, wrong, right = known[name]
        stride = max(len(wrong) // DOTS, 1)
        points = torch.stack([wrong, right])[:, [*range(0, len(wrong), stride), -1]].numpy()
        style = {"linestyle": "-" if name in OWN else "--", "linewidth": 1.4, "color": colour[name]}
        ax.plot(*points, label=f"{name} {area:.3f}", **style)
    label(ax, "area under each curve", "clean rows flagged", "outliers flagged")
    ax.legend(loc="lower right", fontsize=8, labelcolor=INK, framealpha=0.8, edgecolor="none")
