"""Image metrics are those of torch-fidelity, torchmetrics, prdc and scikit-learn on the same features.

Conventions, where these differ among themselves:
  - Fréchet: covariances are unbiased everywhere; only how the root of their product is found differs.
  - KID: unbiased MMD^2 everywhere, of random subsets that no two packages draw alike. Where a subset is the whole, all
    agree; otherwise within their errors. Theirs is the deviation of subsets, ours that over the root of their number.
  - Precision and recall: balls are open here and in prdc, closed in torch-fidelity. On a lattice that matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gan_runner.metrics.frechet import frechet_distance, statistics
from gan_runner.metrics.kernel import cubic, kid
from gan_runner.metrics.precision import density_coverage, precision_recall, radii
from tests.test_metrics import normal

SAME: dict[str, Any] = {"rel": 1e-4, "abs": 1e-9}
SHAPES = [(200, 200, 6), (150, 90, 32), (60, 80, 64), (40, 50, 64)]
"""Numbers of real and of other rows, and of features; in the last both covariances are singular."""


def features(n: int, m: int, d: int) -> tuple[Tensor, Tensor]:
    """Real and other features (n, d), (m, d): correlated, of different scale and place."""
    mix = normal(d, d, seed=7).double() / d**0.5
    return normal(n, d).double() @ mix, 1.3 * normal(m, d, seed=1).double() @ mix + 0.2


class Itself(nn.Module):
    """Features that are their own extractor, as torchmetrics takes it."""

    def __init__(self, d: int):
        super().__init__()
        self.num_features = d

    def forward(self, x: Tensor) -> Tensor:
        return x


def told(metric: Any, real: Tensor, fake: Tensor) -> Any:
    """What a metric of torchmetrics computes of both."""
    metric = metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute()


@pytest.mark.parametrize("shape", SHAPES)
def test_frechet_distance_is_theirs(shape: tuple[int, int, int]) -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_fid")
    fid = pytest.importorskip("torchmetrics.image.fid").FrechetInceptionDistance
    real, fake = features(*shape)
    found = frechet_distance(*statistics(fake), *statistics(real))
    of = [theirs.fid_features_to_statistics(x) for x in (fake, real)]
    assert found == pytest.approx(theirs.fid_statistics_to_metric(*of, False)[theirs.KEY_METRIC_FID], **SAME)
    assert found == pytest.approx(float(told(fid(feature=Itself(shape[2])), real, fake)), **SAME)


@pytest.mark.parametrize("d", [6, 64])
def test_kid_of_one_whole_subset_is_theirs(d: int) -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    other = pytest.importorskip("torchmetrics.image.kid").KernelInceptionDistance
    real, fake = features(90, 90, d)
    found, _ = kid(fake, real, subsets=1, size=90)
    options = {"kid_subsets": 1, "kid_subset_size": 90, "verbose": False}
    assert found == pytest.approx(
        theirs.kid_features_to_metric(fake, real, **options)[theirs.KEY_METRIC_KID_MEAN], **SAME
    )
    mean, _ = told(other(feature=Itself(d), subsets=1, subset_size=90), real, fake)
    assert found == pytest.approx(float(mean), **SAME)


def test_kid_of_many_subsets_is_theirs_within_the_errors_of_both() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    real, fake = features(300, 260, 8)
    found, error = kid(fake, real, subsets=400, size=40)
    there = theirs.kid_features_to_metric(fake, real, kid_subsets=400, kid_subset_size=40, verbose=False)
    deviation = there[theirs.KEY_METRIC_KID_STD]
    assert error == pytest.approx(deviation / 400**0.5, rel=0.25), "theirs is of one subset, ours of their mean"
    assert abs(found - there[theirs.KEY_METRIC_KID_MEAN]) < 4 * (error**2 + deviation**2 / 400) ** 0.5 < found / 3


def test_the_kernel_and_the_radii_are_scikit_learns() -> None:
    from sklearn.metrics.pairwise import polynomial_kernel
    from sklearn.neighbors import NearestNeighbors

    real, fake = features(70, 50, 5)
    np.testing.assert_allclose(cubic(real, fake), polynomial_kernel(real, fake, degree=3, coef0=1), rtol=1e-10)
    for k in (1, 3, 5):
        near, _ = NearestNeighbors(n_neighbors=k).fit(real.numpy()).kneighbors()  # of the others alone
        np.testing.assert_allclose(radii(real, k), near[:, -1], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("shape", [(120, 150, 4), (150, 120, 64)])
def test_neighbourhoods_are_theirs(shape: tuple[int, int, int], k: int) -> None:
    prdc = pytest.importorskip("prdc")
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = features(*shape)
    found = [*precision_recall(real, fake, k), *density_coverage(real, fake, k)]
    names = ("precision", "recall", "density", "coverage")
    there = prdc.compute_prdc(real.numpy(), fake.numpy(), k)
    assert found == pytest.approx([there[name] for name in names], **SAME)
    closed = theirs.prc_features_to_metric(fake, real, prc_neighborhood=k, verbose=False)
    assert found[:2] == pytest.approx([closed["precision"], closed["recall"]], **SAME)
    assert min(found[:2]) > 0 and max(found[:2]) < 1, "nothing is compared at its bounds"


def test_balls_are_open_as_in_prdc_and_not_closed_as_in_torch_fidelity() -> None:
    prdc = pytest.importorskip("prdc")
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = torch.arange(9.0)[:, None].double(), torch.tensor([[-1.0], [9.0], [20.0], [4.5]]).double()
    found = [*precision_recall(real, fake, 1), *density_coverage(real, fake, 1)]
    there = prdc.compute_prdc(real.numpy(), fake.numpy(), 1)
    assert found == [there[name] for name in ("precision", "recall", "density", "coverage")]
    closed = theirs.prc_features_to_metric(fake, real, prc_neighborhood=1, verbose=False)
    assert found[0] == 1 / 4 and closed["precision"] == 3 / 4, "two samples are on the rim"
