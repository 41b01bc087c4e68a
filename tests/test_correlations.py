"""Laws of correlation matrices: the nearest one, their order, their facts, and the networks that make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.stats import ks_2samp
from torch import Tensor

from gan_runner import sample
from gan_runner.build import build
from gan_runner.construct import construct
from gan_runner.datasets import hcbm as blocks
from gan_runner.datasets.correlations import correlations
from gan_runner.datasets.hcbm import hcbm
from gan_runner.datasets.matrices import Nearest, clipped_correlation, nearest_correlation, ordered
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError, UsageError
from gan_runner.metrics import matrices, spectra
from gan_runner.models import correlation, corrgan, dcgan_tf
from gan_runner.pictures import matrices as pictures
from tests.conftest import compose
from tests.test_contract import differing, play


def draws(n: int, size: int, seed: int = 0) -> Tensor:
    """Correlation matrices (n, size, size) float64 of full rank, with coefficients of both signs."""
    g = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(n, size, size + 2, generator=g, dtype=torch.float64), dim=-1)
    return with_ones(rows @ rows.mT)


def with_ones(x: Tensor) -> Tensor:
    return x.diagonal_scatter(torch.ones(x.shape[:-1], dtype=x.dtype), dim1=-2, dim2=-1)


def wild(n: int = 40, size: int = 7, seed: int = 1) -> Tensor:
    """Matrices (n, 1, size, size) that are neither symmetric nor positive nor of unit diagonal."""
    return torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(seed))


# -- the nearest correlation matrix ----------------------------------------------------------------


def test_projection_leaves_correlation_matrices_as_they_are() -> None:
    for c in (draws(20, 6), torch.ones(1, 4, 4), torch.eye(5)[None]):
        assert torch.equal(nearest_correlation(c), c.double())
    once = nearest_correlation(wild())
    assert torch.equal(nearest_correlation(once), once)


@pytest.mark.parametrize("project", [nearest_correlation, clipped_correlation])
def test_projections_are_correlation_matrices(project) -> None:
    c = project(3 * wild())
    assert c.dtype == torch.float64 and c.shape == wild().shape
    assert (c.diagonal(dim1=-2, dim2=-1) == 1).all() and torch.equal(c, c.mT)
    assert torch.linalg.eigvalsh(c).min() > -1e-12


def test_projection_of_higham() -> None:
    """The example of Higham (2002), section 4."""
    x = torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]])[None]
    expected = torch.tensor([[1, 0.7607, 0.1573], [0.7607, 1, 0.7607], [0.1573, 0.7607, 1]], dtype=torch.float64)
    torch.testing.assert_close(nearest_correlation(x)[0], expected, atol=5e-5, rtol=0)


def test_projection_is_the_nearest() -> None:
    """Of a convex set x is nearest to a if and only if (a - x) . (z - x) <= 0 for all z of the set."""
    a = wild(20, 5).double()
    x = nearest_correlation(a)
    signs = torch.tensor([[1.0 if k >> i & 1 else -1.0 for i in range(5)] for k in range(32)], dtype=torch.float64)
    others = torch.cat([draws(300, 5), signs[:, :, None] * signs[:, None, :]])
    gain = ((a - x) * (others - x)).sum((2, 3))
    assert gain.max() < 1e-6
    clipped = clipped_correlation(a)
    assert ((a - clipped) * (others - clipped)).sum((2, 3)).max() > 0.1, "which clipping is not"


def test_projection_beats_clipping() -> None:
    a = with_ones(wild(40, 9)[:, 0].double())
    a = (a + a.mT) / 2
    near, clipped = ((c - a).norm(dim=(1, 2)) for c in (nearest_correlation(a), clipped_correlation(a)))
    assert (near < clipped - 1e-3).all()


def test_the_source_decodes_to_correlation_matrices() -> None:
    coding = construct(Nearest().describe(), "dataset")
    source = Source(Spec((1, 7, 7), "correlation"), torch.empty(0, 1, 7, 7), coding=coding)
    assert torch.equal(source.decode(wild()), nearest_correlation(wild()))


# -- order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 12])
def test_the_order_of_a_matrix_does_not_depend_on_that_of_its_variables(size: int) -> None:
    rng = np.random.default_rng(0)
    for c in draws(10, size).numpy():
        expected = c[np.ix_(ordered(c), ordered(c))]
        shuffle = rng.permutation(size)
        mixed = c[np.ix_(shuffle, shuffle)]
        assert np.array_equal(mixed[np.ix_(ordered(mixed), ordered(mixed))], expected)
        half = size // 2
        assert expected[:half, :half].sum() >= expected[-half:, -half:].sum()


def contiguous(labels: Tensor) -> bool:
    return 1 + int((labels[1:] != labels[:-1]).sum()) == len(labels.unique())


@pytest.mark.parametrize("lengths", [(4, 2), (3, 2), None])
def test_the_blocks_of_the_simulator_are_found_again(lengths) -> None:
    source = hcbm(24, lengths, n=60, days=None)
    assert all(contiguous(row[:, 1]) for row in source.truth["blocks"]), "inner blocks, always"
    assert sum(contiguous(row[:, 0]) for row in source.truth["blocks"]) > 0.9 * len(source), "outer ones, mostly"
    data = source.data[:, 0].double()
    for row, labels in zip(data, source.truth["blocks"], strict=True):
        block, inner = (labels[:, None, k] == labels[None, :, k] for k in (0, 1))
        between = row[~block].unique()
        assert len(between) == 1 and ((row > between) == block).all()
        outer = row.masked_fill(inner, 0).amax(1)
        assert (row.masked_fill(~inner, 1).amin(1) > outer).all()
    assert torch.linalg.eigvalsh(data).min() > 0


def test_estimates_scatter_around_exact_correlations() -> None:
    """By (1 - rho^2) / days^(1/2), the standard error of a Gaussian correlation."""
    rng = np.random.default_rng(0)
    exact = np.array([[1, 0.5, 0.0], [0.5, 1, -0.3], [0.0, -0.3, 1]])
    found = np.stack([blocks.estimated(rng, exact, 400) for _ in range(2000)])
    above = np.triu_indices(3, 1)
    assert np.allclose(found.mean(0), exact, atol=0.005)
    assert np.allclose(found.std(0)[above] * 20, 1 - exact[above] ** 2, rtol=0.06)


def test_simulations_are_a_function_of_their_arguments() -> None:
    one, same, other = hcbm(8, n=10), hcbm(8, n=10), hcbm(8, n=10, seed=1)
    assert hcbm(8, None, n=10).digest != one.digest
    assert one.digest == same.digest != other.digest
    assert one.held_out is not None and (len(one), len(one.held_out)) == (8, 2)
    assert one.data.shape == (8, 1, 8, 8) and one.spec.kind == "correlation"


def test_lengths_of_blocks() -> None:
    assert blocks.equal(32, 4, 2) == [[4, 4]] * 4
    assert blocks.equal(11, 2, 2) == [[3, 3], [3, 2]]
    for wrong in ([4], [0, 2], [4, 3]):
        with pytest.raises(UsageError, match=r"dataset\.blocks="):
            hcbm(8, wrong)


@pytest.mark.parametrize("length", [2, 4, 5, 7, 11, 32])
def test_cuts_add_up(length: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        parts = blocks.cut(rng, length, 2, 3)
        assert sum(parts) == length and min(parts) >= 2 and len(parts) <= 3
        assert len(parts) > 1 or length < 4


# -- stocks ----------------------------------------------------------------------------------------


def prices(tmp_path: Path, days: int = 301, assets: int = 5) -> tuple[Path, np.ndarray]:
    """A file of random prices that have a common factor, and their log-returns."""
    rng = np.random.default_rng(0)
    returns = 0.01 * (rng.standard_normal((days - 1, assets)) + rng.standard_normal((days - 1, 1)))
    walks = 100 * np.exp(np.cumsum(np.vstack([np.zeros(assets), returns]), axis=0))
    lines = [",".join([str(np.datetime64("2020-01-01") + i), *map(repr, row.tolist())]) for i, row in enumerate(walks)]
    file = tmp_path / "prices.csv"
    file.write_text("\n".join(["Date,A,B,C,D,E", *lines]))
    return file, returns


def test_rows_are_correlations_of_windows_that_share_no_day_with_those_held_out(tmp_path: Path) -> None:
    file, returns = prices(tmp_path)
    source = correlations(str(file), size=5, window=40, stride=10, held_out=0.25)
    test = source.held_out
    assert test is not None and (len(source), len(test)) == ((225 - 40) // 10 + 1, (75 - 40) // 10 + 1)
    for part, first_day in ((source, 0), (test, 225)):
        for i, row in enumerate(part.data[:, 0].double().numpy()):
            first = first_day + 10 * i
            c = np.corrcoef(returns[first : first + 40].T)
            assert np.allclose(row, c[np.ix_(ordered(c), ordered(c))], atol=1e-6)
    assert (source.data.diagonal(dim1=2, dim2=3) == 1).all()


def test_training_rows_do_not_know_the_held_out_days(tmp_path: Path) -> None:
    file, _ = prices(tmp_path)
    arguments = {"size": 3, "window": 40, "subsets": 2}
    before = correlations(str(file), **arguments)
    rows = file.read_text().splitlines()
    file.write_text("\n".join([*rows[:-50], *(row.replace(",1", ",2") for row in rows[-50:])]))
    after = correlations(str(file), **arguments)
    assert before.digest == after.digest and before.held_out.digest != after.held_out.digest


def test_of_more_stocks_random_subsets_are_taken(tmp_path: Path) -> None:
    file, returns = prices(tmp_path)
    source = correlations(str(file), size=3, window=100, stride=100, subsets=7, held_out=0.34)
    c = np.corrcoef(returns[:100].T)
    known = {round(float(x), 5) for x in c[np.triu_indices(5, 1)]}
    found = [{round(float(x), 5) for x in row[0][np.triu_indices(3, 1)]} for row in source.data]
    assert len(source) == 7 and all(row <= known for row in found) and len(set(map(frozenset, found))) > 2


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"size": 6}, DataError, "dataset.size=5"),
        ({"size": 5, "window": 200}, DataError, "60 held out; each part needs 200"),
        ({"size": 2}, UsageError, "dataset.size=2"),
        ({"held_out": 0.0}, UsageError, "dataset.held_out=0.0"),
        ({"stride": 0}, UsageError, "dataset.stride=0"),
        ({"subsets": 0}, UsageError, "dataset.subsets=0"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments, error, words: str) -> None:
    with pytest.raises(error) as refusal:
        correlations(str(prices(tmp_path)[0]), **arguments)
    assert words in str(refusal.value)


def test_a_price_that_stands_still_is_named(tmp_path: Path) -> None:
    file, _ = prices(tmp_path)
    lines = [line.split(",") for line in file.read_text().splitlines()]
    for line in lines[101:142]:
        line[3] = lines[100][3]
    file.write_text("\n".join(map(",".join, lines)))
    with pytest.raises(DataError, match=r"column 'C'.* 41 days"):
        correlations(str(file), size=5, window=41)
    correlations(str(file), size=5, window=42)


# -- facts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "days", "low", "high"),
    [(100, 252, 0.1369, 2.6567), (452, 1257, 0.1603, 2.5589), (50, 252, 0.3075, 2.0893)],
)
def test_marchenko_pastur(variables: int, days: int, low: float, high: float) -> None:
    assert spectra.marchenko_pastur_edges(variables, days) == pytest.approx((low, high), abs=5e-5)
    x = torch.linspace(low, high, 20_001, dtype=torch.float64)
    law = spectra.marchenko_pastur_density(x, variables, days)
    assert float(torch.trapezoid(law, x)) == pytest.approx(1, abs=1e-3)
    assert float(torch.trapezoid(x * law, x)) == pytest.approx(1, abs=1e-3), "the mean eigenvalue"


def test_spectrum_of_equal_correlations() -> None:
    c = with_ones(torch.full((1, 5, 5), 0.4))
    values, first = spectra.eigen(c)
    torch.testing.assert_close(
        values[0], torch.tensor([2.6, 0.6, 0.6, 0.6, 0.6], dtype=torch.float64), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(first[0], torch.full((5,), 5**-0.5, dtype=torch.float64))
    flip = torch.tensor([1.0, 1, 1, 1, -1])
    assert spectra.one_signed(torch.cat([first, -first, first * flip])).tolist() == [True, True, False]


def test_trees_are_those_of_scipy() -> None:
    c = draws(30, 12)
    for mine, matrix in zip(spectra.tree_degrees(c), c, strict=True):
        tree = minimum_spanning_tree(np.sqrt(2 * (1 - matrix.numpy()))).toarray() > 0
        assert mine.tolist() == (tree.sum(0) + tree.sum(1)).tolist()


def test_a_star_has_one_hub() -> None:
    """All others depend on the third variable alone."""
    loadings = torch.tensor([0.9, 0.8, 1.0, 0.7, 0.6])
    c = with_ones(loadings[:, None] * loadings)[None]
    assert spectra.tree_degrees(c).tolist() == [[1, 1, 4, 1, 1]]


def test_a_hierarchy_of_two_levels_is_told_exactly() -> None:
    c = torch.full((4, 4), 0.1)
    c[:2, :2] = c[2:, 2:] = 0.6
    assert float(spectra.cophenetic(with_ones(c)[None])) == pytest.approx(1)


def ward(distances: np.ndarray) -> np.ndarray:
    """The distances (p, p) in Ward's tree, by the recurrence of Lance and Williams (1967)."""
    clusters, d = {i: [i] for i in range(len(distances))}, {}
    d = {(i, j): distances[i, j] ** 2 for i in clusters for j in clusters if i != j}
    tree = np.zeros_like(distances)
    while len(clusters) > 1:
        (a, b), height = min(d.items(), key=lambda item: item[1])
        tree[np.ix_(clusters[a], clusters[b])] = tree[np.ix_(clusters[b], clusters[a])] = height**0.5
        for k in set(clusters) - {a, b}:
            n, m, o = (len(clusters[i]) for i in (a, b, k))
            d[a, k] = d[k, a] = ((n + o) * d[a, k] + (m + o) * d[b, k] - o * height) / (n + m + o)
        clusters[a] = clusters[a] + clusters.pop(b)
        d = {pair: x for pair, x in d.items() if b not in pair}
    return tree


def test_the_hierarchy_is_that_of_ward() -> None:
    c = draws(20, 8)
    above = np.triu_indices(8, 1)
    for found, matrix in zip(spectra.cophenetic(c), 1 - c.numpy(), strict=True):
        assert float(found) == pytest.approx(np.corrcoef(ward(matrix)[above], matrix[above])[0, 1])


def test_slope_of_a_power_law() -> None:
    degrees = torch.cat([torch.full((n,), k) for k, n in ((1, 108), (2, 20), (3, 7), (4, 9))])[None]
    assert matrices.slopes(degrees, degrees) == (pytest.approx(-2), pytest.approx(-2))
    lighter = torch.cat([torch.full((n,), k) for k, n in ((1, 108), (2, 20), (3, 16))])[None]
    assert matrices.slopes(degrees, lighter)[1] < -2


def test_facts_of_the_same_matrices_are_the_same_and_of_others_are_not() -> None:
    one, other = matrices.facts(draws(50, 8)), matrices.facts(draws(50, 8).abs() ** 0.5)
    assert set(matrices.compare(one, one).values()) == {0.0}
    apart = matrices.compare(other, one)
    assert apart["rho_ks"] == pytest.approx(ks_2samp(one.coefficients, other.coefficients).statistic)
    assert apart["rho_mean_error"] == pytest.approx(float(other.coefficients.mean() - one.coefficients.mean()))
    assert one.smallest == pytest.approx(float(np.linalg.eigvalsh(draws(50, 8).numpy()).min()))
    assert apart["lambda_1_error"] == pytest.approx(other.largest / one.largest - 1)


LIMITS = {
    "rho_ks": ("coefficients", 0.1),
    "rho_mean_error": ("coefficients", 0.03),
    "lambda_1_error": ("eigenvalues", 0.1),
    "cophenetic_error": ("hierarchy", 0.05),
    "degree_max_error": ("tree", 0.2),
    "degree_slope_error": ("tree", 0.2),
}


@pytest.mark.parametrize("name", LIMITS)
def test_each_distance_decides_about_its_fact(name: str) -> None:
    one = matrices.facts(draws(5, 4))
    fact, limit = LIMITS[name]
    for value, holds in ((limit * 0.99, True), (limit * 1.01, False)):
        verdicts = matrices.held(dict.fromkeys(LIMITS, 0.0) | {name: value}, one, one)
        assert len(verdicts) == 5 and verdicts[fact] == holds and sum(verdicts.values()) == 4 + holds


@pytest.mark.parametrize(("fake", "real", "holds"), [(1, 1, True), (0.98, 1, False), (0.5, 0.98, True)])
def test_signs_count_where_those_of_real_ones_agree(fake: float, real: float, holds: bool) -> None:
    def signed(share: float) -> matrices.Facts:
        return matrices.Facts(torch.zeros(1), 1.0, 0.0, share, 1.0, torch.ones(1, 2, dtype=torch.int64))

    assert matrices.held(dict.fromkeys(LIMITS, 0.0), signed(fake), signed(real))["eigenvector"] == holds


class Fixed:
    """A draw of given samples."""

    def __init__(self, x: Tensor):
        self.x = x

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.x[:n]


def test_the_probe_compares_with_training_rows_and_with_those_held_out() -> None:
    source = hcbm(8, n=200, held_out=0.5)
    assert source.held_out is not None
    probe = matrices.CorrelationFacts(n=100)
    same = probe(Fixed(source.data), source).scalars
    assert same["rho_ks"] == same["projected"] == 0 and same["facts_held"] == 5
    for name in ("rho_ks", "rho_mean_error", "cophenetic_error"):
        assert same[f"{name}_held_out"] == pytest.approx(same[f"{name}_floor"]), "the same from both sides"
    unseen = probe(Fixed(source.held_out.data), source).scalars
    assert unseen["rho_ks_held_out"] == 0 and unseen["rho_ks"] == unseen["rho_ks_floor"] > 0
    raw = source.data.clone()
    raw.diagonal(dim1=2, dim2=3).fill_(0.5)
    assert probe(Fixed(raw), source).scalars["projected"] == pytest.approx((0.25 / 8) ** 0.5, rel=1e-3)


# -- networks --------------------------------------------------------------------------------------

SPEC = Spec((1, 8, 8), "correlation")


def test_by_construction_whatever_the_weights() -> None:
    torch.manual_seed(0)
    for scale in (0.1, 1.0, 30.0):
        net = correlation.Generator(SPEC, latent=6, hidden=(16,), factors=3).double()
        c = net(scale * net.noise(64).double()).detach()
        assert (c.diagonal(dim1=2, dim2=3) == 1).all() and torch.equal(c, c.mT)
        assert torch.linalg.eigvalsh(c).min() > -1e-12


def test_by_construction_are_the_correlations_of_factors() -> None:
    """Those of x_i = b_i f + s_i e_i, from the loadings themselves."""
    torch.manual_seed(0)
    net = correlation.Generator(SPEC, latent=6, hidden=(16,), factors=3).double()
    z = net.noise(1).double()
    rows = net.net(z)[0, 0].detach()
    covariance = rows[:, :3] @ rows[:, :3].T + torch.diag((2 * rows[:, 3]).exp())
    sd = covariance.diagonal().sqrt()
    torch.testing.assert_close(net(z)[0, 0].detach(), covariance / sd[:, None] / sd)


def test_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    for net in (correlation.Generator(SPEC, hidden=(16,), factors=3), corrgan.Generator(SPEC, width=2)):
        net(net.noise(16)).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_corrgan_is_the_symmetric_part_of_dcgan_with_ones() -> None:
    torch.manual_seed(0)
    net = corrgan.Generator(SPEC, latent=5, width=2).eval()
    plain = dcgan_tf.Generator(SPEC, latent=5, width=2).eval()
    plain.load_state_dict(net.state_dict())
    z = net.noise(4)
    x = plain(z)
    assert torch.equal(net(z), with_ones((x + x.mT) / 2))


def test_the_discriminator_sees_a_matrix_and_its_square() -> None:
    c = draws(3, 4)
    seen = corrgan.WithSquare(4)(c[:, None])
    square = c @ c / 4
    for row, one, two in zip(seen, c, square, strict=True):
        entries = [one[i, j] for i in range(4) for j in range(i + 1, 4)]
        entries += [two[i, j] for i in range(4) for j in range(i, 4)]
        torch.testing.assert_close(row, torch.stack(entries))
    net = corrgan.Discriminator(SPEC, hidden=(6,))
    assert net.features(draws(5, 8).float()[:, None]).shape == (5, 6) and net(draws(5, 8).float()[:, None]).shape == (
        5,
    )


@pytest.mark.parametrize(
    ("model", "shape", "remedy"),
    [
        ("corrgan", (1, 10, 10), "dataset.size=12 or choose model=correlation"),
        ("corrgan", (3, 8, 8), "dataset=correlations"),
        ("correlation", (1, 8, 12), "dataset=correlations"),
    ],
)
def test_what_networks_cannot_make_is_refused(model: str, shape: tuple[int, ...], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        {"corrgan": corrgan, "correlation": correlation}[model].Generator(Spec(shape, "correlation"))


# -- runs ------------------------------------------------------------------------------------------

RUN = ("dataset=hcbm", "dataset.size=8", "dataset.n=40", "train.batch_size=16", "train.steps=8")
SMALL = {"corrgan": ["model.generator.width=2"], "correlation": []}


@pytest.mark.parametrize("model", SMALL)
def test_resume_is_exact(model: str) -> None:
    whole, first, second = (build(compose(*RUN, f"model={model}", *SMALL[model], "probes=none")) for _ in range(3))
    play(whole)
    play(first, until=3)
    second.state.load_state_dict(first.state.state_dict())
    play(second)
    assert differing(whole, second) == []


def test_samples_of_a_run_folder_are_correlation_matrices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_runner import train

    monkeypatch.chdir(tmp_path)
    few = ("model.generator.width=2", "probes.facts.n=10", "probes.pictures.n=10", "probes.scores.n=10")
    assert train.train(compose(*RUN, *few, "run.dir=r"), [])[0] == 0
    assert sample.sample(sample.Settings("r", n=9, out="x.npz")) == 0
    c = torch.from_numpy(np.load("x.npz")["samples"])
    assert c.shape == (9, 1, 8, 8) and torch.equal(nearest_correlation(c), c)
    assert torch.linalg.eigvalsh(c).min() > -1e-8 and (c.diagonal(dim1=2, dim2=3) == 1).all()
    for form in ("grid", "pt", "csv"):
        assert sample.sample(sample.Settings("r", n=9, format=form)) == 0
    with pytest.raises(UsageError, match="format=png does not suit correlation"):
        sample.sample(sample.Settings("r", format="png"))


def test_colours() -> None:
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.5]])[None, None]
    found = pictures.colours(x)[0].permute(1, 2, 0)
    assert ["#" + bytes(c).hex() for c in found.flatten(0, 1).tolist()[:3]] == [
        pictures.LOWS,
        "#ffffff",
        pictures.HIGHS,
    ]


def test_pictures_show_what_was_generated() -> None:
    real, fake = draws(30, 6), draws(30, 6, seed=1).abs().sqrt()
    for draw in (lambda a, b: pictures.facts(a, b, 252), pictures.heat_maps):
        assert not torch.equal(draw(real, real), draw(real, fake))
