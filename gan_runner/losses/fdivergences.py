"""f-GAN: every f-divergence is a game of two expectations (Nowozin et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from gan_runner.losses.payoffs import accuracies

LIMIT = 20.0
"""Where `exponential` leaves e^t: beyond, fp32 gradients would soon overflow once an optimizer squares them."""


def exponential(t: Tensor) -> Tensor:
    """e^t up to LIMIT and its tangent beyond: finite for any score, convex, and never without a gradient.

    e^t itself must overflow, at t = 89 in fp32 and bf16. It stands only where a score is wrong - a generated sample
    e^20 times likelier under the data, or a real one under the generator - so no game near its optimum notices.
    """
    return t.clamp(max=LIMIT).exp() * (1 + F.relu(t - LIMIT))


class Divergence(NamedTuple):
    """One row of table 2 and 6 of the paper, in terms of the raw score v.

    Attributes:
        value: T = g_f(v), the variational function; g_f maps any score into the domain of f*.
        conjugate: f*(g_f(v)), simplified by hand so that nothing cancels or overflows.
        middle: the score at which data and samples are equally likely, g_f(middle) = f'(1).
    """

    value: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    middle: float = 0.0


DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(lambda v: v, lambda v: exponential(v - 1), middle=1.0),
    "reverse_kl": Divergence(lambda v: -exponential(-v), lambda v: v - 1),
    "js": Divergence(lambda v: math.log(2) - F.softplus(-v), lambda v: F.softplus(v) - math.log(2)),
    "gan": Divergence(lambda v: -F.softplus(-v), F.softplus),
    "pearson": Divergence(lambda v: v, lambda v: v * (v / 4 + 1)),
    "hellinger": Divergence(lambda v: 1 - exponential(-v), lambda v: exponential(v) - 1),
    "tv": Divergence(lambda v: v.tanh() / 2, lambda v: v.tanh() / 2),
}


@dataclass(frozen=True)
class FGAN:
    """min over the generator q, max over T, of E_p T - E_q f*(T), with T = g_f(score) (Nowozin et al. 2016, eq. 6-7).

    The maximum over all T is D_f(p || q) = E_q f(p / q), p the data; it is reached at T = f'(p / q).

    | divergence | f(u), u = p / q | D_f(p, q) | optimal score, d = log p / q |
    |---|---|---|---|
    | kl | u log u | KL(data, generated) | 1 + d |
    | reverse_kl | -log u | KL(generated, data) | d |
    | js | u log u - (u + 1) log((u + 1) / 2) | twice the Jensen-Shannon divergence | d |
    | gan | u log u - (u + 1) log(u + 1) | the same less log 4: the saturating GAN | d |
    | pearson | (u - 1)^2 | integral of (p - q)^2 / q | 2 (e^d - 1) |
    | hellinger | (sqrt u - 1)^2 | integral of (sqrt p - sqrt q)^2 | d / 2 |
    | tv | abs(u - 1) / 2 | half the integral of abs(p - q), in [0, 1] | +- infinity, the sign of d |

    Names clash with variational gradient flow (VGrow, Gao et al. 2019), which puts the generated distribution first,
    D_f(q || p): its "KL" = KL(generated, data) is "reverse_kl" here, and its "reverse KL" is "kl" here.

    Attributes:
        divergence: which, by its name in the table.

    Raises:
        ValueError: `divergence` is not in the table.
    """

    divergence: str = "js"

    paired: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.divergence not in DIVERGENCES:
            raise ValueError(f"divergence={self.divergence} is not one of {', '.join(DIVERGENCES)}")

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        f = DIVERGENCES[self.divergence]
        return f.conjugate(fake).mean() - f.value(real).mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -DIVERGENCES[self.divergence].conjugate(fake).mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """A lower bound of the divergence (in nats, but for pearson, hellinger and tv), mean scores and accuracies."""
        proven = -float(self.discriminator(real, fake))
        means = {"score_real": float(real.mean()), "score_fake": float(fake.mean())}
        middle = DIVERGENCES[self.divergence].middle
        return {"divergence_lower_bound": proven} | means | accuracies(real, fake, middle)
