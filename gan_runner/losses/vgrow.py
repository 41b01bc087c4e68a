"""Variational gradient flow: the discriminator moves samples, and the generator learns where they went (VGrow)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.penalties import full
from gan_runner.state import Clock, Logs, Nets, State, evaluating

MOST = 100.0
"""Where paces that are exponentials stop."""


class Pace(Protocol):
    """How fast a sample follows grad d, for a divergence D_f(q || p) of generated q from real p."""

    def __call__(self, score: Tensor) -> Tensor:
        """s = r f''(r) (n,) from scores d = log p/q = -log r (n,)."""
        ...


class KL:
    """f = r log r, s = 1; a step is that of a Wasserstein game. KL(q || p): f-GAN papers call it the *reverse* KL."""

    def __call__(self, score: Tensor) -> Tensor:
        return torch.ones_like(score)


class JS:
    """f = r log r - (r + 1) log((r + 1) / 2), s = sigmoid(d); a step is that of the minimax game."""

    def __call__(self, score: Tensor) -> Tensor:
        return score.sigmoid()


class LogD:
    """f = (r + 1) log(r + 1) - 2 log 2, s = sigmoid(-d); a step is that of the non-saturating game (Theorem 3)."""

    def __call__(self, score: Tensor) -> Tensor:
        return (-score).sigmoid()


class Jeffrey:
    """f = (r - 1) log r, s = 1 + e^d: KL both ways."""

    def __call__(self, score: Tensor) -> Tensor:
        return (1 + score.exp()).clamp(max=MOST)


class ReverseKL:
    """f = -log r, s = e^d; KL(p || q), which f-GAN papers call KL."""

    def __call__(self, score: Tensor) -> Tensor:
        return score.exp().clamp(max=MOST)


@dataclass(frozen=True)
class VGrow(Adversarial):
    """Gao et al. (2019), Algorithm 1; with `inner`, `pool` and passes of 1 as Gao et al. (2022) train it.

    One iteration: a pool of samples is drawn; `inner` times the discriminator learns to tell them from real rows
    (`n_critic` steps with the payoff's loss), and every sample moves by eta s(d) grad d; then the generator learns, by
    least squares, to send its latents where their samples have gone.

    Attributes:
        divergence: which one falls along the flow.
        eta: step size of the samples, in the scale of training.
        inner: how many times they move in an iteration (T).
        pool: batches of samples that move together (N).
        passes: [[iteration, passes over the pool from then on], ...] of the generator, the first from 0.

    Raises:
        ValueError: a number is out of range, the payoff's scores are no logits, or there are extras or a warm-up.
    """

    divergence: Pace = field(default_factory=KL)
    eta: float = 0.5
    inner: int = 1
    pool: int = 1
    passes: Sequence[Sequence[int]] = ((0, 1),)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.extras or self.warmup or self.scale != "logit":
            raise ValueError("extras=..., warmup=..., payoff=...: a flow needs logits, and has neither of the others")
        if self.eta <= 0 or self.inner < 1 or self.pool < 1:
            raise ValueError(f"eta={self.eta} must be above 0, inner={self.inner} and pool={self.pool} 1 or more")
        if not self.passes or self.passes[0][0] != 0 or min(times for _, times in self.passes) < 1:
            raise ValueError(f"passes={list(self.passes)} must be pairs [iteration, passes >= 1], the first from 0")

    def batches(self, clock: Clock) -> int:
        return self.inner * self.n_critic

    def prepare(self, s: State) -> int:
        return [times for first, times in self.passes if s.clock.step >= first][-1]

    def step(self, s: State, x: Tensor, key: int) -> Logs:
        batch = len(x) // (self.inner * self.n_critic)
        z = self.latent(s, self.pool * batch)
        samples = start = self.sample_pool(s, z, batch)
        logs: Logs = {}
        for rows in x.chunk(self.inner):
            for real in rows.chunk(self.n_critic):
                logs |= self.criticise(s, real, samples[some(samples, batch)])
            samples = self.flow(s.nets, samples, batch)
        for _ in range(key):
            for index in some(samples, len(samples)).split(batch):
                logs |= s.players["generator"].descend(self.lesson, s.nets, z[index], samples[index])
        return logs | {"generator/shift": distance(samples, start)}

    @torch.no_grad()
    def sample_pool(self, s: State, z: Tensor, batch: int) -> Tensor:
        """Samples (n, *shape) of latents (n, latent), a batch at a time.

        In training mode, as the lessons are: between the modes of batch norm samples differ by a thousand times what a
        step along the flow moves them, and the generator would learn that difference. (The paper's code draws them in
        evaluation mode.)
        """
        return torch.cat([self.generate(s, part) for part in z.split(batch)])

    def flow(self, nets: Nets, samples: Tensor, batch: int) -> Tensor:
        """Samples (n, *shape) after one step along the velocity s(d) grad d, within what the generator can make."""
        D, bound = nets["discriminator"], getattr(nets["generator"], "bound", None)
        with evaluating([D]):
            moved = torch.cat([part + self.eta * self.velocity(D, part) for part in samples.split(batch)])
        return moved if bound is None else moved.clamp(-bound, bound)

    def velocity(self, D: nn.Module, samples: Tensor) -> Tensor:
        """-grad f'(q/p) at samples (n, *shape), by the chain rule s(d) grad d (Theorem 1)."""
        x = samples.detach().requires_grad_()
        score = full(D(x))
        (slope,) = torch.autograd.grad(score.sum(), x)
        pace = self.divergence(score.detach()).repeat_interleave(len(x) // len(score))  # neighbours share a pack
        return pace.view(-1, *[1] * (x.dim() - 1)) * slope

    @staticmethod
    def lesson(nets: Nets, z: Tensor, target: Tensor) -> tuple[Tensor, Logs]:
        """Half the mean squared distance of samples of latents (n, latent) from targets (n, *shape)."""
        loss = 0.5 * distance(full(nets["generator"](z)), target)
        return loss, {"generator/loss": loss}


def some(samples: Tensor, n: int) -> Tensor:
    """Indices (n,) of different samples, in random order."""
    return torch.randperm(len(samples), device=samples.device)[:n]


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean over rows of the squared distance (0-d) between a and b (n, *shape)."""
    return (a - b).flatten(1).square().sum(1).mean()
