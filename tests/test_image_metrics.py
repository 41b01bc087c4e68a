"""Laws of what is said of images beside distances in a feature space: classes, patches, copies; and of what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_runner.datasets.spec import Source, Spec
from gan_runner.metrics import rows
from gan_runner.metrics.c2st import C2ST
from gan_runner.metrics.ceiling import Independent, ceiling
from gan_runner.metrics.features import CHUNK, Pixels, Space
from gan_runner.metrics.quality import ImageQuality
from tests.test_metrics import Always, normal


def cloud(n: int, seed: int) -> Tensor:
    """Random images in the scale of training."""
    return normal(n, 1, 3, 3, seed=seed).mul(0.3).clamp(-1, 1)


@pytest.fixture(scope="module")
def seen() -> Source:
    held = Source(Spec((1, 3, 3), "image"), cloud(600, seed=1), digest="held")
    return Source(Spec((1, 3, 3), "image"), cloud(1500, seed=0), held_out=held, digest="seen")


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


# -- streams, and what is kept -------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """Pixels that note how many images they saw at once."""

    seen: list[int]

    def __call__(self, source: Source) -> Space:
        def embed(x: Tensor) -> Tensor:
            self.seen.append(len(x))
            return x.flatten(1)

        return Space(embed, "watched")


class Trickle(Always):
    """Draws that may be streamed alone."""

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        raise AssertionError("all images at once")

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        yield from self.samples[:n].split(100)


def test_real_images_are_embedded_once_for_all_runs_and_in_parts(tmp_path: Path, seen: Source) -> None:
    many = replace(seen, held_out=replace(seen.held_out, data=cloud(3000, seed=1)))
    draw, looked = Trickle(cloud(700, seed=4)), []
    first = ImageQuality(Watched(looked), n=700, root=str(tmp_path))(draw, many).scalars
    assert sum(looked) == 3000 + 700 and max(looked) <= CHUNK
    looked.clear()
    again = ImageQuality(Watched(looked), n=700, root=str(tmp_path))(draw, many).scalars
    assert again == first and sum(looked) == 700, "the real side was kept"
    assert first == ImageQuality(Watched(looked), n=700)(draw, many).scalars, "as found without a file"
    for other in (replace(many, digest="x"), replace(many, held_out=replace(many.held_out, digest="x"))):
        looked.clear()
        ImageQuality(Watched(looked), n=700, root=str(tmp_path))(draw, other)
        assert sum(looked) == 3700
    looked.clear()
    ImageQuality(Watched(looked), n=600, root=str(tmp_path))(draw, many)
    assert sum(looked) == 3600


def test_streams_are_the_same_rows(seen: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PART", 7)
    assert torch.equal(torch.cat([*rows.stream(seen, 40)]), rows.some(seen, 40))
    assert sum(map(len, rows.stream(seen))) == 1500
    space, x = Pixels()(seen), seen.data[:50]
    assert torch.equal(space(iter(x.split(9))), space(x))
