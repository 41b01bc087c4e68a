"""Laws of what is said of generated tables, and of the rivals that a generator has to beat."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.datasets.table import sklearn_table
from gan_runner.metrics import fidelity, privacy, rivals, rows, utility
from gan_runner.metrics.fidelity import Fidelity, association, association_error
from gan_runner.metrics.privacy import Privacy
from gan_runner.metrics.utility import Utility, tstr
from gan_runner.pictures.associations import Associations
from gan_runner.pictures.figure import FAKE, REAL
from gan_runner.pictures.marginals import Marginals, marginals
from tests.test_metrics import Always, normal

NONE: tuple[str, ...] = ()
ABC = ("a", "b", "c")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(n: int = 400, seed: int = 0) -> Tensor:
    """Two numbers of correlation 0.8, a category that they decide, one that nothing decides."""
    z = normal(n, 2, seed=seed).double()
    z[:, 1] = 0.8 * z[:, 0] + 0.6 * z[:, 1]
    decided = (z.sum(1) > -1).double() + (z.sum(1) > 1).double()
    return torch.column_stack([z, decided, torch.randint(3, (n,), generator=seeded(seed)).double()])


LEVELS = (NONE, NONE, ABC, ABC)


@pytest.fixture(scope="module")
def wine() -> Source:
    return sklearn_table("wine")


@pytest.fixture(scope="module")
def train(wine: Source) -> Tensor:
    return wine.decode(wine.data)


# -- columns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_ks_is_that_of_brute_force_and_of_scipy_with_ties(digits: int) -> None:
    a, b = normal(57).double().round(decimals=digits), normal(91, seed=1).double().round(decimals=digits) * 1.2
    at = torch.cat([a, b])
    brute = max(abs(float((a <= v).double().mean() - (b <= v).double().mean())) for v in at)
    assert fidelity.ks(a, b) == pytest.approx(brute, abs=1e-12)
    assert fidelity.ks(a, b) == pytest.approx(float(stats.ks_2samp(a, b).statistic), abs=1e-12)  # type: ignore[attr-defined]
    assert fidelity.ks(a, a.flip(0)) == 0 and fidelity.ks(a, a + 100) == 1


def test_gaps_count_in_ks_by_their_share() -> None:
    a, gap = torch.arange(10.0), torch.tensor([math.nan] * 5)
    assert fidelity.ks(a, torch.cat([a[:5], gap])) == pytest.approx(0.5)
    assert fidelity.ks(torch.cat([a, gap]), torch.cat([gap, a])) == 0


def test_tv_is_that_of_brute_force() -> None:
    a, b = torch.tensor([0, 0, 1, 3]).double(), torch.tensor([0, 1, 1, 2, 2]).double()
    shares = [[float((x == k).double().mean()) for k in range(4)] for x in (a, b)]
    assert (
        fidelity.tv(a, b)
        == pytest.approx(sum(abs(p - q) for p, q in zip(*shares, strict=True)) / 2)
        == pytest.approx(0.55)
    )
    assert fidelity.tv(a, a.flip(0)) == 0 and fidelity.tv(a, a + 4) == 1


# -- pairs -----------------------------------------------------------------------------------------


def test_associations_are_the_textbooks() -> None:
    x = table()
    found = association(x, LEVELS)
    a, b, c, d = x.T
    assert float(found[0, 1]) == pytest.approx(float(np.corrcoef(a, b)[0, 1]))
    means = sum(float((c == k).sum()) * (float(a[c == k].mean()) - float(a.mean())) ** 2 for k in range(3))
    assert float(found[0, 2]) == pytest.approx(math.sqrt(means / float((a - a.mean()).square().sum())))
    counts = np.array([[int(((c == i) & (d == j)).sum()) for j in range(3)] for i in range(3)])
    assert float(found[2, 3]) == pytest.approx(stats.contingency.association(counts, method="cramer"))
    assert torch.equal(found, found.T) and (found.diagonal() == 0).all()


def test_associations_reach_one_and_nothing_goes_with_a_constant() -> None:
    a = torch.arange(12.0)
    c = a % 3
    x = torch.column_stack([a, -2 * a + 1, c, 2 - c, 5 * c, 0 * a, 0 * a]).double()
    found = association(x, (NONE, NONE, ABC, ABC, NONE, NONE, ("a",)))
    assert float(found[0, 1]) == pytest.approx(-1) and float(found[2, 3]) == pytest.approx(1)
    assert float(found[2, 4]) == pytest.approx(1) and found[5:].abs().max() < 1e-12


def test_the_error_of_associations_is_a_mean_over_pairs() -> None:
    x = table()
    y = x.clone()
    y[:, 1] = -y[:, 1]
    apart = (association(x, LEVELS) - association(y, LEVELS)).abs()
    assert (
        association_error(x, y, LEVELS) == pytest.approx(float(apart[0, 1]) / 6)
        and association_error(x, x, LEVELS) == 0
    )


def test_detection_knows_rows_from_others_and_not_from_their_like() -> None:
    assert fidelity.detection(table(seed=0), table(seed=1), LEVELS) == pytest.approx(0.5, abs=0.08)
    assert fidelity.detection(rivals.independent(table(), 400, seeded()), table(seed=1), LEVELS) > 0.8


# -- rivals ----------------------------------------------------------------------------------------


def test_independent_columns_keep_marginals_and_nothing_else() -> None:
    x = table(4000)
    made = rivals.independent(x, 4000, seeded())
    assert association(made, LEVELS).abs().max() < 0.07 and association(x, LEVELS)[0, 1] > 0.7
    assert all(fidelity.ks(a, b) < 0.04 for a, b in zip(made.T, x.T, strict=True))


def test_a_gaussian_copula_reproduces_marginals_and_correlations() -> None:
    z = (
        torch.linalg.cholesky(torch.tensor([[1, 0.7, -0.4], [0.7, 1, 0.1], [-0.4, 0.1, 1]]).double())
        @ normal(3, 6000).double()
    )
    x = torch.stack([z[0], z[1].exp(), z[2].sinh()], 1)
    made = rivals.copula(x, 6000, seeded())
    scores = torch.stack([torch.special.ndtri((rivals.ranks(c, seeded()).double() + 0.5) / 6000) for c in made.T])
    torch.testing.assert_close(torch.corrcoef(scores), torch.corrcoef(z), atol=0.04, rtol=0)
    assert all(fidelity.ks(a, b) < 0.04 for a, b in zip(made.T, x.T, strict=True))
    assert set(made[:, 1].tolist()) <= set(x[:, 1].tolist())


def test_a_copula_of_categories_keeps_their_shares() -> None:
    x = table(4000)
    made = rivals.copula(x, 4000, seeded())
    assert fidelity.tv(made[:, 2], x[:, 2]) < 0.03 and float(association(made, LEVELS)[0, 2]) > 0.3


def test_ranks_break_ties_at_random() -> None:
    x = torch.tensor([2.0, 1, 2, 1, 3])
    first, second = rivals.ranks(x, seeded(0)), [rivals.ranks(x, seeded(s)) for s in range(8)]
    assert sorted(first.tolist()) == [0, 1, 2, 3, 4] and first[4] == 4 and set(first[[1, 3]].tolist()) == {0, 1}
    assert any(not torch.equal(first, other) for other in second)


# -- use and privacy -------------------------------------------------------------------------------


def test_learning_from_real_rows_is_learning_from_real_rows(wine: Source) -> None:
    """A generator that gives the training rows reaches the floor exactly."""
    found = Utility(n=200)(Always(rows.some(wine, 5000)), wine).scalars  # type: ignore[arg-type]
    for name in ("accuracy", "forest", "logistic"):
        assert found[f"tstr_{name}"] == found[f"tstr_{name}_floor"] > 0.9 > 0.6 > found[f"tstr_{name}_independent"]


def test_accuracies_are_those_of_scikit_learn(wine: Source, train: Tensor) -> None:
    from sklearn.ensemble import RandomForestClassifier

    assert wine.held_out is not None and wine.held_out.labels is not None and wine.labels is not None
    real = wine.decode(wine.held_out.data)
    forest = RandomForestClassifier(100, random_state=0)
    # a flag of gaps beside each number is constant and changes which features a split may try
    x, y = utility.features(train, wine.levels, 13)
    assert np.array_equal(x[:, ::2], train[:, :13].numpy()) and not x[:, 1::2].any() and np.array_equal(y, wine.labels)
    expected = forest.fit(x, y).score(*utility.features(real, wine.levels, 13))
    assert tstr(train, real, wine.levels, 13)["tstr_forest"] == expected


def test_samples_of_one_class_teach_its_share(train: Tensor, wine: Source) -> None:
    made = train.clone()
    made[:, 13] = 1
    found = tstr(made, train, wine.levels, 13)
    assert found["tstr_accuracy"] == pytest.approx(float((train[:, 13] == 1).double().mean()))


def test_permuted_labels_teach_nothing(train: Tensor, wine: Source) -> None:
    made = train.clone()
    made[:, 13] = made[torch.randperm(len(made), generator=seeded()), 13]
    assert (
        tstr(made, train, wine.levels, 13)["tstr_logistic"] < 0.6 < tstr(train, train, wine.levels, 13)["tstr_logistic"]
    )


def test_copies_are_at_no_distance_and_are_counted(wine: Source) -> None:
    assert wine.held_out is not None
    whole = Privacy()(Always(wine.data), wine).scalars  # type: ignore[arg-type]
    assert whole["neighbour_ratio"] == whole["neighbour_ratio_low"] == 0 and whole["copies"] == 1
    assert whole["neighbour_ratio_floor"] == whole["neighbour_ratio_low_floor"] == 1 and whole["copies_floor"] == 0
    assert whole["neighbour_ratio_independent"] > 1.2
    mixed = torch.cat([wine.data[:25], wine.held_out.data[:50], wine.held_out.data[:50]])
    assert Privacy()(Always(mixed), wine).scalars["copies"] == 0.2  # type: ignore[arg-type]


def test_a_category_that_differs_counts_one(wine: Source, train: Tensor) -> None:
    other = train.clone()
    other[:, 13] = (other[:, 13] + 1) % 3
    a, b = privacy.coded(train, wine), privacy.coded(other, wine)
    torch.testing.assert_close((a - b).norm(dim=1), torch.ones(len(a)).double())
    torch.testing.assert_close(privacy.nearest(a[:5], a[5:]), torch.cdist(a[:5], a[5:]).amin(1))


@pytest.mark.parametrize("probe", [Fidelity(), Utility(), Privacy()])
def test_without_held_out_rows_nothing_is_said(probe: Any, wine: Source) -> None:
    with pytest.warns(UserWarning, match="held_out"):
        assert probe(Always(wine.data), replace(wine, held_out=None)).scalars == {}


def test_without_a_label_there_is_nothing_to_learn(wine: Source) -> None:
    with pytest.warns(UserWarning, match="label"):
        assert Utility()(Always(wine.data), replace(wine, coding=replace(wine.coding, label=None))).scalars == {}  # type: ignore


def test_training_rows_reach_the_floor_of_every_distance(wine: Source) -> None:
    found = Fidelity()(Always(rows.some(wine, 5000)), wine).scalars  # type: ignore[arg-type]
    names = [name for name in found if not name.endswith(("_floor", "_independent", "_copula"))]
    assert len(names) == 6 and all(found[name] == found[f"{name}_floor"] for name in names)
    assert found["association_error"] < found["association_error_copula"] < found["association_error_independent"]


# -- pictures --------------------------------------------------------------------------------------


def colour(picture: Tensor, of: str) -> Tensor:
    wanted = torch.tensor([int(of[i : i + 2], 16) for i in (1, 3, 5)])
    return ((picture.int() - wanted).abs().sum(2) < 12).sum()


def test_bars_are_as_high_as_shares() -> None:
    """Real halves; generated three quarters and one: the orange area is the same, in bars of two heights."""
    real, fake = torch.tensor([[0.0], [1.0]] * 50), torch.tensor([[0.0], [0.0], [0.0], [1.0]] * 50)
    picture = marginals(real, fake, ("coin",), [("heads", "tails")])
    half = picture.shape[1] // 2
    left, right = picture[30:, :half], picture[30:, half:]
    assert float(colour(left, FAKE) / colour(right, FAKE)) == pytest.approx(3, rel=0.05)
    assert float(colour(left, REAL) / colour(right, REAL)) == pytest.approx(1, rel=0.05)
    assert float(colour(left, FAKE) / colour(left, REAL)) == pytest.approx(1.5, rel=0.05)


def test_pictures_of_tables_show_all_their_columns(wine: Source) -> None:
    draw: Any = Always(wine.data)
    shown = Marginals(columns=16)(draw, wine).pictures["marginals"]
    assert shown.shape[0] > 4 * 120 and colour(shown, FAKE) > 2000
    both = Associations()(draw, wine).pictures["associations"]
    left, right = both[28:348, 90:410], both[28:348, -14 - 320 : -14]
    assert float((left.int() - right.int()).abs().float().mean()) < 1


# -- large and small tables ------------------------------------------------------------------------


def test_copies_are_found_among_all_training_rows(wine: Source) -> None:
    found = Privacy(n=20).score(wine.decode(wine.data), wine)
    assert found["copies"] == 1.0 and found["neighbour_ratio"] == 0.0


def test_a_sorted_file_is_not_told_from_samples_by_its_beginning() -> None:
    source = sklearn_table("breast_cancer")
    held = source.held_out
    assert held is not None
    by_size = replace(source, held_out=replace(held, data=held.data[held.data[:, 0].argsort()]))
    assert Fidelity().score(source.decode(source.data[:60]), by_size)["detection_auroc"] < 0.7


def test_one_held_out_row_leaves_detection_open() -> None:
    assert math.isnan(fidelity.detection(table(5), table(1), LEVELS))
