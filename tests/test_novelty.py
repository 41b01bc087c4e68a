"""How strange rows are to a trained energy, and images that were spoiled so that they are strange."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import CHUNK, Draw
from gan_runner.metrics.disguises import blurred, disguised, framed, tiled
from gan_runner.metrics.energy import Outsiders, above
from gan_runner.metrics.novelty import Energy, Mahalanobis, Neighbours, Pixels, Relaxation, Slope, Typicality
from gan_runner.metrics.rows import halves
from tests.test_contract import make

N = CHUNK + 44
SCORES: dict[str, Any] = {
    "energy": Energy(),
    "typicality": Typicality(),
    "slope": Slope(),
    "relaxation": Relaxation(steps=2),
    "mahalanobis": Mahalanobis(),
    "neighbours": Neighbours(),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def run(score: Any = lambda x: None, features: Any = lambda x: None) -> Draw:
    """A run whose scores and features of rows are known, in evaluation mode: in training half of a row is left out."""
    objective: Any = SimpleNamespace(
        judge=lambda nets, x: score(nets["energy"](x)), features=lambda nets, x: features(nets["energy"](x))
    )
    state: Any = SimpleNamespace(nets={"energy": nn.Dropout()})
    return Draw(objective, state, torch.device("cpu"))


def bowl(a: float, shift: float = 0.0) -> Draw:
    """E(x) = a |x|^2 / 2 + shift."""
    return run(lambda x: -0.5 * a * x.flatten(1).square().sum(1) - shift)


def told(score: Any, draw: Draw, known: Tensor, x: Tensor) -> Tensor:
    found = score(draw, known, x)
    assert found is not None and found.shape == (len(x),)
    return found


# -- by the energy ---------------------------------------------------------------------------------


def test_the_slope_of_a_bowl_is_its_radius() -> None:
    """|grad a |x|^2 / 2| = a |x|, row by row, also where rows come in several chunks."""
    x = torch.randn(N, 1, 4, 4)
    torch.testing.assert_close(told(Slope(), bowl(3.0), x, x), 3 * x.flatten(1).norm(dim=1))
    assert not x.requires_grad


def test_slopes_are_those_of_what_is_judged() -> None:
    made = make("ebm")
    net, x = made.state.nets["energy"].train(), made.source.take(torch.arange(8))
    draw = Draw(made.objective, made.state, made.source.device)
    slope, step = draw.slope(x), 1e-2 * torch.randn_like(x)
    assert slope is not None and net.training and all(p.grad is None for p in net.parameters())
    ends = [draw.judge(at) for at in (x + step, x - step)]
    assert ends[0] is not None and ends[1] is not None
    torch.testing.assert_close((ends[0] - ends[1]) / 2, (slope * step).flatten(1).sum(1), rtol=1e-2, atol=1e-5)


def test_typicality_does_not_know_where_energies_begin() -> None:
    """Adding a constant to E changes nothing, and rows as far below the mean are as strange as those above it."""
    known, x = torch.randn(N, 3), 3 * torch.randn(N, 3)
    found = [told(Typicality(), bowl(2.0, shift), known, x) for shift in (0.0, 64.0)]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
    mean = float(known.square().sum(1).mean())
    either = torch.tensor([mean - 1, mean + 1]).sqrt()[:, None] * torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(told(Typicality(), bowl(2.0), known, either), torch.ones(2))


def test_rows_in_a_bowl_relax_as_its_curvature_says() -> None:
    """x' = (1 - size a) x, so that a |x|^2 / 2 falls by the factor (1 - size a)^(2 k) in k steps."""
    x = torch.rand(N, 1, 2, 2) - 0.5
    found = told(Relaxation(steps=3, size=0.1, clip=10.0), bowl(2.0), x, x)
    torch.testing.assert_close(found, x.flatten(1).square().sum(1) * (1 - 0.8**6))


def test_relaxing_rows_keep_to_their_box_and_stride() -> None:
    """E = -sum x: each pixel rises by size clip a step, and stops at 1."""
    x = torch.tensor([0.0, 0.9]).view(2, 1, 1, 1)
    found = told(Relaxation(steps=2, size=10.0, clip=0.02), run(lambda x: x.flatten(1).sum(1)), x, x)
    assert found.tolist() == pytest.approx([0.4, 0.1])


# -- by features -----------------------------------------------------------------------------------


def test_the_mahalanobis_distance_forgets_the_basis_of_features() -> None:
    """Any invertible map of features leaves it, but for the ridge; over known rows its mean is f (m - 1) / m."""
    known, x, map = torch.randn(N, 3), torch.randn(40, 3), torch.tensor([[2.0, 0.3, 0], [0, 0.5, 0], [1, 0, -1.0]])
    plain, mapped = run(features=lambda x: x), run(features=lambda x: x @ map + 5)
    near = Mahalanobis(ridge=1e-9)
    torch.testing.assert_close(told(near, plain, known, x), told(near, mapped, known, x), rtol=1e-4, atol=1e-5)
    assert float(told(near, plain, known, known).mean()) == pytest.approx(3 * (N - 1) / N, rel=1e-6)


def test_features_that_never_vary_have_a_distance_all_the_same() -> None:
    dead = run(features=lambda x: torch.cat([x, 0 * x], 1))
    known = torch.randn(N, 3)
    assert told(Mahalanobis(), dead, known, known + 1).isfinite().all()


def test_neighbours_are_counted_from_the_nearest() -> None:
    """Known rows 0, 1, ..., 9 and features thrice as far apart: from 12, the third nearest is 7, 15 away."""
    known, x, draw = torch.arange(10.0)[:, None], torch.full((N, 1), 12.0), run(features=lambda x: 3 * x)
    for k, away in ((1, 3.0), (3, 5.0), (99, 12.0)):
        assert told(Neighbours(k), draw, known, x).tolist() == pytest.approx([3 * away] * N)
        assert told(Pixels(k), run(), known, x).tolist() == pytest.approx([away] * N)


@pytest.mark.parametrize("kind", SCORES)
def test_a_score_is_silent_where_the_run_cannot_tell(kind: str) -> None:
    assert SCORES[kind](run(), torch.zeros(4, 1, 2, 2), torch.zeros(4, 1, 2, 2)) is None


@pytest.mark.parametrize(
    ("kind", "settings"), [(Relaxation, {"clip": 0}), (Mahalanobis, {"ridge": 0}), (Neighbours, {"k": 0})]
)
def test_settings_out_of_range_are_refused(kind: Any, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        kind(**settings)


# -- spoiled images, and all together --------------------------------------------------------------


def test_disguises_keep_what_they_say() -> None:
    x = 2 * torch.rand(50, 2, 10, 10) - 1
    made = disguised(x)
    assert all(images.shape == x.shape and images.abs().max() <= 1 for images in made.values())
    assert torch.equal(made["flipped"].flip(2), x) and torch.equal(-made["negative"], x)
    assert torch.equal(made["pixels"].flatten(2).sort().values, x.flatten(2).sort().values)
    assert not torch.equal(made["pixels"], x) and torch.equal(made["pixels"], disguised(x)["pixels"])
    assert torch.equal(made["small"], framed(x, (10, 10)))
    assert torch.equal(blurred(torch.full_like(x, 0.5))[:, :, 2:-2, 2:-2], torch.full((50, 2, 6, 6), 0.5))


def test_tiles_are_laid_whole_in_orders_of_their_own() -> None:
    """Of images whose tiles have one value each: the four values are all there, in every order, and edges are black."""
    values = torch.arange(1.0, 5).view(1, 1, 2, 2)
    x = nn.functional.pad(values.repeat_interleave(4, 2).repeat_interleave(4, 3), (0, 1, 0, 1), value=9.0)
    made = tiled(x.expand(600, 1, 9, 9), 4, torch.Generator().manual_seed(0))
    corners = made[:, 0, :8:4, :8:4]
    torch.testing.assert_close(made[:, 0, :8, :8], corners.repeat_interleave(4, 1).repeat_interleave(4, 2))
    assert len(corners.flatten(1).unique(dim=0)) == 24 and made[:, :, 8].unique().tolist() == [-1]


def test_strangers_are_ranked_by_each_score() -> None:
    """Of a bowl around 0: noise of little light is likely, but has no typical energy, nor usual features."""

    def images(light: float) -> Source:
        pixels = 127.5 + light * 127.5 * (2 * torch.rand(400, 1, 8, 8) - 1)
        return Source(Spec((1, 8, 8), "image"), pixels.round().to(torch.uint8))

    source = images(0.5)
    draw: Any = run(lambda x: -x.flatten(1).square().sum(1), lambda x: x.flatten(1).square()[:, :4].sqrt())
    draw.objective.generate, draw.objective.latent = lambda s, z: z, lambda s, n: source.take(torch.arange(n))
    draw.state.averaged = lambda: draw.state
    found = Outsiders({"bright": images(1.0), "dim": images(0.05)}, SCORES, n=200)(draw, source)
    auroc = {name.removeprefix("auroc_"): value for name, value in found.scalars.items()}
    for kind in ("energy", "slope", "relaxation"):
        assert auroc[f"{kind}_bright"] > 0.99 and auroc[f"{kind}_dim"] < 0.01, kind
    assert auroc["typicality_bright"] > 0.99 and auroc["typicality_dim"] > 0.99
    assert auroc["mahalanobis_bright"] > 0.7 and auroc["mahalanobis_dim"] > 0.7
    assert {f"strangers_{kind}" for kind in SCORES} == set(found.pictures)
    real, spare = halves(source, 200)
    each = [above(real.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1)) for x in disguised(spare).values()]
    assert auroc["energy_disguised"] == pytest.approx(sum(each) / 7, abs=1e-4), "of other images than those unspoiled"
    assert {f"{kind}_disguised" for kind in SCORES} < set(auroc)
