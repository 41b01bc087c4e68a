"""What a learnt energy says: the density it stands for in the plane, and whether strange rows have more of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import novelty, rows
from gan_runner.metrics.disguises import disguised, framed, resized
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.ranking import auroc
from gan_runner.pictures.energy import densities, histograms


@dataclass(frozen=True)
class LearnedDensity:
    """`density_kl`, KL(p || q) in nats of a mixture p whose modes are known from q = exp(score) / Z in the plane.

    Z is a sum over a mesh of a square; the floor of the KL is 0. It means something where scores are log-densities but
    for a constant, as minus energies are. The picture `learned_density` has both.

    Args:
        every: steps between two calls.
        reach: half the side of the square, in the scale of training.
        mesh: points along it; `density_kl` is missing where fewer than two lie within a standard deviation of p.

    Raises:
        ValueError: `reach` or `mesh` is not positive.
    """

    every: int = 0
    reach: float = 3.0
    mesh: int = 600

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "truth"

    def __post_init__(self) -> None:
        if self.reach <= 0 or self.mesh < 2:
            raise ValueError(f"reach={self.reach} must be above 0, and mesh={self.mesh} 2 or more")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "modes" not in source.truth or source.spec.shape != (2,):
            return Findings()
        line = torch.linspace(-self.reach, self.reach, self.mesh)
        at = torch.cartesian_prod(line, line).to(source.device)
        score, points = draw.judge(at), source.decode(at).cpu().double()
        sd, step = float(source.truth["sd"]), float(points[1, 1] - points[0, 1])
        if score is None or len(score) != len(at) or 2 * step > sd:
            return Findings()
        log_p = log_mixture(points, source.truth["modes"].cpu().double(), sd)
        log_q = log_normalised(score.cpu().double(), step**2)
        picture = densities(points, log_p.exp(), log_q.exp(), source.truth["modes"].cpu(), source.spec.names)
        return Findings({"density_kl": divergence(log_p, log_q, step**2)}, {"learned_density": picture})


def log_mixture(points: Tensor, modes: Tensor, sd: float) -> Tensor:
    """Log-density (n,) of equally likely round Gaussians at modes (k, 2), of points (n, 2)."""
    heights = -0.5 * torch.cdist(points, modes).square() / sd**2
    return heights.logsumexp(1) - math.log(len(modes) * 2 * math.pi * sd**2)


def log_normalised(score: Tensor, cell: float) -> Tensor:
    """Log-density (n,) of a law that is exp(score) / Z on a mesh whose points stand for an area of `cell` each."""
    return score - score.logsumexp(0) - math.log(cell)


def divergence(log_p: Tensor, log_q: Tensor, cell: float) -> float:
    """KL(p || q) in nats of log-densities (n,) on a mesh."""
    return float((log_p.exp() * (log_p - log_q)).sum() * cell)


@dataclass(frozen=True)
class Outsiders:
    """`auroc_SCORE_NAME`: how often a strange image scores above one that training never saw; 0.5 by chance.

    Strange images are resized by bilinear interpolation where their size is another; strange sets of other channels are
    left out. Since plain images may well have little energy, those of a set are judged once more as NAME_framed: as
    small as MNIST's, in black. `auroc_SCORE_disguised` is the mean over unseen images that were spoiled in seven ways,
    by which to choose a score: one chosen by NAME knows NAME.

    Beside these `energy_real` and `energy_generated`, means of unseen images and of samples, energies being minus the
    scores of whoever judges, and a picture `strangers_SCORE` of each score.

    Args:
        others: name -> a data set of images, given by its `_target_`.
        scores: name -> what says how strange an image is; the energy alone if not given.
        every: steps between two calls.
        n: images of each kind.
        known: training images that scores are told of; all where there are fewer.
    """

    others: Mapping[str, Source]
    scores: Mapping[str, novelty.Score] = field(default_factory=lambda: {"energy": novelty.Energy()})
    every: int = 0
    n: int = 1000
    known: int = 60_000

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "unseen"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, spare = rows.halves(rows.reference(source), self.n)
        usual, strange, spoiled = {"real": real, "generated": draw(self.n)}, self.strangers(source), disguised(spare)
        groups = usual | strange | {f"disguised {name}": x for name, x in spoiled.items()}
        known, x = rows.some(source, self.known), torch.cat([*groups.values()])
        energy, found = draw.judge(x), Findings()
        if energy is None or len(energy) != len(x):
            return found
        told = split(-energy, groups)
        found.scalars = {f"energy_{name}": float(told[name].mean()) for name in usual}
        for kind, score in self.scores.items():
            if (strangeness := score(draw, known, x)) is not None:
                told = split(strangeness, groups)
                ranks = {name: above(told["real"], told[name]) for name in groups.keys() - usual.keys()}
                found.scalars |= {f"auroc_{kind}_{name}": ranks[name] for name in strange}
                found.scalars[f"auroc_{kind}_disguised"] = mean(ranks[name] for name in ranks.keys() - strange.keys())
                shown = {name: told[name] for name in usual | strange}
                found.pictures[f"strangers_{kind}"] = histograms(shown, f"{kind}, high where images are strange")
        return found

    def strangers(self, source: Source) -> dict[str, Tensor]:
        """name -> strange images (n, *shape), large and small."""
        found, size = {}, source.spec.shape[1:]
        for name, other in self.others.items():
            if other.spec.shape[0] == source.spec.shape[0]:
                strange = rows.some(other, self.n).to(source.device)
                found |= {name: resized(strange, size), f"{name}_framed": framed(strange, size)}
        return found


def split(values: Tensor, groups: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """name -> its own of values (n,) that belong to the rows of all groups in succession."""
    parts = values.cpu().double().split([len(x) for x in groups.values()])
    return dict(zip(groups, parts, strict=True))


def above(real: Tensor, strange: Tensor) -> float:
    """How often one of the strange scores is above one of the real."""
    return auroc(torch.cat([real, strange]), torch.arange(len(real) + len(strange)) >= len(real))
