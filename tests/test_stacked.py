"""Stacked images: which rows they join, what they are called, and how their modes are counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_runner.datasets import images, stacked
from gan_runner.datasets.spec import Source, Stacked
from gan_runner.errors import MissingInput, UsageError
from gan_runner.metrics import rows
from gan_runner.metrics.stacked import StackedModes, census
from tests import data_fixtures

EVERYTHING = torch.arange(300)


@pytest.fixture
def source(tmp_path: Path) -> Stacked:
    data_fixtures.make_idx(tmp_path, "MNIST")
    made = stacked.stacked_mnist(str(tmp_path), size=28, n=300)
    assert isinstance(made, Stacked)
    return made


class Oracle:
    """Knows each image of a one-channel source, unless told to call all of them 7."""

    def __init__(self, blind: bool = False):
        self.blind = blind

    def judge(self, single: Source) -> Callable[[Tensor], Tensor]:
        known = torch.cat([s.take(torch.arange(len(s))) for s in (single, single.held_out) if s]).flatten(1)
        labels = torch.cat([s.labels for s in (single, single.held_out) if s])

        def classes(images: Tensor) -> Tensor:
            nearest = torch.cdist(images.flatten(1), known).argmin(1)
            return torch.full_like(labels[nearest], 7) if self.blind else labels[nearest]

        return classes


def test_the_channels_of_a_row_are_the_images_of_its_triple(source: Stacked, tmp_path: Path) -> None:
    single = images.mnist(str(tmp_path), size=28)
    x = source.take(EVERYTHING)
    assert x.shape == (300, 3, 28, 28) and source.spec.shape == (3, 28, 28) and len(source) == 300
    for channel in range(3):
        assert torch.equal(x[:, channel], single.take(source.triples[:, channel])[:, 0])
    digits = single.labels[source.triples]
    assert torch.equal(source.labels, 100 * digits[:, 0] + 10 * digits[:, 1] + digits[:, 2])
    assert torch.equal(source.decode(x), single.data[source.triples].squeeze(2))
    moved = source.to(torch.device("cpu"), limit=0)
    assert isinstance(moved, Stacked) and torch.equal(moved.take(EVERYTHING), x)


def test_training_never_sees_images_of_the_test_split(source: Stacked, tmp_path: Path) -> None:
    held, single = source.held_out, images.mnist(str(tmp_path), size=28)
    assert isinstance(held, Stacked) and len(held) == 26_000
    assert torch.equal(held.take(EVERYTHING)[:, 1], single.held_out.take(held.triples[:300, 1])[:, 0])
    assert torch.equal(held.data, single.held_out.data) and not torch.equal(held.data, source.data)


def test_triples_depend_on_the_seed_alone_and_are_not_stored(source: Stacked, tmp_path: Path) -> None:
    def again(**settings: int) -> Stacked:
        return stacked.stacked_mnist(str(tmp_path), size=28, **settings)  # type: ignore[return-value]

    torch.manual_seed(5)
    assert torch.equal(again(n=300).triples, source.triples) and again(n=300).digest == source.digest
    assert not torch.equal(again(n=300, seed=1).triples, source.triples)
    assert again(n=300, seed=1).digest != source.digest != again(n=301).digest
    assert again().data.shape == (20, 1, 28, 28) and len(again()) == 128_000


def test_all_triples_are_equally_likely(source: Stacked) -> None:
    """Twenty images, two of each class: of 26,000 rows each of 1,000 modes has 26 +- 4 standard deviations."""
    counts = source.held_out.labels.bincount(minlength=1000)
    assert ((counts - 26).square().sum() / 26 - 999).abs() < 4 * math.sqrt(2 * 999)


@pytest.mark.parametrize(("settings", "named"), [({"n": 0}, "n=0"), ({"seed": -1}, "seed=-1"), ({"size": 9}, "size=9")])
def test_arguments_out_of_range_are_named(tmp_path: Path, settings: dict[str, int], named: str) -> None:
    data_fixtures.make_idx(tmp_path, "MNIST")
    with pytest.raises(UsageError, match=f"dataset.{named}"):
        stacked.stacked_mnist(str(tmp_path), **settings)


def test_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DEBIAN_FASHION", tmp_path / "nowhere")
    for make in (stacked.stacked_mnist, stacked.stacked_fashion):
        with pytest.raises(MissingInput, match=r"dataset\.download=true"):
            make(str(tmp_path))


# -- counting --------------------------------------------------------------------------------------


def test_a_census_in_closed_form() -> None:
    assert census(torch.arange(1000).repeat(3), 1000) == {"modes": 1000, "kl": pytest.approx(0, abs=1e-12)}
    assert census(torch.full((50,), 123), 1000) == {"modes": 1, "kl": pytest.approx(math.log(1000))}
    uneven = torch.tensor([0, 0, 0, 999])
    expected = 0.75 * math.log(0.75 * 1000) + 0.25 * math.log(0.25 * 1000)
    assert census(uneven, 1000) == {"modes": 2, "kl": pytest.approx(expected)}


def test_even_samples_have_the_floor_of_the_literature() -> None:
    """(k - 1) / 2n = 0.0192 at n = 26,000, and 0.0195 at 25,600; the standard error is sqrt(2 (k - 1)) / 2n."""
    for n in (26_000, 25_600):
        modes = torch.randint(1000, (n,), generator=torch.Generator().manual_seed(n))
        assert census(modes, 1000)["kl"] == pytest.approx(999 / (2 * n), abs=4 * math.sqrt(2 * 999) / (2 * n))


class Always:
    def __init__(self, x: Tensor):
        self.x = x

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.x[torch.arange(n) % len(self.x)]


def test_real_rows_score_as_their_labels_and_a_collapse_is_seen(source: Stacked) -> None:
    n = 2000
    held = source.held_out
    found = StackedModes(Oracle(), n=n)(Always(rows.some(held, n)), source).scalars  # type: ignore[arg-type]
    truth = census(held.labels[rows.shuffled(held)[:n]], 1000)
    for name, value in truth.items():
        assert found[f"stacked_{name}"] == found[f"stacked_{name}_floor"] == pytest.approx(value)
    assert found["stacked_accuracy"] == 1
    collapsed = StackedModes(Oracle(), n=n)(Always(held.take(torch.tensor([3]))), source).scalars  # type: ignore[arg-type]
    assert (collapsed["stacked_modes"], collapsed["stacked_kl"]) == (1, pytest.approx(math.log(1000)))
    blind = StackedModes(Oracle(blind=True), n=n)(Always(rows.some(held, n)), source).scalars  # type: ignore[arg-type]
    assert blind["stacked_accuracy"] < 0.01 and blind["stacked_modes_floor"] == 1


def test_nothing_is_counted_in_images_that_are_not_stacked(source: Stacked) -> None:
    assert StackedModes(Oracle())(Always(torch.zeros(1)), source.single).scalars == {}  # type: ignore[arg-type]
