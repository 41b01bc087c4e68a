"""What a decoder says of a sample: p(x | z) as independent entries, from one number for each.

Each takes the numbers (n, k, *shape) that the decoder makes of k latents of each sample, and the samples (n, *shape)
in the scale of training, [-1, 1] for images. Nothing is averaged: log-densities are sums over entries, in nats.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.models.roles import Spec

LOG_SD = 7.0
"""Learned standard deviations lie between exp(-LOG_SD) and exp(LOG_SD)."""


class Likelihood(nn.Module):
    """p(x | z), given what the decoder makes of z.

    Attributes:
        bound: the largest absolute value of its mean, None where there is none.
    """

    bound: float | None = 1.0

    def suit(self, spec: Spec) -> None:
        """Make what it learns for samples of this shape, once.

        Raises:
            ValueError: it cannot describe such samples.
        """
        if spec.kind != "image":
            name = type(self).__name__
            raise ValueError(f"{name} describes pixels, and a {spec.kind} has none: set likelihood to Gaussian")

    def observe(self, x: Tensor) -> Tensor:
        """The samples (n, *shape) that are modelled in place of x; they may be drawn."""
        return x

    def mean(self, raw: Tensor) -> Tensor:
        """E x, in the scale of training, for the decoder's numbers of any shape (n, *shape)."""
        raise NotImplementedError

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        """log p(x | z) (n, k) of samples x (n, *shape), given raw (n, k, *shape)."""
        return self.entries(x.unsqueeze(1), raw.to(torch.promote_types(raw.dtype, torch.float32))).flatten(2).sum(2)

    def entries(self, x: Tensor, raw: Tensor) -> Tensor:
        """log p of each entry of x (n, 1, *shape), given raw (n, k, *shape)."""
        raise NotImplementedError


class CrossEntropy(Likelihood):
    """Grey pixels as if they were probabilities, the cross-entropy of many tutorials; in nats, but no likelihood.

    The decoder's numbers are logits.
    """

    def mean(self, raw: Tensor) -> Tensor:
        return (raw / 2).tanh()  # 2 sigmoid(raw) - 1

    def entries(self, x: Tensor, raw: Tensor) -> Tensor:
        return (x + 1) / 2 * raw - F.softplus(raw)


class Bernoulli(CrossEntropy):
    """Black or white pixels, drawn anew at each look with their grey value as probability (dynamic binarisation).

    Of images that are black and white already, nothing is drawn.
    """

    def observe(self, x: Tensor) -> Tensor:
        return 2 * (torch.rand_like(x) < (x + 1) / 2).to(x.dtype) - 1


class ContinuousBernoulli(Likelihood):
    """Densities exp(t y) / integral of exp(t y) of pixels y in [0, 1] (Loaiza-Ganem and Cunningham 2019).

    The decoder's numbers are the t, which are logits of the paper's lambda.
    """

    def mean(self, raw: Tensor) -> Tensor:
        return langevin(raw / 2)

    def entries(self, x: Tensor, raw: Tensor) -> Tensor:
        return x / 2 * raw - log_sinhc(raw / 2)  # (x + 1) / 2 * raw less the logarithm of the integral


class Gaussian(Likelihood):
    """Entries around the decoder's numbers, with a standard deviation for each column or channel.

    Args:
        sd: the same for all, in the scale of training; learned, beginning at 1, if None.

    Raises:
        ValueError: `sd` is not positive.
    """

    bound = None

    def __init__(self, sd: float | None = None):
        super().__init__()
        if sd is not None and not sd > 0:
            raise ValueError(f"sd={sd} is not positive")
        self.sd = sd

    def suit(self, spec: Spec) -> None:
        start = torch.full((spec.shape[0], *[1] * (len(spec.shape) - 1)), math.log(self.sd or 1.0))
        self.log_sd = nn.Parameter(start) if self.sd is None else nn.Buffer(start)

    def mean(self, raw: Tensor) -> Tensor:
        return raw

    def entries(self, x: Tensor, raw: Tensor) -> Tensor:
        log_sd = self.log_sd.clamp(-LOG_SD, LOG_SD)
        return -0.5 * ((x - raw) * (-log_sd).exp()).square() - log_sd - 0.5 * math.log(2 * math.pi)


def usual(spec: Spec) -> Likelihood:
    """Bernoulli for images, a Gaussian with learned standard deviations for all else."""
    return Bernoulli() if spec.kind == "image" else Gaussian()


SMALL = 0.3
"""Below it, series of four terms are exact in float64 to 1e-9, and what they replace loses digits."""


def log_sinhc(t: Tensor) -> Tensor:
    """log(sinh(t) / t), even, 0 at 0, and |t| - log(2 |t|) far from it."""
    near, s = t.abs() < SMALL, t.square()
    far = torch.where(near, 1.0, t.abs())  # so that neither branch has a gradient that is not finite
    series = s * (1 / 6 + s * (-1 / 180 + s * (1 / 2835 - s / 37800)))
    return torch.where(near, series, far - (2 * far).log() + (-(-2 * far).expm1()).log())


def langevin(t: Tensor) -> Tensor:
    """coth(t) - 1 / t, the derivative of `log_sinhc`: odd, from -1 to 1."""
    near, s = t.abs() < SMALL, t.square()
    far = torch.where(near, 1.0, t)
    series = t * (1 / 3 + s * (-1 / 45 + s * (2 / 945 - s / 4725)))
    return torch.where(near, series, 1 / far.tanh() - 1 / far)
