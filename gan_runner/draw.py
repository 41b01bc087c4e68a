"""Samples as probes and the `sample` command ask for them: the same noise every time, training undisturbed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from gan_runner.loop import reseed
from gan_runner.losses.objective import Objective
from gan_runner.models.packing import pack_of
from gan_runner.state import State, evaluating

T = TypeVar("T")

CHUNK = 256
"""Samples made, or judged, at once."""
FEW = 10
"""Long paths made at once."""
KEPT = 1 << 29
"""Bytes of samples that a stopwatch keeps of one call; of more, those who stream them hold some at a time."""


class Draw:
    """Draws from a state through its objective, in evaluation mode and without gradients.

    Noise comes in chunks that depend on `seed` and the chunk's number alone, so the first k of n samples come from the
    noise of a call for k. Training re-seeds before every step, so drawing changes nothing there.

    Attributes:
        cost: seconds a sample of the last call for a chunk or more; None before one.
    """

    def __init__(self, objective: Objective, state: State, device: torch.device, seed: int = 0):
        self.objective, self.state, self.device, self.seed = objective, state, device, seed
        self.cost: float | None = None

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        """(n, *shape) samples, from the moving average unless `live`."""
        return torch.cat([*self._parts(n, live)])

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        """The same, some at a time."""
        return self._parts(n, live)

    @torch.no_grad()
    def _parts(self, n: int, live: bool) -> Iterator[Tensor]:
        s, spent = self.state if live else self.state.averaged(), 0.0
        with evaluating(s.nets.values()):
            made = (self.objective.generate(s, z) for z in self.chunks(s, n))
            for _ in range(0, n, CHUNK):
                part, seconds = timed(lambda: next(made))
                spent += seconds
                yield part
        self.cost = spent / n if n >= CHUNK else self.cost

    @torch.no_grad()
    def latents(self, n: int) -> Tensor:
        """(n, latent): what a call for n samples makes them from."""
        s = self.state.averaged()
        with evaluating(s.nets.values()):
            return torch.cat([*self.chunks(s, n)])

    @torch.no_grad()
    def generate(self, z: Tensor) -> Tensor:
        """(n, *shape) samples of latents (n, latent), from the moving average."""
        s = self.state.averaged()
        with evaluating(s.nets.values()):
            return torch.cat([self.objective.generate(s, part) for part in z.split(CHUNK)])

    def chunks(self, s: State, n: int) -> Iterator[Tensor]:
        for chunk in range(0, n, CHUNK):
            reseed(self.seed, -1 - chunk // CHUNK, self.device)
            yield self.objective.latent(s, CHUNK)[: n - chunk]

    @torch.no_grad()
    def interpolate(self, rows: int, columns: int) -> Tensor | None:
        """(rows * columns, *shape): row by row from one latent to another, along the great circle between them."""
        s = self.state.averaged()
        with evaluating(s.nets.values()):
            reseed(self.seed, -1, self.device)
            ends = self.objective.latent(s, 2 * rows)
            if ends.dim() != 2:
                return None
            start, end = ends.chunk(2)
            t = torch.linspace(0, 1, columns, device=ends.device, dtype=ends.dtype)
            walk = torch.stack([slerp(start, end, float(fraction)) for fraction in t], 1)
            return self.objective.generate(s, walk.flatten(0, 1))

    @torch.no_grad()
    def paths(self, n: int, days: int, law: Callable[[Tensor], Tensor] | None = None) -> Tensor | None:
        """(n, columns, days): paths of any length; None if the generator makes windows of one length alone.

        Args:
            law: what makes paths of noise, in place of the generator.
        """
        s = self.state.averaged()
        make_noise = getattr(s.nets["generator"], "path_noise", None) if "generator" in s.nets else None
        if make_noise is None:
            return None
        made = []
        with evaluating(s.nets.values()):
            for first in range(0, n, FEW):
                reseed(self.seed, -1 - first // FEW, self.device)
                noise = make_noise(FEW, days)[: n - first]
                made.append(law(noise) if law else self.objective.generate(s, noise))
        return torch.cat(made)

    @torch.no_grad()
    def judge(self, x: Tensor) -> Tensor | None:
        """Scores (n,) of samples (n, *shape) by the live discriminator; None if there is none.

        Where it judges packs of k, (n // k,): samples that do not fill one are left out.
        """
        nets = self.state.nets
        pack = max(map(pack_of, nets.values()), default=1)
        whole, at_once = len(x) // pack * pack, max(CHUNK // pack, 1) * pack
        with evaluating(nets.values()):
            reseed(self.seed, -1, self.device)
            scores = [self.objective.judge(nets, part) for part in x[:whole].split(at_once)]
        known = [part for part in scores if part is not None]
        return torch.cat(known) if known else None

    def slope(self, x: Tensor) -> Tensor | None:
        """Gradients (n, *shape) of the sum of what `judge` says of samples (n, *shape); None if nobody judges."""
        nets, found = self.state.nets, []
        with evaluating(nets.values()), torch.enable_grad():
            reseed(self.seed, -1, self.device)
            for part in x.detach().split(CHUNK):
                score = self.objective.judge(nets, part.requires_grad_())
                if score is None:
                    return None
                found.append(torch.autograd.grad(score.sum(), part)[0])
        return torch.cat(found)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor | None:
        """The last hidden layer (n, f) of whoever judges samples (n, *shape); None where nobody knows it."""
        nets = self.state.nets
        with evaluating(nets.values()):
            found = [self.objective.features(nets, part) for part in x.split(CHUNK)]
        known = [part for part in found if part is not None]
        return torch.cat(known) if known else None

    @torch.no_grad()
    def likelihood(self, x: Tensor, samples: int) -> Tensor | None:
        """log p(x) (n,) of samples (n, *shape), or a bound below it by so many draws a row; None if nobody knows it."""
        s, found = self.state.averaged(), []
        with evaluating(s.nets.values()):
            for chunk, part in enumerate(x.split(CHUNK)):
                reseed(self.seed, -1 - chunk, self.device)
                found.append(self.objective.likelihood(s, part, samples))
        known = [part for part in found if part is not None]
        return torch.cat(known) if known else None

    @torch.no_grad()
    def law(self) -> dict[str, Tensor] | None:
        """The "location" (p,) and "scatter" (p, p) of samples, if the generator's moving average knows its own."""
        reseed(self.seed, -1, self.device)
        return self.objective.law(self.state.averaged())

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor | None:
        """Samples (n, *shape) by way of their latents, which the generator's moving average sends back."""
        s = self.state.averaged()
        with evaluating(s.nets.values()):
            reseed(self.seed, -1, self.device)
            return self.objective.reconstruct(s, x)


class Stopwatch(Draw):
    """A draw that knows how long samples take, and makes none twice.

    Attributes:
        spent: of "samples", and of long "paths": how many were made, and in how many seconds.
        most: the largest number that was asked for since somebody set it to 0.
    """

    def __init__(self, draw: Draw):
        super().__init__(draw.objective, draw.state, draw.device, draw.seed)
        self.spent: dict[str, tuple[int, float]] = {}
        self.most = 0
        self._kept: dict[tuple[str, int, int], Tensor | None] = {}

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        made = self._once(("samples", n, live), lambda: Draw.__call__(self, n, live=live))
        assert made is not None
        return made

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        if ("samples", n, live) in self._kept or n * Draw.__call__(self, 1, live=live).nbytes <= KEPT:
            yield from self(n, live=live).split(CHUNK)
        else:
            yield from self._parts(n, live)
            self._note("samples", n, n * (self.cost or 0.0))

    def paths(self, n: int, days: int, law: Callable[[Tensor], Tensor] | None = None) -> Tensor | None:
        if law is not None:
            return super().paths(n, days, law)
        return self._once(("paths", n, days), lambda: Draw.paths(self, n, days))

    def _once(self, key: tuple[str, int, int], make: Callable[[], Tensor | None]) -> Tensor | None:
        what, n, _ = key
        if key not in self._kept:
            self._kept[key], seconds = timed(make)
            if self._kept[key] is not None:
                self._note(what, n, seconds)
        if self._kept[key] is not None:
            self.most = max(self.most, n)
        return self._kept[key]

    def _note(self, what: str, n: int, seconds: float) -> None:
        made, took = self.spent.get(what, (0, 0.0))
        self.spent[what], self.most = (made + n, took + seconds), max(self.most, n)


def timed(make: Callable[[], T]) -> tuple[T, float]:
    """What is made, and the seconds until a GPU is done with it, too."""
    began, made = time.perf_counter(), make()
    if isinstance(made, Tensor) and made.is_cuda:
        torch.cuda.synchronize(made.device)
    return made, time.perf_counter() - began


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Between the rows of a and b (n, latent), at the fraction t of the angle between them (Shoemake 1985).

    On the straight line where no arc is the shortest or there is none: between parallel or opposite rows.
    """
    cosine = (a * b).sum(1, keepdim=True) / (a.norm(dim=1, keepdim=True) * b.norm(dim=1, keepdim=True))
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
    arc = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return torch.where(angle.sin() < 0.01, torch.lerp(a, b, t), arc)
