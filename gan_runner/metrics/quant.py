"""A probe: long generated paths against the real one, and GARCH(1,1) against the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import baselines
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.stylised import HORIZONS, Scale, compare, emd, join, spread, sums


@dataclass(frozen=True)
class PathQuality:
    """Scores of generated paths of the first column against the training days; see `stylised.compare`.

    Each is also that of GARCH(1,1) fitted to these days (`_garch`), and of the days' own bootstrap (`_floor`): what is
    below it is no better. `unseen_emd` is the mean over horizons of the distance from the held-out days instead: by it
    settings and checkpoints may be chosen without a look at what is reported. Finds nothing where the generator makes
    windows of one length alone.

    Args:
        every: steps between two calls.
        n, days: number and length of paths; 500 of 4,000 in Quant GANs.
        points_per_bin, norm: see `stylised.Scale`.
    """

    every: int = 500
    n: int = 20
    days: int = 4000
    points_per_bin: int = 25
    norm: str = "l2"

    kinds: ClassVar[frozenset[str]] = frozenset({"series"})
    against: ClassVar[str] = "training"
    _beside: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Scale(self.points_per_bin, self.norm)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        paths = draw.paths(self.n, self.days)
        if paths is None:
            return Findings()
        fake, real, scale = (
            source.decode(paths)[:, 0].double().cpu(),
            days_of(source),
            Scale(self.points_per_bin, self.norm),
        )
        if source.digest not in self._beside:
            self._beside[source.digest] = beside(real, self.n, self.days, scale)
        found = compare(real, fake, scale) | self._beside[source.digest]
        return Findings(found | (unseen(days_of(source.held_out), fake) if source.held_out else {}))


def days_of(source: Source) -> Tensor:
    """The first column's log-returns (time,) in the order of time."""
    return join(source.decode(source.take(torch.arange(len(source)))).cpu())[0].double()


def beside(real: Tensor, n: int, days: int, scale: Scale) -> dict[str, float]:
    """The scores of GARCH paths, and of bootstrapped ones taken one by one."""
    garch = compare(real, baselines.fit_garch(real).paths(n, days), scale)
    floor = spread([compare(real, path[None], scale) for path in baselines.bootstrap(real, n)])
    return {f"{k}_garch": v for k, v in garch.items()} | {f"{k}_floor": v for k, v in floor.items()}


def unseen(real: Tensor, fake: Tensor) -> dict[str, float]:
    """The mean over horizons that held-out days (time,) know of the distances of paths (n, days) from them."""
    known = [days for days in HORIZONS if days < len(real) / 4]
    return {} if not known else {"unseen_emd": sum(emd(sums(real, d), sums(fake, d)) for d in known) / len(known)}
