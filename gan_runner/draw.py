"""Samples as probes and the `sample` command ask for them: the same noise every time, training undisturbed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gan_runner.loop import reseed
from gan_runner.losses.objective import Objective
from gan_runner.state import State

CHUNK = 256
JUDGED = 252
"""Samples judged at once: packs of 2, 3, 4, 6 or 7 fill them."""


class Draw:
    """Draws from a state through its objective, in evaluation mode and without gradients.

    Noise comes in chunks that depend on `seed` and the chunk's number alone, so the first k of n samples come from the
    noise of a call for k. Training re-seeds before every step, so drawing changes nothing there.
    """

    def __init__(self, objective: Objective, state: State, device: torch.device, seed: int = 0):
        self.objective, self.state, self.device, self.seed = objective, state, device, seed

    @torch.no_grad()
    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        """(n, *shape) samples, from the moving average unless `live`."""
        with evaluating(self.state if live else self.state.averaged()) as s:
            return torch.cat([self.objective.generate(s, z) for z in self.chunks(s, n)])

    @torch.no_grad()
    def latents(self, n: int) -> Tensor:
        """(n, latent): what a call for n samples makes them from."""
        with evaluating(self.state.averaged()) as s:
            return torch.cat([*self.chunks(s, n)])

    @torch.no_grad()
    def generate(self, z: Tensor) -> Tensor:
        """(n, *shape) samples of latents (n, latent), from the moving average."""
        with evaluating(self.state.averaged()) as s:
            return torch.cat([self.objective.generate(s, part) for part in z.split(CHUNK)])

    def chunks(self, s: State, n: int) -> Iterator[Tensor]:
        for chunk in range(0, n, CHUNK):
            reseed(self.seed, -1 - chunk // CHUNK, self.device)
            yield self.objective.latent(s, CHUNK)[: n - chunk]

    @torch.no_grad()
    def interpolate(self, rows: int, columns: int) -> Tensor | None:
        """(rows * columns, *shape): row by row from one latent to another, along the great circle between them."""
        with evaluating(self.state.averaged()) as s:
            reseed(self.seed, -1, self.device)
            ends = self.objective.latent(s, 2 * rows)
            if ends.dim() != 2:
                return None
            start, end = ends.chunk(2)
            t = torch.linspace(0, 1, columns, device=ends.device, dtype=ends.dtype)
            walk = torch.stack([slerp(start, end, float(fraction)) for fraction in t], 1)
            return self.objective.generate(s, walk.flatten(0, 1))

    @torch.no_grad()
    def judge(self, x: Tensor) -> Tensor | None:
        """Scores (n,) of samples (n, *shape) by the live discriminator, or (n / k,) of packs; None if there is none."""
        with evaluating(self.state) as s:
            reseed(self.seed, -1, self.device)
            scores = [self.objective.judge(s.nets, part) for part in x.split(JUDGED)]
        known = [part for part in scores if part is not None]
        return torch.cat(known) if known else None

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor | None:
        """Samples (n, *shape) by way of their latents, which the generator's moving average sends back."""
        with evaluating(self.state.averaged()) as s:
            reseed(self.seed, -1, self.device)
            return self.objective.reconstruct(s, x)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Between the rows of a and b (n, latent), at the fraction t of the angle between them (Shoemake 1985)."""
    cosine = (a * b).sum(1, keepdim=True) / (a.norm(dim=1, keepdim=True) * b.norm(dim=1, keepdim=True))
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
    return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()


@contextmanager
def evaluating(s: State) -> Iterator[State]:
    """Networks in evaluation mode, and afterwards back in the mode each had."""
    modes = {role: net.training for role, net in s.nets.items()}
    s.nets.eval()
    try:
        yield s
    finally:
        for role, net in s.nets.items():
            net.train(modes[role])
