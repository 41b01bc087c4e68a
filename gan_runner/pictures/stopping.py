"""How a rule came to its decision: the estimate and the two-sample test against the step, and the scores now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics.js import scores, unseen
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.stopping import CALM, CHECKS, ENDED, ESTIMATE, P_VALUE, STEP
from gan_runner.pictures.figure import FAKE, INK, REAL, RULE, label, legend, panels, render

WIDTH, LEFT = 340, 70
"""Pixels of a panel, and beside it."""


@dataclass(frozen=True)
class Stopping:
    """`stopping`: what the run's rule saw; nothing where the run has none or before its first check.

    Args:
        every: steps between two calls.
        n: held-out rows, and samples, whose scores are shown.
        level: p-values above it let a run end.
    """

    every: int = 0
    n: int = 2000
    level: float = 0.05

    kinds: ClassVar[frozenset[str]] = KINDS

    def __call__(self, draw: Draw, source: Source) -> Findings:
        checks = draw.state.memory.get(CHECKS, torch.empty(0, 5)).cpu()
        checks = checks[checks[:, STEP] > 0]
        if not len(checks):
            return Findings()
        real, fake = scores(draw, *unseen(draw, source, self.n))
        logits = draw.objective.scale == "logit"
        return Findings(pictures={"stopping": stopping(checks, real, fake, logits, self.level)})


def stopping(checks: Tensor, real: Tensor, fake: Tensor, logits: bool, level: float = 0.05) -> Tensor:
    """The picture.

    Args:
        checks: (k, 5), the table of a rule; see `metrics.stopping`.
        real, fake: scores (n,) of the moment.
        logits: whether scores are logits: then D is shown, the bound in nats and a panel with the two-sample test.
        level: the line in that panel.
    """
    sheet, axes = panels(1, 3 if logits else 2, WIDTH, 260, LEFT)
    curve(axes[0], checks)
    if logits:  # what a dead discriminator proves shall look like nothing
        low, high = axes[0].get_ylim()
        axes[0].set_ylim(min(low, -0.02), max(high, 0.1))
    label(axes[0], "lower bound of JS" if logits else "the critic's estimate", "step", "nats" if logits else "")
    shown = [x.sigmoid() if logits else x for x in (real, fake)]
    both = torch.cat(shown)
    ends = (0.0, 1.0) if logits else (float(both.min()), float(both.max()))
    for values, colour, name in zip(shown, (REAL, FAKE), ("held-out", "generated"), strict=True):
        axes[1].hist(values.numpy(), bins=50, range=ends, color=colour, alpha=0.6, label=name)
    label(axes[1], "now", "D(x), from where p = q" if logits else "score", "rows")
    legend(axes[1])
    if logits:
        asked = checks[checks[:, P_VALUE] >= 0]
        axes[2].axhline(level, color=RULE, linewidth=1)
        axes[2].plot(asked[:, STEP].numpy(), asked[:, P_VALUE].numpy(), "o", color=INK, markersize=4)
        axes[2].set(xlim=axes[0].get_xlim(), ylim=(-0.02, 1.02))
        label(axes[2], "a fresh classifier's test" + ("" if len(asked) else ": not yet asked"), "step", "p-value")
        mark(axes[2], checks)
    return render(sheet)


def curve(ax: Any, checks: Tensor) -> None:
    """The estimate of each check, filled where it passed."""
    steps, estimates, calm = checks[:, STEP], checks[:, ESTIMATE], checks[:, CALM] > 0
    ax.axhline(0, color=RULE, linewidth=1)
    ax.plot(steps.numpy(), estimates.numpy(), "o-", color=INK, fillstyle="none", linewidth=1, markersize=3.5, mew=0.7)
    ax.plot(steps[calm].numpy(), estimates[calm].numpy(), "o", color=FAKE, markersize=4)
    mark(ax, checks)


def mark(ax: Any, checks: Tensor) -> None:
    """A line where the run ended."""
    for step in checks[checks[:, ENDED] > 0, STEP].tolist():
        ax.axvline(step, color=FAKE, linewidth=1.3, linestyle=(0, (4, 2)))
        ax.annotate(f"stop {step:,.0f}", (step, 1), (-4, -9), xycoords=("data", "axes fraction"), fontsize=8,
                    textcoords="offset points", ha="right", color=FAKE)  # fmt: skip
