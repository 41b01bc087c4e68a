"""Laws of what is said of images beside distances in a feature space: classes, patches, copies; and of what is kept."""

from __future__ import annotations

from dataclasses import replace

import torch

from gan_runner.datasets.spec import Source, Spec
from gan_runner.metrics.c2st import C2ST
from gan_runner.metrics.ceiling import Independent, ceiling
from tests.test_metrics import normal

# -- a sampler that knows nothing ----------------------------------------------------------------


def test_independent_rows_have_the_marginals_and_nothing_else() -> None:
    z = normal(4000, 1)
    source = Source(Spec((2,), "table"), torch.cat([z, z.exp()], 1))
    made = Independent(source)(4000)
    assert set(made[:, 1].tolist()) <= set(source.data[:, 1].tolist())
    torch.testing.assert_close(made.mean(0), source.data.mean(0), atol=0.15, rtol=0)
    assert abs(float(torch.corrcoef(made.T)[0, 1])) < 0.06 < 0.7 < float(torch.corrcoef(source.data.T)[0, 1])
    assert torch.equal(made[:300], Independent(source)(300))


def test_the_ceiling_is_what_a_metric_says_of_them_and_nothing_where_it_asks_for_a_generator() -> None:
    z = normal(4000, 1)
    source = Source(Spec((2,), "table"), torch.cat([z, z], 1), digest="line")
    assert ceiling(C2ST(n=1000, steps=200), source)["c2st_accuracy"] > 0.8

    class Nosy(C2ST):
        def __call__(self, draw, source):
            return draw.judge(source.data)

    assert ceiling(Nosy(), source) == {}
    assert ceiling(C2ST(), replace(source, spec=Spec((2,), "series"))) == {}
