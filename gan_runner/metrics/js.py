"""What the run's own discriminator proves about the distance from the data, on rows it has never seen."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class JS:
    """What the discriminator in evaluation mode proves on held-out rows and samples of the live generator; see `prove`.

    Where scores are logits: `js_lower_bound`, `js_lower_bound_bits`, `tv_lower_bound`, `D_accuracy`, `D_off`, `D_sd`.
    Where they are a critic's: `critic_estimate`, of the Wasserstein distance up to the critic's Lipschitz constant.
    Finds nothing where they are neither, nor without held-out rows: about rows that it was trained on, a discriminator
    proves nothing. The bounds suppose that samples are judged one by one; of a packed one they are about packs.

    Args:
        every: steps between two calls.
        n: rows and samples; all held-out rows where there are fewer.
    """

    every: int = 1000
    n: int = 2000

    kinds: ClassVar[frozenset[str]] = KINDS
    against: ClassVar[str] = "unseen"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if not draw.objective.scale:
            return Findings()
        if source.held_out is None:
            warnings.warn("no estimate of the Jensen-Shannon divergence: set train.held_out=0.1", stacklevel=2)
            return Findings()
        real, fake = scores(draw, *unseen(draw, source, self.n))
        if draw.objective.scale == "logit":
            return Findings(prove(real, fake))
        return Findings({"critic_estimate": float(real.mean() - fake.mean())})


def unseen(draw: Draw, source: Source, n: int) -> tuple[Tensor, Tensor]:
    """As many held-out rows, always the same, as samples of the live generator, from latents that it never trained on.

    Returns:
        Both (m, *shape), m = min(n, held-out rows).
    """
    assert source.held_out is not None
    m = min(n, len(source.held_out))
    return rows.some(source.held_out, m), draw(m, live=True)


def scores(draw: Draw, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (m,) of both from the middle, where data and samples are equally likely; on the CPU in fp64."""
    judged, made = draw.judge(real), draw.judge(fake)
    assert judged is not None and made is not None  # objectives with a `scale` have a judge
    return judged.cpu().double() - draw.objective.middle, made.cpu().double() - draw.objective.middle


def prove(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Lower bounds of the distance between two distributions, from logits of n samples of each.

    The bounds hold in expectation for any logits that did not learn from these samples, and are negative where those
    are worse than none. The first is reached by log p/q, the other by whatever has its sign.

    Returns:
        js_lower_bound: log 2 - (E softplus(-real) + E softplus(fake)) / 2 of JS in nats (Goodfellow et al. 2014,
            Theorem 1), in [0, 0.693].
        js_lower_bound_bits: the same over log 2, in [0, 1].
        tv_lower_bound: 2 D_accuracy - 1 of the total variation distance, in [0, 1].
        D_accuracy: the mean of the shares of each side that are recognised; a logit of 0 recognises half.
        D_off, D_sd: mean distance of D = sigmoid(logit) from 1/2 over both sides, and its standard deviation.
    """
    nats = math.log(2) - float(F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
    right = accuracy(real, fake)
    D = torch.cat([real, fake]).sigmoid()
    return {
        "js_lower_bound": nats,
        "js_lower_bound_bits": nats / math.log(2),
        "tv_lower_bound": 2 * right - 1,
        "D_accuracy": right,
        "D_off": float((D - 0.5).abs().mean()),
        "D_sd": float(D.std(correction=0)),
    }


def accuracy(real: Tensor, fake: Tensor) -> float:
    """Share of right answers by the sign of logits, over both sides with equal weight; a logit of 0 is half right."""
    return 0.5 + float(real.sign().mean() - fake.sign().mean()) / 4
