"""The Parzen-window estimate against exact densities."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from gan_runner.datasets.images import digits
from gan_runner.metrics.parzen import WIDTHS, Parzen, choose, log_density, pixels
from tests.test_metrics import Always


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 7, 784])
def test_one_sample_is_a_gaussian(d: int) -> None:
    x, mu = normal(40, d), normal(1, d, seed=1)
    exact = Normal(mu, 0.3).log_prob(x).sum(1)
    torch.testing.assert_close(log_density(x, mu, 0.3), exact, rtol=1e-10, atol=1e-8)


def test_several_samples_are_their_mixture_whatever_the_chunks() -> None:
    x, mu = normal(1500, 3), normal(50, 3, seed=1)
    weights = Categorical(torch.ones(50, dtype=torch.float64))
    exact = MixtureSameFamily(weights, Independent(Normal(mu, 0.5), 1)).log_prob(x)
    torch.testing.assert_close(log_density(x, mu, 0.5), exact)


def test_far_rows_do_not_underflow() -> None:
    far = torch.full((1, 784), 100.0, dtype=torch.float64)
    assert log_density(far, torch.zeros_like(far), 0.1).isfinite().all()


def test_the_width_is_that_of_the_data() -> None:
    """Rows that lie sigma away from the centres choose sigma."""
    assert WIDTHS[0] == pytest.approx(0.1) and WIDTHS[-1] == pytest.approx(1)
    centres = 100 * normal(20, 50)
    for sigma in (WIDTHS[0], WIDTHS[4], WIDTHS[9]):
        rows = centres.repeat(20, 1) + sigma * normal(400, 50, seed=2)
        assert choose(rows, centres) == float(sigma)


def test_pixels_lie_between_0_and_1() -> None:
    assert pixels(torch.tensor([[[-1.0, 1.0]], [[0.0, 0.5]]])).tolist() == [[0, 1], [0.5, 0.75]]


def test_the_probe_reports_test_rows_under_the_width_validation_chose() -> None:
    source = digits("")
    source = replace(source, held_out=None, data=source.data[:300])
    samples = source.take(torch.arange(300))
    found = Parzen(n=150, validation=100)(Always(samples), source).scalars
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    centres, rows = pixels(samples[:150]), pixels(samples[order][:250])
    assert found["parzen_sigma"] == choose(rows[:100], centres)
    test = log_density(rows[100:], centres, found["parzen_sigma"])
    assert found["parzen"] == pytest.approx(float(test.mean()))
    assert found["parzen_error"] == pytest.approx(float(test.std()) / math.sqrt(150))
