"""Laws of what is said of images beside distances in a feature space: classes, patches, copies; and of what is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_runner.build import build
from gan_runner.datasets.hcbm import hcbm
from gan_runner.datasets.images import digits
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError, MissingInput, UsageError
from gan_runner.figures import ask
from gan_runner.metrics import pyramid, rows
from gan_runner.metrics.better import better
from gan_runner.metrics.c2st import C2ST
from gan_runner.metrics.ceiling import Independent, ceiling
from gan_runner.metrics.features import CHUNK, Pixels, Space
from gan_runner.metrics.histogram import ClassHistogram, ClassifierScore, classifier_score, divergence
from gan_runner.metrics.inception import Inception
from gan_runner.metrics.matrices import CorrelationFacts
from gan_runner.metrics.memorisation import Memorisation, distances
from gan_runner.metrics.pyramid import SlicedWasserstein
from gan_runner.metrics.quality import ImageQuality
from gan_runner.metrics.series import SeriesQuality
from gan_runner.pictures.neighbours import Neighbours
from tests.conftest import compose
from tests.test_metrics import Always, normal

# -- classes -------------------------------------------------------------------------------------


def test_divergence_of_class_shares() -> None:
    even = torch.arange(40) % 10
    assert divergence(even, even.flip(0)) == pytest.approx(0, abs=1e-12)
    assert divergence(torch.arange(40) % 2, even) == pytest.approx(math.log(5))
    assert divergence(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1])) == pytest.approx(
        0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    )
    assert divergence(torch.tensor([0, 5]), torch.tensor([0, 1])) == math.inf


def test_divergence_of_draws_is_degrees_of_freedom_over_twice_their_number() -> None:
    g, even = torch.Generator().manual_seed(0), torch.arange(10)
    found = torch.tensor([divergence(torch.randint(10, (2000,), generator=g), even) for _ in range(300)])
    assert float(found.mean()) == pytest.approx(9 / 4000, abs=3 * float(found.std()) / 300**0.5)


def test_classifier_score_at_its_bounds_and_between() -> None:
    assert classifier_score(torch.zeros(50, 10)) == pytest.approx(1)
    sure = 200 * torch.eye(10).repeat(5, 1)
    assert classifier_score(sure) == pytest.approx(10) and classifier_score(sure, splits=5) == pytest.approx(10)
    assert classifier_score(200 * torch.eye(10)[[0, 1] * 9]) == pytest.approx(2)
    assert classifier_score(sure[:20].sort(0).values, splits=2) < 10
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    kl = sum(float((row * (row / p.mean(0)).log()).sum()) for row in p) / 2
    assert classifier_score(p.log() + 7) == pytest.approx(math.exp(kl), rel=1e-6)


@pytest.mark.parametrize("splits", [1, 5])
def test_classifier_score_is_the_inception_score_of_torch_fidelity(splits: int) -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_isc")
    logits = 2 * normal(200, 7)
    there = theirs.isc_features_to_metric(logits, splits, shuffle=False)[theirs.KEY_METRIC_ISC_MEAN]
    assert classifier_score(logits, splits) == pytest.approx(there, rel=1e-6)


def test_classes_of_samples_stand_beside_those_of_real_rows() -> None:
    """The class of an image is its brightness: of 10 classes, samples have two, and real rows all."""
    shade = (torch.arange(400) % 10).to(torch.uint8)
    source = Source(Spec((1, 4, 4), "image", 10), shade.view(-1, 1, 1, 1).expand(-1, 1, 4, 4), labels=shade.long())

    class Shades:
        def logits(self, source: Source) -> Space:
            return Space(lambda x: 500 * torch.eye(10)[((x[:, 0, 0, 0] + 1) * 127.5).round().long()])

        def judge(self, source: Source):
            return lambda x: self.logits(source)(x).argmax(1)

    two = Always(source.take((shade < 2).nonzero()[:, 0]))
    score = ClassifierScore(Shades(), n=80)(two, source).scalars
    assert score["classifier_score"] == pytest.approx(2) and 9 < score["classifier_score_floor"] <= 10
    found = ClassHistogram(Shades(), n=80)(two, source).scalars
    assert found["class_kl"] == pytest.approx(math.log(5)) and 0 < found["class_kl_floor"] < 0.2
    js = 0.5 * math.log(5 / 3) + 0.5 * (0.2 * math.log(1 / 3) + 0.8 * math.log(2))
    assert found["class_js"] == pytest.approx(js) and 0 < found["class_js_floor"] < 0.05
    assert ClassifierScore(Shades())(two, replace(source, labels=None)).scalars == {}


def test_as_many_real_rows_as_it_says_are_recognised() -> None:
    """The sharper an image, the surer the classifier: and a tenth of the real rows is duller than the line."""
    shade = torch.arange(100).to(torch.uint8)
    source = Source(Spec((1, 4, 4), "image", 10), shade.view(-1, 1, 1, 1).expand(-1, 1, 4, 4), labels=shade.long() % 10)

    class Sharp:
        def logits(self, source: Source) -> Space:
            return Space(lambda x: 8 * (x[:, 0, 0, :1] + 1) * torch.eye(10)[0])

    def share(first: int, last: int) -> float:
        samples = Always(source.take(torch.arange(first, last)))
        return ClassifierScore(Sharp(), n=100)(samples, source).scalars["recognised"]

    assert share(0, 100) == pytest.approx(0.9) and share(50, 100) == 1
    assert share(0, 20) == pytest.approx(0.5) and share(0, 10) == 0


# -- patches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((64, 64), [64, 32, 16]), ((32, 32), [32, 16]), ((28, 28), [28]), ((34, 64), [34, 17]), ((8, 8), [8])],
)
def test_a_pyramid_adds_up_to_the_image_again(shape: tuple[int, int], sides: list[int]) -> None:
    x = normal(3, 2, *shape)
    levels = [*pyramid.pyramid(x)]
    assert [level.shape[2] for level in levels] == sides
    whole = levels.pop()
    for level in reversed(levels):
        whole = pyramid.enlarged(whole) + level
    torch.testing.assert_close(whole, x, atol=1e-5, rtol=1e-5)


def test_flat_images_are_all_in_the_coarsest_level() -> None:
    fine, coarse = pyramid.pyramid(torch.full((2, 3, 32, 32), 0.7))
    assert fine.abs().max() < 1e-6 and (coarse - 0.7).abs().max() < 1e-6


def test_patches_are_cut_at_every_place_of_every_image() -> None:
    x = torch.arange(2 * 3 * 9 * 10).view(2, 3, 9, 10).float()
    found = pyramid.patches(x, 300, torch.Generator().manual_seed(0))
    assert found.shape == (600, 3, 7, 7)
    corners = found[:, 0, 0, 0].long()
    assert (corners[:300] < 270).all() and (corners[300:] >= 270).all(), "image after image"
    assert corners.unique().tolist() == [270 * i + 10 * y + x for i in range(2) for y in range(3) for x in range(4)]
    for patch in found[::37]:
        i, place = divmod(int(patch[0, 0, 0]), 270)
        assert torch.equal(patch, x[i, :, place // 10 : place // 10 + 7, place % 10 : place % 10 + 7])


def test_sliced_distance_of_a_shift_is_its_mean_projection() -> None:
    x, d = normal(200, 4, 3), 2000
    shift = torch.zeros(4, 3)
    shift[1, 2] = 5.0
    expected = 5 * math.gamma(6) / (math.gamma(6.5) * math.pi**0.5)  # E|u_1| on the sphere in 12 dimensions
    assert pyramid.sliced(x + shift, x, d) == pytest.approx(expected, rel=0.05)
    assert pyramid.sliced(x.flip(0), x, d) == 0


def test_brightness_and_contrast_are_nothing_to_a_level_and_pixels_out_of_place_are() -> None:
    source = digits("", size=32)
    probe = SlicedWasserstein(n=100, patches=16, directions=32)
    half, _ = rows.halves(source, 100)
    changed = probe(Always(0.5 * half - 0.2), source).scalars
    assert changed["swd_32"] == pytest.approx(0, abs=0.01) and changed["swd_16"] == pytest.approx(0, abs=0.01)
    assert changed["swd"] == pytest.approx((changed["swd_32"] + changed["swd_16"]) / 2)
    real = probe(Always(rows.some(source, 400)[300:]), source).scalars
    mixed = probe(Independent(source), source).scalars
    for name in ("swd", "swd_16", "swd_32"):
        assert real[name] < 2 * real[f"{name}_floor"] < mixed[name] and mixed[f"{name}_floor"] == real[f"{name}_floor"]


# -- copies --------------------------------------------------------------------------------------


def cloud(n: int, seed: int) -> Tensor:
    """Random images in the scale of training."""
    return normal(n, 1, 3, 3, seed=seed).mul(0.3).clamp(-1, 1)


@pytest.fixture(scope="module")
def seen() -> Source:
    held = Source(Spec((1, 3, 3), "image"), cloud(600, seed=1), digest="held")
    return Source(Spec((1, 3, 3), "image"), cloud(1500, seed=0), held_out=held, digest="seen")


def test_copies_are_at_no_distance_and_honest_samples_at_the_floor(seen: Source) -> None:
    probe = Memorisation(Pixels(), n=300)
    assert probe(Always(seen.data), seen).scalars["memorisation"] == 0
    honest = probe(Always(cloud(300, seed=2)), seen).scalars
    assert 0.5 < honest["memorisation_floor"] < 0.95, "of more training images one is nearer"
    assert honest["memorisation"] == pytest.approx(honest["memorisation_floor"], rel=0.06)
    almost = probe(Always(seen.data + 0.1 * cloud(1500, seed=3)), seen).scalars
    assert almost["memorisation"] < 0.5 * almost["memorisation_floor"]
    assert probe(Always(seen.data), replace(seen, held_out=None)).scalars == {}


def test_blurred_samples_are_copies_to_the_neighbour_ratio_alone(seen: Source) -> None:
    dull = Always(0.3 * cloud(300, seed=2))
    assert Neighbours(n=300)(dull, seen).scalars["neighbour_ratio"] < 0.75
    found = Memorisation(Pixels(), n=300)(dull, seen).scalars
    assert found["memorisation"] == pytest.approx(found["memorisation_floor"], rel=0.1)


def test_distances_are_exact_where_products_of_matrices_are_not() -> None:
    far = 100 + normal(50, 60)
    assert distances(far, far.flip(0)).max() == 0
    brute = [min(float((a - b).norm()) for b in far[25:]) for a in far[:25]]
    torch.testing.assert_close(distances(far[:25], far[25:]), torch.tensor(brute), rtol=1e-3, atol=0)


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


def test_independent_days_know_their_own_size_and_not_that_of_the_day_before() -> None:
    calm = torch.arange(2000) % 40 < 20
    path = torch.where(calm, 0.1, 2.0) * normal(2000)
    source = Source(Spec((1, 40), "series"), path.unfold(0, 40, 5)[:, None].contiguous(), digest="clusters")
    assert ceiling(SeriesQuality(n=300), source)["acf_abs_error"] > 0.2
    (days,) = Independent(source).paths(1, 5000).unbind()
    assert days.shape == (1, 5000) and set(days[0].tolist()) <= set(path.tolist())
    assert float(days.abs().mean()) == pytest.approx(float(path.abs().mean()), rel=0.1)
    assert abs(float(torch.corrcoef(torch.stack([days[0, 1:].abs(), days[0, :-1].abs()]))[0, 1])) < 0.05


def test_independent_correlations_are_symmetric_and_have_no_blocks() -> None:
    source = hcbm(n=80, size=16)
    made = Independent(source)(500)
    assert made.shape == (500, 1, 16, 16) and torch.equal(made, made.mT)
    assert bool((made.diagonal(dim1=2, dim2=3) == 1).all())
    assert float(made[:, 0, 0, 5].std()) == pytest.approx(float(source.data[:, 0, 0, 5].std()), rel=0.3)
    worst = ceiling(CorrelationFacts(n=40), source)
    assert worst["cophenetic_error"] > 3 * worst["cophenetic_error_floor"]


def test_a_metric_that_fails_on_independent_numbers_has_no_ceiling() -> None:
    class Brittle(C2ST):
        def __call__(self, draw, source):
            raise RuntimeError("singular") if isinstance(draw, Independent) else AssertionError

    with pytest.warns(UserWarning, match="no ceiling: Brittle fails on independent numbers.*singular"):
        assert ceiling(Brittle(), digits("", size=8)) == {}


# -- two spaces ----------------------------------------------------------------------------------


def test_quality_in_two_spaces_has_two_names(seen: Source) -> None:
    draw = Always(cloud(700, seed=4))
    plain, other = (ImageQuality(Pixels(), n=700, prefix=prefix)(draw, seen) for prefix in ("", "raw_"))
    assert {f"raw_{name}": value for name, value in plain.scalars.items()} == other.scalars
    assert better("raw_frechet") == "lower" and better("raw_coverage") == "higher"
    assert "frechet" not in plain.sizes and set(plain.sizes.values()) == {len(seen.held_out) // 2}


def test_probes_that_would_find_the_same_names_are_refused() -> None:
    second = "+probes.second={_target_: gan_runner.metrics.quality.ImageQuality, every: 0, features: "
    second += "{_target_: gan_runner.metrics.features.Pixels}"
    with pytest.raises(UsageError, match=r"probes.quality and probes.second.*\+probes.second.prefix=second_"):
        build(compose("dataset=digits", second + "}"))
    assert "second" in build(compose("dataset=digits", second + ", prefix: second_}")).probes


def test_each_figure_says_of_how_many_samples_it_is_and_is_never_overwritten(seen: Source) -> None:
    class Noted(Always):
        def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
            self.most = n
            return super().stream(n)

    probes = {name: ImageQuality(Pixels(size), n=700) for name, size in (("quality", None), ("other", 1))}
    answers = ask(probes, Noted(cloud(700, seed=4)), seen)
    assert {name: figure["n"] for name, figure in answers.figures.items()} == {
        "frechet": 700,
        **dict.fromkeys(("kid", "precision", "recall", "density", "coverage"), 300),
    }
    assert {figure["probe"] for figure in answers.figures.values()} == {"quality"}
    assert answers.failed == {"other": "it finds what quality finds: leave one out, or give it a prefix"}


def test_too_few_samples_are_said_to_be(seen: Source) -> None:
    with pytest.warns(UserWarning, match="5 samples and as many real images are too few"):
        assert ImageQuality(Pixels(), n=5)(Always(cloud(5, seed=4)), seen).scalars == {}


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
    assert sum(looked) == 3000 + 1500 + 700 and max(looked) <= CHUNK
    looked.clear()
    again = ImageQuality(Watched(looked), n=700, root=str(tmp_path))(draw, many).scalars
    assert again == first and sum(looked) == 700, "the real side was kept"
    assert first == ImageQuality(Watched(looked), n=700)(draw, many).scalars, "as found without a file"
    for other in (replace(many, digest="x"), replace(many, held_out=replace(many.held_out, digest="x"))):
        looked.clear()
        ImageQuality(Watched(looked), n=700, root=str(tmp_path))(draw, other)
        assert sum(looked) == 5200
    looked.clear()
    ImageQuality(Watched(looked), n=600, root=str(tmp_path))(draw, many)
    assert sum(looked) == 5100


def test_streams_are_the_same_rows(seen: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PART", 7)
    assert torch.equal(torch.cat([*rows.stream(seen, 40)]), rows.some(seen, 40))
    assert sum(map(len, rows.stream(seen))) == 1500
    space, x = Pixels()(seen), seen.data[:50]
    assert torch.equal(space(iter(x.split(9))), space(x))


# -- Inception -----------------------------------------------------------------------------------


def test_inception_without_weights_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MissingInput, match=r"weights=.*checkpoints/weights-inception.*releases") as refusal:
        Inception()
    assert refusal.value.code == 66
    with pytest.raises(MissingInput, match="nowhere"):
        Inception(str(tmp_path / "nowhere"))


def test_inception_runs_nothing_that_a_file_says(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    trap = tmp_path / "sprung"
    (tmp_path / "w.pth").write_bytes(f"cos\nsystem\n(S'touch {trap}'\ntR.".encode())
    with pytest.raises(DataError, match=r"w\.pth are not torch-fidelity's Inception"):
        Inception(str(tmp_path / "w.pth"))(digits(""))
    assert not trap.exists()


@pytest.mark.slow
def test_inception_fid_is_torch_fidelitys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network of random weights: the real ones cannot be had without a network. Theirs are passed as files."""
    fidelity = pytest.importorskip("torch_fidelity")
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with monkeypatch.context() as random:
        random.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        random.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        torch.save(module.FeatureExtractorInceptionV3("inception", ["2048"]).state_dict(), tmp_path / "w.pth")
    source = digits("", size=32)
    real, fake = (source.data[k : k + 12].expand(-1, 3, -1, -1).contiguous() for k in (0, 100))

    class Images(torch.utils.data.Dataset):
        def __init__(self, images: Tensor):
            self.images = images

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, i: int) -> Tensor:
            return self.images[i]

    there = fidelity.calculate_metrics(
        input1=Images(fake), input2=Images(real), fid=True, cuda=False, verbose=False, cache=False, batch_size=4,
        feature_extractor_weights_path=str(tmp_path / "w.pth"),
    )  # fmt: skip
    from gan_runner.metrics.frechet import frechet_distance, statistics

    space = Inception(str(tmp_path / "w.pth"))(source)
    ours = (statistics(space(source.take(torch.arange(k, k + 12)))) for k in (100, 0))
    found = frechet_distance(*(x for pair in ours for x in pair))
    assert found > 0 and found == pytest.approx(there["frechet_inception_distance"], rel=1e-3)
