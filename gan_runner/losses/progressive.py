"""Progressive growing: any game, played at a resolution that doubles as training goes on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.errors import UsageError
from gan_runner.losses.objective import Around
from gan_runner.state import Clock, Logs, State


@runtime_checkable
class Grows(Protocol):
    """A network of `levels` resolutions; at `level` k it works at the full size / 2^k."""

    levels: int
    level: int

    def grow(self, lod: float) -> None:
        """Be at this level of detail, from levels - 1 (coarsest) to 0."""
        ...


@dataclass(frozen=True)
class Progressive(Around):
    """Trains at 4 x 4 pixels, then at 8 x 8, and so on; each new resolution fades in (Karras et al. 2018, section 2).

    The level of detail falls linearly by 1 in each fade. Real images are faded like generated ones: the resolution
    before, enlarged, goes over into the new one with the same weight. Where a resolution opens, the players forget
    their moments. Networks without levels play their part as ever, on what the others show them.

    Attributes:
        game: what is played.
        stable: real images for which a resolution is kept.
        fade: real images for which the next one fades in; 0 lets it appear at once.
        multiples: batches per update at 4 x 4, 8 x 8, ...; the last holds for all that follow. One each if empty.

    Raises:
        ValueError: `stable` or a multiple is below 1, or `fade` negative.
    """

    stable: int = 600_000
    fade: int = 600_000
    multiples: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.stable < 1:
            raise ValueError(f"stable={self.stable} is not positive: give the images for which a resolution is kept")
        if self.fade < 0:
            raise ValueError(f"fade={self.fade} is negative: give the images for which a resolution fades in")
        if any(times < 1 for times in self.multiples):
            raise ValueError(f"multiples={list(self.multiples)} must all be 1 or more")

    # -- time --------------------------------------------------------------------------------------

    def grown(self, seen: int) -> float:
        """How many doublings have opened after `seen` images, the last counted by how far it has faded in."""
        phase, rest = divmod(seen, self.stable + self.fade)
        return phase + max(rest - self.stable, 0) / max(self.fade, 1)

    def lod(self, seen: int, levels: int) -> float:
        """The level of detail of networks with so many levels, after `seen` images."""
        return max(levels - 1 - self.grown(seen), 0.0)

    def batches(self, clock: Clock) -> int:
        if not self.multiples:
            return self.game.batches(clock)
        awake = min(math.ceil(self.grown(clock.seen)), len(self.multiples) - 1)
        return self.multiples[awake] * self.game.batches(clock)

    def setup(self, s: State, rows: int) -> None:
        nets = growing(s)
        if not nets:
            warnings.warn("loss=progressive: no network of this model grows; choose model=growing", stacklevel=2)
        else:
            self.check(nets[0].levels)
            s.memory["lod"] = torch.zeros((), dtype=torch.float64, device=next(s.nets.parameters()).device)
            self.grow(s, self.lod(0, nets[0].levels))
        self.game.setup(s, rows)

    def check(self, levels: int) -> None:
        """Refuse batches for more resolutions than the data have."""
        if len(self.multiples) > levels:
            what = f"loss.multiples={list(self.multiples)} is longer than the {levels} resolutions of the data"
            raise UsageError(what, f"give at most {levels} numbers", id="F61")

    def prepare(self, s: State) -> tuple[int, Hashable]:
        nets = growing(s)
        if not nets:
            return 0, self.game.prepare(s)
        lod = self.lod(s.clock.seen, nets[0].levels)
        if math.floor(lod) != nets[0].level:
            for player in s.players.values():
                player.forget()
        self.grow(s, lod)
        return math.floor(lod), self.game.prepare(s)

    def grow(self, s: State, lod: float) -> None:
        """Write the level of detail where steps and samples read it."""
        s.memory["lod"].fill_(lod)
        for net in growing(s):
            net.grow(lod)

    # -- the game ----------------------------------------------------------------------------------

    def step(self, s: State, x: Tensor, key: tuple[int, Hashable]) -> Logs:
        level, inner = key
        if "lod" not in s.memory:
            return self.game.step(s, x, inner)
        x = at_detail(x, s.memory["lod"], level)
        return self.game.step(s, x, inner) | {"growth/lod": s.memory["lod"].float()}


def growing(s: State) -> list[Grows]:
    """The networks that grow, and after them their averages."""
    return [net for net in (*s.nets.values(), *s.average.values()) if isinstance(net, Grows)]


def at_detail(x: Tensor, lod: Tensor, level: int) -> Tensor:
    """Images (n, c, size, size) as they look at a level of detail (0-d) whose integer part is `level`."""
    for _ in range(level):
        x = F.avg_pool2d(x, 2)
    coarse = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0)
    x = torch.lerp(x, coarse, (lod - level).to(x.dtype))
    return F.interpolate(x, scale_factor=float(2**level)) if level else x
