"""f-GAN: every f-divergence is a game of two expectations (Nowozin et al. 2016).

The discriminator maximises E_p T - E_q f*(T), p the data and q the generated distribution; the generator minimises it.
T = g_f(score), where g_f maps any score into the domain of the conjugate f*. Over all T the maximum is the divergence
D_f = E_q f(p / q), reached at T = f'(p / q).

Names clash with variational gradient flow (VGrow, Gao et al. 2019), which writes D_f(q || p), the generated
distribution first: its "KL" = KL(generated, data) is `ReverseKL` here, and its "reverse KL" is `KL` here.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from gan_runner.losses.payoffs import accuracies

LIMIT = 20.0
"""Where `exponential` leaves e^t: not much further, and its slopes overflow fp32 once an optimizer squares them."""


def exponential(t: Tensor) -> Tensor:
    """e^t up to LIMIT and its tangent beyond: finite for any score, convex, and never without a gradient.

    e^t itself must overflow, at t = 89 in fp32 and bf16. It stands where a score is wrong - a generated sample e^20
    times likelier under the data, or a real one under the generator - so no game near its optimum notices.
    """
    return t.clamp(max=LIMIT).exp() * (1 + F.relu(t - LIMIT))


class FDivergence:
    """The game of one divergence (Nowozin et al. 2016, eq. 6-7), stated in terms of the raw score v.

    Attributes:
        middle: the score at which data and samples are equally likely, g_f(middle) = f'(1).
        scale: "logit" where the best score is middle + log p / q.
    """

    paired: ClassVar[bool] = False
    middle: ClassVar[float] = 0.0
    scale: ClassVar[str] = ""

    def value(self, v: Tensor) -> Tensor:
        """T = g_f(v) (table 6 of the paper)."""
        raise NotImplementedError

    def conjugate(self, v: Tensor) -> Tensor:
        """f*(g_f(v)), simplified by hand so that nothing cancels or overflows."""
        raise NotImplementedError

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.conjugate(fake).mean() - self.value(real).mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -self.conjugate(fake).mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """A lower bound of the divergence, mean scores, and accuracies about the middle."""
        proven = -float(self.discriminator(real, fake))
        means = {"score_real": float(real.mean()), "score_fake": float(fake.mean())}
        return {"divergence_lower_bound": proven} | means | accuracies(real, fake, self.middle)


class KL(FDivergence):
    """KL(data, generated) in nats: f(u) = u log u; the best score is 1 + log p / q."""

    middle = 1.0
    scale = "logit"

    def value(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        return exponential(v - 1)


class ReverseKL(FDivergence):
    """KL(generated, data) in nats: f(u) = -log u; the best score is log p / q."""

    scale = "logit"

    def value(self, v: Tensor) -> Tensor:
        return -exponential(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return v - 1


class JensenShannon(FDivergence):
    """Twice the Jensen-Shannon divergence in nats: f(u) = u log u - (u + 1) log((u + 1) / 2); best at log p / q."""

    scale = "logit"

    def value(self, v: Tensor) -> Tensor:
        return math.log(2) - F.softplus(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return F.softplus(v) - math.log(2)


class GAN(FDivergence):
    """The same less log 4, and the very losses of `Minimax`: f(u) = u log u - (u + 1) log(u + 1); best at log p / q."""

    scale = "logit"

    def value(self, v: Tensor) -> Tensor:
        return -F.softplus(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return F.softplus(v)


class Pearson(FDivergence):
    """Chi squared, the integral of (p - q)^2 / q: f(u) = (u - 1)^2; the best score is 2 (p / q - 1)."""

    def value(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        return v * (v / 4 + 1)


class Hellinger(FDivergence):
    """The integral of (sqrt p - sqrt q)^2, in [0, 2]: f(u) = (sqrt u - 1)^2; the best score is half of log p / q."""

    def value(self, v: Tensor) -> Tensor:
        return 1 - exponential(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return exponential(v) - 1


class TotalVariation(FDivergence):
    """Half the integral of |p - q|, in [0, 1]: f(u) = |u - 1| / 2; the best score is endless, of the sign of p - q."""

    def value(self, v: Tensor) -> Tensor:
        return v.tanh() / 2

    def conjugate(self, v: Tensor) -> Tensor:
        return v.tanh() / 2
