"""What each side of a game wants, given the scores of real and generated samples.

One convention everywhere: scores are raw logits (n,), higher means more real, D = sigmoid(score); losses are minimised
and a logistic discriminator loss is the sum of its two means, 2 log 2 = 1.386 where D = 1/2. Both sides always get both
scores, so relativistic games are no special case; a payoff whose generator ignores the real ones says so with `paired`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch.nn.functional as F
from torch import Tensor


class Payoff(Protocol):
    """Attributes:
    paired: whether the generator's loss looks at the real scores, which then must be computed for it.

    A payoff may have two more, of which rules of stopping and the probe `js` ask (see `Objective`):
    `scale`, what the best scores are - "logit" for log p/q plus a constant, "distance" for a critic's - and `middle`,
    the score at which p = q.
    """

    paired: ClassVar[bool]

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss (0-d) from scores (n,)."""
        ...

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The generator's loss (0-d) from scores (n,); `real` is meaningful where `paired`."""
        ...

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """What the scores of an interval say about the game."""
        ...


def accuracies(real: Tensor, fake: Tensor, threshold: float = 0.0) -> dict[str, float]:
    """Share of real samples scored above the threshold and of generated ones below it."""
    return {
        "accuracy_real": float((real > threshold).float().mean()),
        "accuracy_fake": float((fake < threshold).float().mean()),
    }


def apart(fake: Tensor) -> dict[str, float]:
    """The game read as Huber's model: a share of the real rows stands apart and the generator matches the rest.

    There the best D is (1 - eps) / (2 - eps) on generated rows, so that E -log(1 - D) = log(2 - eps) there.

    Returns:
        eps_hat: that share, as the scores (n,) of generated rows tell it; below 0, to -1, where D believes in them.
        loss_at_eps_hat: what the discriminator's loss would then be; 2 log 2 for a share of 0.
    """
    eps = 2 - min(math.exp(min(float(F.softplus(fake).mean()), 2.0)), 3.0)
    return {"eps_hat": eps, "loss_at_eps_hat": contaminated_loss(max(eps, 0.0))}


def contaminated_loss(eps: float) -> float:
    """The discriminator's least loss where a share `eps` of the real rows stands apart and the rest is matched."""
    matched = (1 - eps) * math.log((1 - eps) / (2 - eps)) if eps < 1 else 0.0
    return math.log(2 - eps) - matched


class Logistic:
    """The discriminator of Goodfellow et al. (2014), eq. 1: the log-likelihood of telling real from generated."""

    paired: ClassVar[bool] = False
    scale: ClassVar[str] = "logit"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """D(real), D(fake), accuracies, a lower bound of the Jensen-Shannon divergence in nats, and `apart`'s pair."""
        proven = math.log(2) - float(Logistic.discriminator(self, real, fake)) / 2
        means = {"D_real": float(real.sigmoid().mean()), "D_fake": float(fake.sigmoid().mean())}
        return means | accuracies(real, fake) | {"js_lower_bound": proven} | apart(fake)


class Minimax(Logistic):
    """The saturating generator, min E log(1 - D(G(z))) (Goodfellow et al. 2014, Algorithm 1)."""

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -F.softplus(fake).mean()


class NonSaturating(Logistic):
    """The "log D trick", min -E log D(G(z)) (Goodfellow et al. 2014, section 3)."""

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-fake).mean()


@dataclass(frozen=True)
class Redescending(Logistic):
    """A generator that learns from a sample in proportion to (1 - D)^power, less the more real it looks.

    Its loss is the tail of -log D = sum (1 - D)^j / j from j = power on: at 1 that is `NonSaturating`. Where outliers
    lie in the data, D is high on samples; the higher the power, the less they pull, as in redescending M-estimators.

    Raises:
        ValueError: `power` is below 1.
    """

    power: int = 4

    def __post_init__(self) -> None:
        if self.power < 1:
            raise ValueError(f"power={self.power} is below 1")

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        doubt = (-fake).sigmoid()
        loss = F.softplus(-fake)
        for j in range(1, self.power):
            loss = loss - doubt**j / j
        return loss.mean()


@dataclass(frozen=True)
class Smoothed(NonSaturating):
    """One-sided label smoothing: real samples count as real to the degree `label` (Salimans et al. 2016, section 3.4).

    The optimum moves to D = label p / (p + q): where p = q it is 0.45 and the discriminator's loss 1.376 at label 0.9.
    Generated samples keep label 0; otherwise the optimum would follow the generator where there are no data.

    Raises:
        ValueError: `label` is not in (0, 1].
    """

    label: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.label <= 1:
            raise ValueError(f"label={self.label} is not in (0, 1]")

    @property
    def middle(self) -> float:
        """The score at which p = q, where D = label / 2."""
        return math.log(self.label / (2 - self.label))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        # -a log D - (1 - a) log(1 - D) is the plain loss plus (1 - a) times the logit
        return super().discriminator(real, fake) + (1 - self.label) * real.mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """As without smoothing, accuracies about the score at which p = q; the bound holds but is loose."""
        found = super().summary(real, fake) | accuracies(real, fake, self.middle)
        return {name: value for name, value in found.items() if name not in apart(fake)}


class LeastSquares:
    """Scores are pulled to 1 for real and to 0 for generated samples (Mao et al. 2017, eq. 9: a=0, b=c=1)."""

    paired: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (fake - 1).square().mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        return {"D_real": float(real.mean()), "D_fake": float(fake.mean())} | accuracies(real, fake, 0.5)


class Hinge:
    """Scores count until they pass the margin 1 (Lim and Ye 2017; Miyato et al. 2018, eq. 16-17)."""

    paired: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -fake.mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        return {"score_real": float(real.mean()), "score_fake": float(fake.mean())} | accuracies(real, fake)


class Wasserstein:
    """The Wasserstein-1 distance up to the critic's Lipschitz constant (Arjovsky et al. 2017, eq. 2)."""

    paired: ClassVar[bool] = False
    scale: ClassVar[str] = "distance"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -fake.mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """The estimate E f(real) - E f(fake): positive when the critic is right, and free of any penalty."""
        means = {"score_real": float(real.mean()), "score_fake": float(fake.mean())}
        return {"wasserstein_estimate": means["score_real"] - means["score_fake"]} | means


class Relativistic:
    """Each real sample against one generated (RpGAN, Jolicoeur-Martineau 2019; R3GAN, Huang et al. 2024, eq. 2)."""

    paired: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(real - fake).mean()

    def summary(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """Mean scores, and the share of pairs in which the real sample scores higher."""
        means = {"score_real": float(real.mean()), "score_fake": float(fake.mean())}
        return means | {"accuracy_paired": float((real > fake).float().mean())}
