"""Scores of outliers: their sign, their laws, and how well they rank, against counting by hand."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner.build import build
from gan_runner.datasets.coding import Affine
from gan_runner.datasets.huber import huber
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw
from gan_runner.metrics import location, outliers, ranking
from gan_runner.metrics.detection import Detection
from gan_runner.metrics.location import Location, likeliest
from gan_runner.metrics.scatter import Scatter
from tests.conftest import compose

TIED = [
    ([3, 1, 1, 2, 1, 2], [1, 0, 1, 1, 0, 0]),
    ([1, 1, 1, 1], [1, 0, 0, 1]),
    ([5, 4, 3, 2, 1], [0, 0, 1, 0, 1]),
    ([2, 2, 0, 0, 0, 1, 1], [1, 1, 0, 0, 1, 0, 0]),
]


def tensors(scores: list[int], truth: list[int]) -> tuple[Tensor, Tensor]:
    return torch.tensor(scores).float(), torch.tensor(truth).bool()


@pytest.mark.parametrize(("scores", "truth"), TIED)
def test_auroc_counts_pairs_and_halves_of_ties(scores: list[int], truth: list[int]) -> None:
    pairs = list(zip(scores, truth, strict=True))
    duels = [(a > b) + (a == b) / 2 for a, t in pairs if t for b, u in pairs if not u]
    assert ranking.auroc(*tensors(scores, truth)) == pytest.approx(sum(duels) / len(duels))


@pytest.mark.parametrize(("scores", "truth"), TIED)
def test_average_precision_is_a_sum_over_thresholds(scores: list[int], truth: list[int]) -> None:
    total, before = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        flagged = [t for s, t in zip(scores, truth, strict=True) if s >= threshold]
        total += (sum(flagged) - before) / sum(truth) * sum(flagged) / len(flagged)
        before = sum(flagged)
    assert ranking.average_precision(*tensors(scores, truth)) == pytest.approx(total)
    area = torch.trapezoid(*reversed(ranking.roc(*tensors(scores, truth))))
    assert float(area) == pytest.approx(ranking.auroc(*tensors(scores, truth))), "ties are slopes of the curve"


@pytest.mark.parametrize(("scores", "truth"), TIED)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_precision_is_the_mean_over_all_orders_of_ties(scores: list[int], truth: list[int], k: int) -> None:
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    expected = sum(sum(truth[i] for i in order[:k]) / k for order in orders) / len(orders)
    assert ranking.precision(*tensors(scores, truth), k) == pytest.approx(expected)


@pytest.mark.parametrize(("scores", "truth"), TIED)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_f1_flags_all_that_tie_with_the_last(scores: list[int], truth: list[int], k: int) -> None:
    flagged = [s >= sorted(scores, reverse=True)[k - 1] for s in scores]
    hits = sum(f and bool(t) for f, t in zip(flagged, truth, strict=True))
    precision, recall = hits / sum(flagged), hits / sum(truth)
    expected = 2 * precision * recall / (precision + recall) if hits else 0.0
    assert ranking.f1(*tensors(scores, truth), k) == pytest.approx(expected)


def test_rankings_do_not_depend_on_the_order_of_rows_or_the_scale_of_scores() -> None:
    g = torch.Generator().manual_seed(0)
    scores, truth = torch.randint(0, 9, (60,), generator=g).double(), torch.rand(60, generator=g) < 0.3
    order = torch.randperm(60, generator=g)
    found = ranking.ranking(scores, truth, 20)
    assert found == pytest.approx(ranking.ranking(scores[order].exp(), truth[order], 20))
    assert all(math.isnan(v) for v in ranking.ranking(scores, torch.zeros(60).bool(), 5).values())


# -- scores ----------------------------------------------------------------------------------------


class Line(nn.Module):
    """Points (z, 2 z)."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z, 2 * z], 1)


class Height(nn.Module):
    """A discriminator that looks at the second coordinate."""

    def features(self, x: Tensor) -> Tensor:
        return 3 * x[:, 1:]


class Fixed:
    """A draw with a known generator, law and judge."""

    def __init__(self, samples: Tensor, law: dict[str, Tensor] | None = None):
        self.samples, self.known = samples, law
        nets = {"discriminator": Height()}
        self.state = SimpleNamespace(nets=nets, averaged=lambda: SimpleNamespace(nets=nets))
        self.objective = SimpleNamespace(generate=lambda s, z: Line()(z))

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.samples[torch.arange(n) % len(self.samples)]

    def law(self) -> dict[str, Tensor] | None:
        return self.known

    def latents(self, n: int) -> Tensor:
        return torch.zeros(n, 1)

    def judge(self, x: Tensor) -> Tensor:
        return x.sum(1)


def test_inversion_is_what_the_generator_cannot_make() -> None:
    """Off (z, 2 z) by u in the second coordinate: z = x_1 + t moves the residual; both parts are convex in t."""
    x = torch.tensor([[0.3, 0.6], [-0.4, -0.8], [0.2, 1.4]])
    draw: Any = Fixed(torch.zeros(1, 2))
    found = outliers.inversion(draw, x, steps=400, weight=0.25, rate=0.01)
    # with u = 1: .75 (|t| + |1 - 2 t|) + .25 * 3 |1 - 2 t| is least at t = 1/2, .75 * .5
    assert found.tolist() == pytest.approx([0, 0, 0.375], abs=0.03)


def test_nothing_is_inverted_for_who_judges_packs() -> None:
    run = build(compose("dataset=ring8", "dataset.n=300", "model=mlp_packed", "probes=none"))
    draw = Draw(run.objective, run.state, run.source.device, 0)
    assert outliers.inversion(draw, run.source.take(torch.arange(4)), steps=1) is None


def test_distances_are_mahalanobis_of_the_law_or_of_samples() -> None:
    scatter = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[1.0, 1.0], [5.0, 1.0], [1.0, 4.0]])
    known: Any = Fixed(torch.zeros(1, 2), {"location": torch.ones(2), "scatter": scatter})
    assert outliers.mahalanobis(known, x).tolist() == pytest.approx([0, 2, 3])
    samples: Any = Fixed(1 + torch.tensor([[2.0, 1.0], [-2.0, 1.0], [2.0, -1.0], [-2.0, -1.0]]))
    assert outliers.mahalanobis(samples, x).tolist() == pytest.approx([0, 2, 3], rel=1e-3)


@pytest.mark.parametrize("known", [True, False])
def test_rarity_is_minus_the_logarithm_of_a_density(known: bool) -> None:
    g = torch.Generator().manual_seed(0)
    law = {"location": torch.ones(2), "scatter": torch.tensor([[1.0, 0.5], [0.5, 2.0]])} if known else None
    draw: Any = Fixed(1 + torch.randn(300, 2, generator=g) if not known else torch.zeros(1, 2), law)
    side = torch.linspace(-9, 11, 81)
    grid = torch.cartesian_prod(side, side)
    mass = (-outliers.rarity(draw, grid)).exp().sum() * (side[1] - side[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=2e-3)


def test_a_users_own_rows_are_scored_by_the_critic_itself() -> None:
    run = build(compose("experiment=huber_small", "dataset.n=1000", "probes=none"))
    draw = Draw(run.objective, run.state, run.source.device)
    x = torch.randn(7, 10)
    found = outliers.logit(draw, x)
    assert found is not None and torch.equal(found, run.state.nets["discriminator"](x).detach().double())


def test_detection_of_a_critic_that_knows() -> None:
    """Outliers of shift 5 have a larger sum: AUROC 1; every score is there, of as many rows as it should."""
    source = huber(p=2, n=600, shift=8.0, covariance=1.0)
    draw: Any = Fixed(torch.randn(100, 2, generator=torch.Generator().manual_seed(0)))
    probe = Detection(few=200, inversion=3)
    found = probe(draw, source)
    scalars = found.scalars
    for name in ("logit", "mahalanobis", "density", "mcd", "median"):
        assert scalars[f"auroc_{name}"] > 0.999 and scalars[f"f1_{name}"] == pytest.approx(1, abs=0.02)
    names = {key.removeprefix("auroc_") for key in scalars if key.startswith("auroc_")}
    assert names == {"logit", "mahalanobis", "density", "inversion", "mean", "median", "forest", "mcd", "lof"}
    assert scalars["logit_clean_expected"] == pytest.approx(math.log(0.8))
    clean = source.data[~source.truth["outlier"]].sum(1)
    assert scalars["logit_clean"] == pytest.approx(float(clean.median()))
    (rgb,) = found.pictures.values()
    assert rgb.dtype == torch.uint8 and len(rgb.flatten(0, 1).unique(dim=0)) > 50
    assert Detection()(draw, Source(Spec((2,), "table"), torch.zeros(5, 2))).scalars == {}


# -- location and scatter --------------------------------------------------------------------------


def test_errors_of_a_law_are_exact_and_those_of_its_rivals_ordered() -> None:
    source = huber(p=4, n=4000, correlation=0.5)
    truth = source.truth["scatter"]
    off = torch.diag(torch.tensor([0.3, -0.4, 0.0, 0.0]))
    draw: Any = Fixed(torch.zeros(1, 4), {"location": torch.tensor([0.3, 0.4, 0, 0]), "scatter": truth + off})
    found = Scatter()(draw, source).scalars | Location()(draw, source).scalars
    assert found["scatter_error"] == pytest.approx(0.5, rel=1e-5)
    assert found["scatter_error_operator"] == pytest.approx(0.4, rel=1e-5)
    assert found["location_error"] == pytest.approx(0.5, rel=1e-5)
    assert found["scatter_error_floor"] < found["scatter_error_mcd"] < 0.3 < 10 < found["scatter_error_covariance"]


def test_laws_are_compared_in_natural_units() -> None:
    source = Source(Spec((2,), "table"), torch.zeros(3, 2), coding=Affine([1.0, 2.0], [2.0, 3.0]))
    found = location.in_units(torch.tensor([1.0, 1.0]), torch.tensor([[1.0, 0.5], [0.5, 1.0]]), source)
    assert found[0].tolist() == [3, 5] and found[1].tolist() == [[4, 3], [3, 9]]


def test_likeliest_of_gaussians_are_moments_and_of_cauchys_are_not_fooled() -> None:
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, scatter = location.likeliest(x, math.inf)
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(scatter, torch.cov(x.T, correction=0))
    heavy = huber(eps=0.0, p=3, n=20_000, freedom=1.0, correlation=0.5)
    mean, scatter = location.likeliest(heavy.data, 1.0, rounds=100)
    assert mean.norm() < 0.05
    torch.testing.assert_close(scatter, heavy.truth["scatter"].double(), atol=0.05, rtol=0)


def test_a_scatter_without_a_direction_puts_rows_in_it_far_away() -> None:
    """A generator that never makes a column vary has a singular scatter; a row that does vary there is an outlier."""
    flat = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    far, near = outliers.distance(torch.tensor([[0.0, 0.1], [3.0, 0.0]]), torch.zeros(2).double(), flat)
    assert near == pytest.approx(3, rel=1e-6) and far > 1000


def test_ranks_of_many_rows_are_exact() -> None:
    flags = torch.arange(50_000) >= 45_000
    assert ranking.auroc(torch.arange(50_000).double(), flags) == 1.0


def test_the_likeliest_scatter_of_heavy_tails_is_found() -> None:
    g = torch.Generator().manual_seed(0)
    z, chi = torch.randn(4000, 50, generator=g), torch.randn(4000, 1, generator=g).abs()
    few, many = (likeliest(z / chi, 1.0, rounds) for rounds in (30, 400))
    for a, b in zip(few, many, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
    assert float(many[1].diagonal().mean()) == pytest.approx(1, abs=0.05)


def test_one_column_has_a_scatter_too() -> None:
    source = huber(p=1, n=400)
    assert Scatter(n=400).baselines(source)["scatter_error_floor"] < 0.3
