"""Laws of the metrics: closed forms, brute force, invariance, and what the floors must be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_runner.datasets.huber import huber
from gan_runner.datasets.images import digits, fashion
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.split import part
from gan_runner.datasets.stocks import stocks
from gan_runner.datasets.toys import toy2d
from gan_runner.metrics import classifier, rows, tables
from gan_runner.metrics.classifier import Classifier
from gan_runner.metrics.features import PCA, Pixels
from gan_runner.metrics.frechet import frechet_distance, statistics
from gan_runner.metrics.histogram import SVM, ClassHistogram, entropy
from gan_runner.metrics.kernel import choices, kid
from gan_runner.metrics.location import Location
from gan_runner.metrics.modes import Modes, census
from gan_runner.metrics.precision import density_coverage, precision_recall
from gan_runner.metrics.quality import ImageQuality
from gan_runner.metrics.series import SeriesQuality, acf, kurtosis
from gan_runner.metrics.tables import TableQuality


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Always:
    """Draws the first n of given samples."""

    def __init__(self, samples: Tensor):
        self.samples = samples

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.samples[:n]

    def stream(self, n: int, *, live: bool = False) -> Iterator[Tensor]:
        yield self.samples[:n]

    def interpolate(self, rows: int, columns: int) -> Tensor | None:
        return None

    def law(self) -> dict[str, Tensor] | None:
        return None


@pytest.fixture(scope="module")
def handwriting() -> Source:
    return digits("")


# -- Fréchet -------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 5, 64])
def test_frechet_distance_of_round_gaussians_has_a_closed_form(d: int) -> None:
    eye, m = torch.eye(d, dtype=torch.float64), torch.arange(d, dtype=torch.float64) / d
    for s in (0.0, 0.3, 1.0, 2.0):
        expected = float(m.square().sum()) + d * (1 - s) ** 2
        assert frechet_distance(0 * m, eye, m, s**2 * eye) == pytest.approx(expected, abs=1e-10)


def test_frechet_distance_of_gaussians_with_common_axes_is_that_of_their_deviations() -> None:
    turn = torch.linalg.qr(normal(6, 6).double()).Q
    a, b = torch.tensor([[1, 2, 3, 0, 0, 5], [4, 0, 3, 1, 0, 2]]).double()
    zero = torch.zeros(6).double()
    found = frechet_distance(zero, turn * a**2 @ turn.T, zero, turn * b**2 @ turn.T)
    assert found == pytest.approx(float((a - b).square().sum()), abs=1e-6)


def test_frechet_distance_is_that_of_the_root_of_the_product_and_symmetric_and_zero() -> None:
    from scipy.linalg import sqrtm

    x, y = statistics(normal(500, 8) @ normal(8, 8, seed=1)), statistics(normal(300, 8, seed=2) + 0.5)
    (m, a), (n, b) = x, y
    expected = float((m - n).square().sum()) + np.trace(a + b - 2 * sqrtm((a @ b).numpy()).real)
    assert frechet_distance(*x, *y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(*x, *y) == pytest.approx(frechet_distance(*y, *x), rel=1e-12)
    assert frechet_distance(*x, *x) == pytest.approx(0, abs=1e-10)


def test_frechet_distance_bears_fewer_rows_than_dimensions() -> None:
    x = statistics(normal(10, 64))
    assert frechet_distance(*x, *x) == pytest.approx(0, abs=1e-5)
    moved = (x[0] + 1, x[1])
    assert frechet_distance(*x, *moved) == pytest.approx(64, abs=1e-5)


def test_frechet_statistics_are_those_of_numpy_in_any_order_of_rows() -> None:
    x = normal(50, 3)
    mean, covariance = statistics(x)
    np.testing.assert_allclose(covariance, np.cov(x.double().numpy().T), atol=1e-12)
    flipped = statistics(x.flip(0))
    torch.testing.assert_close(flipped, (mean, covariance), rtol=0, atol=1e-13)


# -- KID -----------------------------------------------------------------------------------------


def test_kid_of_all_rows_is_the_double_sum() -> None:
    x, y = normal(5, 3).double(), normal(5, 3, seed=1).double() + 0.5

    def k(a: Tensor, b: Tensor) -> float:
        return float((a @ b / 3 + 1) ** 3)

    within = sum(k(s[i], s[j]) for s in (x, y) for i, j in itertools.permutations(range(5), 2)) / 20
    across = sum(k(a, b) for a in x for b in y) / 25
    found, error = kid(x, y, subsets=4, size=5)
    assert found == pytest.approx(within - 2 * across, rel=1e-12)
    assert error == pytest.approx(0, abs=1e-12)  # every subset is the whole


def test_kid_has_no_bias_and_knows_its_error() -> None:
    trials = [kid(normal(100, 4, seed=2 * i), normal(100, 4, seed=2 * i + 1), 1, 100)[0] for i in range(200)]
    assert abs(np.mean(trials)) < 3 * np.std(trials) / 200**0.5
    far, _ = kid(normal(100, 4), normal(100, 4, seed=1) + 1, 1, 100)
    assert far > 10 * np.std(trials)


def test_kid_does_not_depend_on_how_the_kernel_matrix_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(60, 4), normal(70, 4, seed=1)
    whole = kid(x, y, subsets=10, size=20)
    monkeypatch.setattr("gan_runner.metrics.kernel.CHUNK", 7)
    assert kid(x, y, subsets=10, size=20) == pytest.approx(whole, rel=1e-10)


def test_subsets_have_the_size_asked_for_and_differ() -> None:
    found = choices(30, subsets=50, size=10, generator=torch.Generator().manual_seed(0))
    assert (found.sum(1) == 10).all() and len(found.unique(dim=0)) == 50


def test_kid_of_subsets_is_an_average_over_rows_actually_chosen() -> None:
    """Where all rows of x are equal and all of y are, every subset gives k(a, a) + k(b, b) - 2 k(a, b) exactly."""
    a, b = torch.ones(30, 2), 2 * torch.ones(40, 2)
    found, error = kid(a, b, subsets=6, size=10)
    assert found == pytest.approx(2**3 + 5**3 - 2 * 3**3, rel=1e-12)
    assert error == pytest.approx(0, abs=1e-9)


# -- neighbours ----------------------------------------------------------------------------------


def brute(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    def radius(x: Tensor, i: int) -> float:
        return sorted(float((x[i] - x[j]).norm()) for j in range(len(x)) if j != i)[k - 1]

    def inside(centres: Tensor, points: Tensor) -> np.ndarray:
        return np.array([[float((p - c).norm()) < radius(centres, i) for p in points] for i, c in enumerate(centres)])

    held = inside(real, fake)
    recall = inside(fake, real).any(0).mean()
    return held.any(0).mean(), recall, held.sum() / (k * len(fake)), held.any(1).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbourhoods_agree_with_brute_force(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_runner.metrics.precision.CHUNK", 7)
    real, fake = normal(25, 2).double(), normal(20, 2, seed=1).double() * 0.7 + 0.5
    found = (*precision_recall(real, fake, k), *density_coverage(real, fake, k))
    assert found == pytest.approx(brute(real, fake, k), abs=1e-12)
    shuffled = (*precision_recall(real.flip(0), fake, k), *density_coverage(real, fake.flip(0), k))
    assert shuffled == found


def test_neighbourhoods_of_the_same_and_of_distant_sets() -> None:
    x = normal(200, 4)
    assert precision_recall(x, x) == (1, 1)
    assert density_coverage(x, x)[1] == 1
    assert precision_recall(x, x + 100) == (0, 0)
    assert density_coverage(x, x + 100) == (0, 0)


def test_a_ball_is_open_and_its_centre_is_no_neighbour() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0]])
    on_the_rim = torch.tensor([[-1.0], [2.0], [5.0]])  # radii are 1, 1, 2 for k = 1; 2 lies inside the ball around 3
    assert precision_recall(real, on_the_rim, k=1)[0] == pytest.approx(1 / 3)
    assert density_coverage(real, on_the_rim, k=1) == pytest.approx((1 / 3, 1 / 3))


def test_density_is_one_and_coverage_has_a_closed_form_for_equal_distributions() -> None:
    n, k, trials = 300, 5, 20
    found = [density_coverage(normal(n, 8, seed=2 * i), normal(n, 8, seed=2 * i + 1), k) for i in range(trials)]
    density, coverage = np.mean(found, 0)
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    assert density == pytest.approx(1, abs=3 * np.std(found, 0)[0] / trials**0.5)
    assert coverage == pytest.approx(expected, abs=3 * np.std(found, 0)[1] / trials**0.5)


# -- modes ---------------------------------------------------------------------------------------


def test_a_census_of_hand_made_points() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    points = torch.tensor(
        [[0.0, 0.2], [0.1, 0.0], [10.3, 0.0], [10.31, 0.0], [5.0, 5.0], [0.0, 9.8], [99.0, 99.0], [0, 0]]
    )
    q = torch.tensor([3, 1, 1]).double() / 5
    found = census(points, centres, reach=0.3001)
    assert found == pytest.approx(
        {"modes": 3, "high_quality": 5 / 8, "reverse_kl": float((q * (4 * q).log()).sum())}, rel=1e-9
    )
    assert census(points.flip(0), centres.flip(0), 0.3001) == pytest.approx(found, rel=1e-12)


def test_a_census_at_its_extremes() -> None:
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert census(centres, centres, 0.1) == pytest.approx({"modes": 2, "high_quality": 1, "reverse_kl": 0}, abs=1e-12)
    assert census(centres[:1], centres, 0.1)["reverse_kl"] == pytest.approx(math.log(2))
    nothing = census(centres + 9, centres, 0.1)
    assert (nothing["modes"], nothing["high_quality"]) == (0, 0) and math.isnan(nothing["reverse_kl"])


def test_modes_are_counted_in_natural_units_beside_the_floor_of_true_points() -> None:
    source = toy2d("grid25", n=20_000)
    found = Modes(n=2500)(Always(source.data[source.labels == 3]), source).scalars
    assert (found["modes"], found["modes_floor"]) == (1, 25)
    assert found["reverse_kl"] == pytest.approx(math.log(25))
    share = 1 - math.exp(-4.5)
    assert found["high_quality_floor"] == pytest.approx(share, abs=3 * (share * (1 - share) / 2500) ** 0.5)
    assert Modes()(Always(source.data), toy2d("spiral", n=10)).scalars == {}


# -- features and images -------------------------------------------------------------------------


def test_pixels_of_digits_are_the_64_originals(handwriting: Source) -> None:
    from sklearn.datasets import load_digits

    space = Pixels(size=8)(handwriting)
    found = space(handwriting.take(torch.arange(600)))
    np.testing.assert_allclose(found, load_digits().data[:600] / 8 - 1, atol=0.004)  # uint8 between
    assert float(space(torch.full((1, 1, 16, 16), 7.0)).max()) == 1


def test_principal_components_keep_the_distances_they_can(handwriting: Source) -> None:
    space = PCA(components=300)(handwriting)  # of 16x16 pixels, 64 of which differ
    x = handwriting.take(torch.arange(50))
    near, far = (torch.cdist(points.double(), points.double()) for points in (space(x), x.flatten(1)))
    torch.testing.assert_close(near, far, atol=1e-3, rtol=1e-4)
    few = PCA(components=2)(handwriting)(x)
    assert few.shape == (50, 2) and float(few[:, 0].var()) > float(few[:, 1].var())


@pytest.fixture(scope="module")
def quality(handwriting: Source) -> dict[str, float]:
    """Of a generator that repeats training rows at random."""
    index = torch.randint(len(handwriting), (1000,), generator=torch.Generator().manual_seed(5))
    return ImageQuality(Pixels(8), n=1000)(Always(handwriting.take(index)), handwriting).scalars


@pytest.mark.parametrize("held_out", [300, 3000])
def test_honest_rows_score_like_the_floor(held_out: int) -> None:
    """Fresh rows of the law that training and held-out rows are from, which no generator can do better than."""
    g = torch.Generator().manual_seed(0)
    pixels = (128 + 30 * torch.randn(5000 + held_out, 1, 5, 5, generator=g)).clamp(0, 255).to(torch.uint8)
    whole = Source(Spec((1, 5, 5), "image"), pixels)
    fresh, training, unseen = (replace(whole, data=part) for part in pixels.split([1000, 4000, held_out]))
    found = ImageQuality(Pixels(), n=1000)(Always(fresh.take(torch.arange(1000))), replace(training, held_out=unseen))
    assert found.scalars["frechet"] == pytest.approx(found.scalars["frechet_floor"], rel=0.15)
    assert abs(found.scalars["kid"]) < 0.003 and abs(found.scalars["kid_floor"]) < 0.003
    for name in ("precision", "recall", "density", "coverage"):
        assert found.scalars[name] == pytest.approx(found.scalars[f"{name}_floor"], abs=0.1)


def test_where_no_rows_are_held_out_halves_are_compared(quality: dict[str, float], handwriting: Source) -> None:
    halves = [statistics(x.flatten(1)) for x in (Pixels(8)(handwriting)(h) for h in rows.halves(handwriting, 1000))]
    assert quality["frechet_floor"] == pytest.approx(frechet_distance(*halves[0], *halves[1]), rel=1e-6)
    assert quality["frechet"] < quality["frechet_floor"], "rows it has seen are nearer than rows it has not"


def test_every_number_moves_the_right_way_with_noise_and_with_missing_classes(
    handwriting: Source, quality: dict[str, float]
) -> None:
    probe = ImageQuality(Pixels(8), n=1000)
    everything = handwriting.take(rows.shuffled(handwriting))
    noisy = probe(Always(everything + 0.8 * normal(*everything.shape)), handwriting).scalars
    zeros = handwriting.take((handwriting.labels == 0).nonzero()[:, 0])
    one_class = probe(Always(zeros.repeat(6, 1, 1, 1)), handwriting).scalars
    for worse in (noisy, one_class):
        assert worse["frechet"] > 5 * quality["frechet"] and worse["kid"] > 0.01
    assert noisy["precision"] < quality["precision"] - 0.1
    assert one_class["precision"] > 0.8 and one_class["recall"] < 0.2 and one_class["coverage"] < 0.2
    assert {name: noisy[name] for name in quality if "floor" in name} == {
        n: v for n, v in quality.items() if "floor" in n
    }


def test_held_out_rows_are_what_samples_are_compared_with(handwriting: Source) -> None:
    dark = replace(handwriting, data=torch.zeros(100, 1, 16, 16, dtype=torch.uint8), labels=None)
    source = replace(handwriting, held_out=dark)
    found = ImageQuality(Pixels(8), n=50)(Always(-torch.ones(50, 1, 16, 16)), source).scalars
    assert found["frechet"] == pytest.approx(0, abs=1e-9)


def test_the_classifier_is_trained_once_and_disturbs_nothing(
    handwriting: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Classifier(str(tmp_path), steps=60, batch=64)
    state = torch.random.get_rng_state()
    x = handwriting.take(torch.arange(700))
    space = recipe(handwriting)
    assert "once" in capsys.readouterr().err
    again = recipe(handwriting)
    assert capsys.readouterr().err == "" and torch.equal(state, torch.random.get_rng_state())
    assert space.facts == again.facts and space.facts["feature_accuracy"] > 0.9
    assert space(x).shape == (700, 128) and torch.equal(space(x), again(x))
    torch.testing.assert_close(space(x[:1]), space(x)[:1], atol=1e-5, rtol=1e-4)  # no batch statistics
    assert (recipe.judge(handwriting)(x) == handwriting.labels[:700]).double().mean() > 0.9

    (path,) = (tmp_path / "features").glob("*.pt")
    digest = path.stem.split("-")[1]
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    torch.manual_seed(123)  # of no concern to it
    with pytest.warns(UserWarning, match="damaged"):
        renewed = recipe(handwriting)
    (path,) = (tmp_path / "features").glob("*.pt")
    assert path.stem.split("-")[1] == digest and renewed.facts == space.facts  # the same seed, the same weights


def test_the_classifier_of_rows_that_are_all_seen_is_not_that_of_rows_held_out(
    handwriting: Source, tmp_path: Path
) -> None:
    """Where nothing is held out one row in six is kept from it."""
    recipe = Classifier(str(tmp_path), steps=20, batch=64)
    first = recipe(handwriting).facts["feature_digest"]
    assert recipe(replace(handwriting, held_out=handwriting)).facts["feature_digest"] != first
    assert recipe(handwriting).facts["feature_digest"] == first
    assert replace(recipe, smoothing=0.5)(handwriting).facts["feature_digest"] != first


def test_the_classifier_sees_large_data_for_some_epochs(
    handwriting: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    monkeypatch.setattr(classifier, "descend", lambda net, source, order, recipe: lengths.append(recipe.steps))
    for epochs, batch in ((3, 100), (0, 100), (1, 50)):
        Classifier(str(tmp_path), steps=20, epochs=epochs, batch=batch)(handwriting)
    count = len(handwriting)
    assert lengths == [math.ceil(3 * count / 100), 20, math.ceil(count / 50)] and lengths[0] > 20


@pytest.mark.slow
def test_the_classifier_is_right_about_garments(tmp_path: Path) -> None:
    assert Classifier(str(tmp_path))(fashion(str(tmp_path))).facts["feature_accuracy"] >= 0.92


@pytest.mark.slow
def test_the_classifier_is_right_about_digits(tmp_path: Path) -> None:
    """Each of six is judged by the sixth it has not seen: the 299 of one sixth cannot tell 99.0 % from 99.7 %."""
    source = digits("")
    order = rows.shuffled(source)
    right = 0.0
    for k, fold in enumerate(order.chunk(6)):
        seen = part(source, order[~torch.isin(order, fold)], f"all but sixth {k}")
        found = Classifier(str(tmp_path))(replace(seen, held_out=part(source, fold, f"sixth {k}")))
        right += len(fold) * found.facts["feature_accuracy"]
    assert right / len(source) >= 0.99 and len([*tmp_path.glob("features/*.pt")]) == 6


def test_features_without_labels_are_principal_components(handwriting: Source, tmp_path: Path) -> None:
    nameless = replace(handwriting, labels=None)
    with pytest.warns(UserWarning, match="no labels"):
        space = Classifier(str(tmp_path))(nameless)
    assert space(nameless.take(torch.arange(9))).shape == (9, 64) and not list(tmp_path.iterdir())


def test_entropy_of_a_class_histogram() -> None:
    assert entropy(torch.arange(40) % 10) == pytest.approx(math.log(10))
    assert entropy(torch.full((7,), 3)) == 0
    assert entropy(torch.tensor([0, 0, 0, 1])) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_the_histogram_of_digits_knows_which_are_missing(handwriting: Source) -> None:
    few = handwriting.take((handwriting.labels < 2).nonzero()[:, 0])
    found = ClassHistogram(SVM(size=8), n=300)(Always(few), handwriting).scalars
    assert found["class_entropy"] == pytest.approx(math.log(2), abs=0.01)
    assert found["class_entropy_real"] == pytest.approx(math.log(10), abs=0.01)
    assert ClassHistogram(SVM())(Always(few), replace(handwriting, labels=None)).scalars == {}


@pytest.mark.parametrize(("n", "floor"), [(10_000, 0.85), (5_000, 1.74)])
def test_the_frechet_distance_of_equal_gaussians_is_what_few_samples_cost(n: int, floor: float) -> None:
    """In 128 dimensions (specification E): never compare different n."""
    one, other = (statistics(normal(n, 128, seed=seed)) for seed in (1, 2))
    assert frechet_distance(*one, *other) == pytest.approx(floor, rel=0.05)


@pytest.mark.parametrize(("width", "both"), [(2, 0.97), (16, 0.78), (64, 0.64)])
def test_neighbourhoods_of_equal_gaussians(width: int, both: float) -> None:
    """Of 700 rows and as many samples (specification E): precision and recall fall with the dimension, coverage not."""
    found = [(normal(700, width, seed=seed), normal(700, width, seed=seed + 50)) for seed in range(5)]
    near = torch.tensor([precision_recall(*pair, 3) for pair in found]).mean(0)
    assert near.tolist() == pytest.approx([both, both], abs=0.03)
    density, coverage = torch.tensor([density_coverage(*pair, 5) for pair in found]).mean(0).tolist()
    expected = 1 - math.prod((700 - i) / (1400 - i) for i in range(1, 6))
    assert expected == pytest.approx(0.9691, abs=1e-4) and coverage == pytest.approx(expected, abs=0.006)
    assert density == pytest.approx(1, abs=0.04)


# -- tables and series ---------------------------------------------------------------------------


def test_table_distances_of_a_shift_are_the_shift_in_standard_deviations() -> None:
    real = normal(500, 3) * torch.tensor([1.0, 10.0, 0.1])
    sd = real.std(0, correction=0)
    found = tables.compare(real + torch.tensor([0.0, 0.5, 0.2]) * sd, real)
    assert found["wasserstein_max"] == pytest.approx(0.5, rel=1e-5)
    assert found["wasserstein_mean"] == pytest.approx(0.7 / 3, rel=1e-5)
    assert found["correlation_error"] == pytest.approx(0, abs=1e-6)
    assert tables.compare(real.flip(0), real) == pytest.approx(dict.fromkeys(found, 0), abs=1e-12)


def test_wasserstein_distance_is_that_of_scipy() -> None:
    from scipy.stats import wasserstein_distance

    a, b = normal(300, 2).double(), normal(300, 2, seed=1).double().exp()
    expected = [wasserstein_distance(x, y) for x, y in zip(a.T, b.T, strict=True)]
    np.testing.assert_allclose(tables.wasserstein(a, b), expected, rtol=1e-12)


def test_sliced_distance_of_a_shift_in_the_plane_is_its_mean_projection() -> None:
    real = normal(400, 2)
    real = (real - real.mean(0)) / real.std(0, correction=0)
    found = tables.compare(real + torch.tensor([1.0, 0.0]), real)["sliced_wasserstein"]
    assert found == pytest.approx(2 / math.pi, abs=3 * 0.31 / tables.DIRECTIONS**0.5)  # E|cos| and its deviation


def test_correlation_error_of_signs() -> None:
    """Correlations of 1 against -1 differ by 2 in two of four places: Frobenius sqrt(8), over p = 2."""
    x = normal(100, 1)
    found = tables.compare(torch.cat([x, -x], 1), torch.cat([x, x], 1))["correlation_error"]
    assert found == pytest.approx(math.sqrt(8) / 2, rel=1e-5)


def test_tables_with_a_constant_column_have_finite_distances() -> None:
    real, fake = torch.cat([normal(50, 1), torch.ones(50, 1)], 1), normal(50, 2)
    assert all(math.isfinite(value) for value in tables.compare(fake, real).values())


def test_table_probe_of_training_rows_scores_like_the_floor_and_of_noise_does_not() -> None:
    source = huber(p=5, n=4000)
    same = TableQuality(n=1000)(Always(source.data[rows.shuffled(source)[3000:]]), source).scalars
    worse = TableQuality(n=1000)(Always(normal(1000, 5)), source).scalars
    for name in ("wasserstein_mean", "wasserstein_max", "correlation_error", "sliced_wasserstein"):
        assert same[name] < 2 * same[f"{name}_floor"] < worse[name]


def test_location_of_contaminated_data_beside_its_estimators() -> None:
    source = huber(p=50, n=20_000)
    shift = torch.full((50,), 0.1)
    found = Location(n=20_000)(Always(normal(20_000, 50) + shift), source).scalars
    assert found["location_error"] == pytest.approx(float(shift.norm()), abs=0.05)
    assert found["location_error_mean"] == pytest.approx(0.2 * 5 * 50**0.5, rel=0.02)
    assert found["location_error_median"] == pytest.approx(
        0.3183 * 50**0.5, rel=0.02
    )  # root of .8 F(m) + .2 F((m-5)/sqrt 2)
    assert found["location_error_floor"] == pytest.approx((50 / 16_000) ** 0.5, rel=0.3)
    assert Location()(Always(shift), stocks()).scalars == {}


def test_acf_of_autoregressive_series_is_geometric() -> None:
    noise, x = normal(4000, 1, 64), [normal(4000, 1, seed=1)]
    for t in range(63):
        x.append(0.8 * x[-1] + 0.6 * noise[..., t])
    found = acf(torch.stack(x, 2) + 5, lags=10)
    torch.testing.assert_close(found[0], 0.8 ** torch.arange(1, 11).double(), atol=0.02, rtol=0)
    assert acf(noise).abs().max() < 0.02
    torch.testing.assert_close(
        acf(torch.tensor([1.0, -1.0] * 8).view(1, 1, 16), 3), torch.tensor([[-1.0, 1.0, -1.0]]).double()
    )


def test_kurtosis_of_known_laws() -> None:
    signs = normal(100, 2, 30).sign()
    torch.testing.assert_close(kurtosis(signs), torch.full((2,), -2.0).double(), atol=0.01, rtol=0)
    assert kurtosis(normal(3000, 1, 30)).item() == pytest.approx(0, abs=0.05)


def test_series_probe_tells_noise_from_returns() -> None:
    source = stocks(window=64)
    real = SeriesQuality()(Always(source.take(torch.linspace(0, len(source) - 1, 1000).long())), source).scalars
    noise = SeriesQuality()(Always(normal(1000, 1, 64)), source).scalars
    assert real["acf_abs_error"] == real["wasserstein_mean"] == 0
    assert noise["acf_abs_error"] > 0.1 and noise["kurtosis"] == pytest.approx(0, abs=0.1)
    assert real["kurtosis"] == real["kurtosis_real"] > 3


# -- rows ----------------------------------------------------------------------------------------


def test_halves_share_nothing_and_are_always_the_same() -> None:
    source = Source(Spec((1,), "table"), torch.arange(101.0)[:, None])
    first, second = rows.halves(source, 1000)
    assert len(first) == len(second) == 50 and not set(first[:, 0].tolist()) & set(second[:, 0].tolist())
    assert torch.equal(first, rows.halves(source, 1000)[0])
    assert torch.equal(rows.some(source, 7), rows.some(source, 1000)[:7])
    assert sorted(rows.some(source, 1000)[:, 0].tolist()) == list(range(101))
