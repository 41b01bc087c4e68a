"""Variational bounds on the likelihood: encoder and decoder are one player, and there is no game."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor

from gan_runner.losses.objective import Objective
from gan_runner.losses.penalties import full
from gan_runner.state import Logs, Nets, State

AT_ONCE = 8192
"""Latents decoded at once where a likelihood is estimated: memory does not grow with the samples."""


class Decoder(Protocol):
    """p(x | z), what the role "generator" promises here; called, it makes the mean of x."""

    def noise(self, n: int) -> Tensor:
        """(n, latent) draws from the prior, the standard Gaussian."""
        ...

    def __call__(self, z: Tensor) -> Tensor: ...

    def observe(self, x: Tensor) -> Tensor:
        """The samples (n, *shape) that are modelled in place of x: binarised ones, for Bernoulli pixels."""
        ...

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) (n, k) in nats, of samples (n, *shape) under k latents each (n, k, latent)."""
        ...


@dataclass(frozen=True)
class Bound(Objective):
    """A lower bound on log p(x) by latents z = mu + sd * eps, eps from the prior; both networks climb it together.

    Attributes:
        samples: latents of each sample, k.

    Raises:
        ValueError: `samples` is below 1.
    """

    samples: int = 1

    players: ClassVar = {"generator": ("encoder", "generator")}
    averaged: ClassVar = ("encoder", "generator")

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples={self.samples} is below 1")

    def step(self, s: State, x: Tensor, key: None) -> Logs:
        x = decoder(s.nets).observe(x)
        return s.players["generator"].descend(self.loss, s.nets, x, noise(s.nets, len(x), self.samples))

    def loss(self, nets: Nets, x: Tensor, eps: Tensor) -> tuple[Tensor, Logs]:
        """Minus the mean bound, given x as observed and eps (n, k, latent); logs the ELBO's two parts."""
        mu, log_sd = encode(nets, x)
        likelihoods = decoder(nets).log_likelihood(x, place(mu, log_sd, eps))
        kl = divergence(mu, log_sd)
        loss = -self.bound(likelihoods, kl, log_ratio(mu, log_sd, eps)).mean()
        return loss, {
            "generator/loss": loss,
            "generator/reconstruction": -likelihoods.mean(),
            "generator/kl": kl.mean(),
        }

    def bound(self, likelihoods: Tensor, kl: Tensor, ratios: Tensor) -> Tensor:
        """The bound (n,) from log p(x | z) (n, k), KL(q | p) (n,) and log p(z) / q(z | x) (n, k)."""
        raise NotImplementedError

    def judge(self, nets: Nets, x: Tensor) -> Tensor:
        """The ELBO (n,), its expectation over z by `samples` draws."""
        x = decoder(nets).observe(x)
        mu, log_sd = encode(nets, x)
        z = place(mu, log_sd, noise(nets, len(x), self.samples))
        return decoder(nets).log_likelihood(x, z).mean(1) - divergence(mu, log_sd)

    def likelihood(self, s: State, x: Tensor, samples: int) -> Tensor:
        """log (1/k) sum_i p(x, z_i) / q(z_i | x) (n,): the ELBO for one sample, log p(x) for infinitely many."""
        x = decoder(s.nets).observe(x)
        mu, log_sd = encode(s.nets, x)
        whole, each = torch.full_like(mu[:, 0], -math.inf), max(AT_ONCE // len(x), 1)
        for first in range(0, samples, each):
            eps = noise(s.nets, len(x), min(each, samples - first))
            weights = decoder(s.nets).log_likelihood(x, place(mu, log_sd, eps)) + log_ratio(mu, log_sd, eps)
            whole = torch.logaddexp(whole, weights.logsumexp(1))
        return whole - math.log(samples)

    def reconstruct(self, s: State, x: Tensor) -> Tensor:
        """By way of the mean of q(z | x)."""
        mu, _ = encode(s.nets, decoder(s.nets).observe(x))
        return self.generate(s, mu)

    def summary(self, pooled: Mapping[str, Tensor]) -> dict[str, float]:
        return {"elbo": -float(pooled["generator/reconstruction"].mean() + pooled["generator/kl"].mean())}


@dataclass(frozen=True)
class Elbo(Bound):
    """E log p(x | z) - beta KL(q(z | x) | p(z)), the KL in closed form (Kingma and Welling 2014, eq. 10).

    Attributes:
        beta: 1 for a bound on the likelihood, above it for fewer and independent latents (Higgins et al. 2017).

    Raises:
        ValueError: `beta` is negative, or `samples` below 1.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta < 0:
            raise ValueError(f"beta={self.beta} is negative")

    def bound(self, likelihoods: Tensor, kl: Tensor, ratios: Tensor) -> Tensor:
        return likelihoods.mean(1) - self.beta * kl


class Iwae(Bound):
    """log (1/k) sum_i p(x, z_i) / q(z_i | x), tighter the larger k (Burda et al. 2016, eq. 8)."""

    def bound(self, likelihoods: Tensor, kl: Tensor, ratios: Tensor) -> Tensor:
        return (likelihoods + ratios).logsumexp(1) - math.log(likelihoods.shape[1])


def decoder(nets: Nets) -> Decoder:
    return cast(Decoder, nets["generator"])


def encode(nets: Nets, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log standard deviation of q(z | x), each (n, latent), in full precision."""
    mu, log_sd = nets["encoder"](x)
    return full(mu), full(log_sd)


def noise(nets: Nets, n: int, k: int) -> Tensor:
    """eps (n, k, latent), from the prior."""
    return decoder(nets).noise(n * k).unflatten(0, (n, k))


def place(mu: Tensor, log_sd: Tensor, eps: Tensor) -> Tensor:
    """Latents z (n, k, latent) of q(z | x), differentiable in both of its parameters."""
    return mu.unsqueeze(1) + log_sd.exp().unsqueeze(1) * eps


def divergence(mu: Tensor, log_sd: Tensor) -> Tensor:
    """KL(N(mu, sd^2) | N(0, 1)) (n,) in nats, summed over latents (n, latent)."""
    return 0.5 * ((2 * log_sd).exp() + mu.square() - 1 - 2 * log_sd).sum(1)


def log_ratio(mu: Tensor, log_sd: Tensor, eps: Tensor) -> Tensor:
    """log p(z) / q(z | x) (n, k) at z = mu + sd * eps."""
    return (0.5 * (eps.square() - place(mu, log_sd, eps).square()) + log_sd.unsqueeze(1)).sum(2)
