"""Pictures of what players think and remember: the numbers drawn have closed forms, and the drawing shows them."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import ImageColor
from torch import Tensor, nn

from gan_runner.build import build
from gan_runner.datasets.images import digits
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.toys import normal1d, toy2d
from gan_runner.draw import Draw
from gan_runner.errors import UsageError
from gan_runner.metrics import rows
from gan_runner.pictures import (
    arithmetic,
    correlations,
    gradients,
    line,
    neighbours,
    plane,
    png,
    reconstructions,
    weights,
)
from gan_runner.pictures.curves import COLOURS, curves
from gan_runner.pictures.figure import INK, REAL
from gan_runner.pictures.grid import grid
from tests.conftest import ROOT, compose
from tests.test_contract import differing, play
from tests.test_pictures import orange, share


class Fixed:
    """Draws the rows it was given, judges and reconstructs by the functions it was given."""

    def __init__(
        self,
        x: Tensor,
        judge: Callable[[Tensor], Tensor | None] = lambda x: None,
        reconstruct: Callable[[Tensor], Tensor | None] = lambda x: None,
        state: Any = None,
    ):
        self.x, self.judge, self.reconstruct, self.state = x, judge, reconstruct, state

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.x[torch.arange(n) % len(self.x)]


def shown(look: Any, draw: Fixed, source: Source) -> Tensor:
    """The one picture, the same at each call."""
    (first,), (second,) = (look(draw, source).pictures.values() for _ in range(2))
    assert first.dtype == torch.uint8 and first.shape[2] == 3 and torch.equal(first, second)
    return first


def blueness(picture: Tensor) -> float:
    """Mean of blue less red: above 0 where scores are low, below where they are high."""
    return float((picture[..., 2].double() - picture[..., 0].double()).mean())


# -- what probes may ask ---------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["ns", "veegan"])
def test_asking_for_scores_and_reconstructions_changes_nothing(loss: str) -> None:
    """Scores are those of networks in evaluation mode, however many are asked for, and training goes on as ever."""
    options = ("dataset=ring8", "dataset.n=700", "train.batch_size=16", "train.steps=4", "probes=none")
    role = "joint_discriminator" if loss == "veegan" else "discriminator"
    quiet, asked = (build(compose(f"loss={loss}", *options, f"model.{role}.dropout=0.5")) for _ in range(2))
    draw = Draw(asked.objective, asked.state, asked.source.device)
    x = rows.some(asked.source, 600)
    play(quiet)
    play(asked, watch=lambda: (draw.judge(x), draw.reconstruct(x)))
    assert differing(quiet, asked) == []
    scores = draw.judge(x)
    assert scores is not None and scores.shape == (600,) and torch.equal(scores, draw.judge(x))  # type: ignore[arg-type]
    assert asked.state.nets[role].training
    if loss == "ns":
        assert draw.reconstruct(x) is None
        with torch.no_grad():
            torch.testing.assert_close(scores, asked.state.nets["discriminator"].eval()(x))
    else:
        again = draw.reconstruct(x)
        assert again is not None and again.shape == (600, 2) and torch.equal(again, draw.reconstruct(x))


@pytest.mark.parametrize("pack", [2, 3, 5])
def test_scores_of_packs_are_not_drawn_as_those_of_points(pack: int) -> None:
    options = ("dataset=ring8", "model=mlp_packed", f"model.discriminator.pack={pack}", "dataset.n=500", "probes=none")
    run = build(compose(*options, "train.batch_size=30"))
    draw = Draw(run.objective, run.state, run.source.device)
    x = rows.some(run.source, 301)
    scores = draw.judge(x)
    assert scores is not None and len(scores) == 301 // pack
    with torch.no_grad():
        torch.testing.assert_close(scores, run.state.nets["discriminator"].eval()(x[: 301 // pack * pack]))
    assert plane.LevelSets()(draw, run.source).pictures == {}


# -- the plane -------------------------------------------------------------------------------------


def test_scores_on_a_mesh_stand_where_their_points_are() -> None:
    """The score 2x - 3y at column i and line j of the mesh is 2 x_i - 3 y_j."""
    x, y = torch.linspace(-1, 2, 7), torch.linspace(0, 1, 5)
    found = plane.on_mesh(lambda at: 2 * at[:, 0] - 3 * at[:, 1], x, y)
    torch.testing.assert_close(found, 2 * x[None] - 3 * y[:, None])
    assert plane.on_mesh(lambda at: None, x, y) is None


def test_level_sets_are_yellow_where_scores_are_high() -> None:
    source = toy2d("ring8", n=1000)
    look = plane.LevelSets(n=100)
    inside = slice(40, -60)
    right = shown(look, Fixed(source.data, judge=lambda at: at[:, 0]), source)
    middle = right.shape[1] // 2
    assert blueness(right[inside, 80 : middle - 20]) > 20 > -20 > blueness(right[inside, middle + 60 : -40])
    upper = shown(look, Fixed(source.data, judge=lambda at: at[:, 1]), source)
    assert blueness(upper[260:-80, 80:-40]) > 20 > -20 > blueness(upper[60:200, 80:-40])
    assert orange(right) > 0.001


def test_level_sets_are_drawn_in_natural_units_and_judged_in_those_of_training() -> None:
    """grid25 is trained on at a quarter of its size; the score of its corner is asked for there."""
    source, seen = toy2d("grid25", n=1000), []
    shown(plane.LevelSets(n=100, margin=0.25), Fixed(source.data, judge=lambda at: seen.append(at) or at[:, 0]), source)
    reach = source.data.abs().max() * 1.5
    assert float(seen[0].abs().max()) == pytest.approx(float(reach), rel=0.05)


def test_a_kernel_density_is_the_mean_of_gaussians_and_has_mass_one() -> None:
    points = torch.randn(40, 2, dtype=torch.float64)
    x, y = torch.linspace(-6, 6, 121).double(), torch.linspace(-7, 7, 141).double()
    found = plane.kernel_density(points, x, y, (0.3, 0.5))
    normal = torch.distributions.Normal
    for i, j in ((60, 70), (50, 81), (3, 7)):
        expected = normal(points[:, 0], 0.3).log_prob(x[i]) + normal(points[:, 1], 0.5).log_prob(y[j])
        assert float(found[j, i]) == pytest.approx(float(expected.exp().mean()))
    assert float(found.sum()) * 0.1 * 0.1 == pytest.approx(1, abs=1e-6)


def test_densities_show_which_modes_are_missing() -> None:
    """The generated half of the ring leaves the other half of its panel white; the panels are of one scale."""
    source = toy2d("ring8", n=4000)
    right = source.data[source.data[:, 0] > 0.1]
    picture = shown(plane.Density(), Fixed(right), source)
    half, quarter = picture.shape[1] // 2, picture.shape[1] // 4
    real, fake = picture[40:-50, 60 : half - 20], picture[40:-50, half + 60 : -20]
    assert share(real, "white") < share(fake, "white") - 0.005
    left_of_fake, left_of_real = fake[:, : quarter - 60], real[:, : quarter - 60]
    assert share(left_of_fake, "white") > 0.999 > 0.99 > share(left_of_real, "white")
    assert orange(fake) > 0.001 and orange(real) == 0
    upper = shown(plane.Density(), Fixed(source.data[source.data[:, 1] > 0.1]), source)[40:-50, half + 60 : -20]
    assert orange(upper[: len(upper) // 2 - 40]) > 0.001 and orange(upper[len(upper) // 2 + 40 :]) == 0


@pytest.mark.parametrize("look", [plane.LevelSets(), plane.Density()])
def test_nothing_is_drawn_but_in_the_plane(look: Any) -> None:
    other = Source(Spec((3,), "table"), torch.randn(50, 3))
    assert look(Fixed(other.data, judge=lambda at: at[:, 0]), other).pictures == {}


def test_no_level_sets_where_nobody_judges() -> None:
    source = toy2d("ring8", n=100)
    assert plane.LevelSets()(Fixed(source.data), source).pictures == {}


# -- one dimension -----------------------------------------------------------------------------------


def test_kernels_find_the_density_of_a_gaussian() -> None:
    """In the limit of many numbers: N(0, 1) blurred by the kernels is N(0, 1 + width^2)."""
    numbers = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    x = torch.linspace(-4, 4, 200)
    found = line.kernels(numbers, x)
    width = 0.9 * 20_000**-0.2
    expected = torch.distributions.Normal(0.0, math.sqrt(1 + width**2)).log_prob(x).exp()
    assert float((found - expected).abs().max()) < 0.02
    assert float(torch.trapezoid(found, x)) == pytest.approx(1, abs=1e-3)


def test_the_deviation_of_a_discriminator_is_measured_where_the_data_are() -> None:
    """D = 0.8 within half a standard deviation is seen; what D says six standard deviations away is not."""
    source = normal1d(n=5000, mean=3.0, sd=0.5)
    far = line.Line()(Fixed(source.data, judge=lambda x: torch.where(x > 6, 50.0, 0.0)[:, 0]), source)
    assert far.scalars == {"D_deviation": 0}
    for tail in (lambda x: x > 3 + 2.7 * 0.5, lambda x: x < 3 - 2.7 * 0.5):  # 0.35 % of the numbers lie there
        found = line.Line()(
            Fixed(source.data, judge=lambda x, tail=tail: torch.where(tail(x), 50.0, 0.0)[:, 0]), source
        )
        assert found.scalars == {"D_deviation": 0}
    near = line.Line()(Fixed(source.data, judge=lambda x: torch.where((x - 3).abs() < 0.25, 1.4, 0.0)[:, 0]), source)
    assert near.scalars["D_deviation"] == pytest.approx(1 / (1 + math.exp(-1.4)) - 0.5)
    assert near.films == ("line",)
    assert line.Line()(Fixed(source.data), source).pictures == {}


def test_the_curves_of_one_dimension_are_where_their_numbers_are() -> None:
    source = normal1d(n=5000)
    apart = shown(line.Line(), Fixed(source.data - 2.0, judge=lambda x: 100 * (x[:, 0] - 1)), source)
    upper, middle = apart[40 : apart.shape[0] // 2 - 20, 60:-20], (apart.shape[1] - 80) // 2
    assert share(upper[:, middle:], REAL) + share(upper, "#b5b9bf") > 0 and share(apart, "white") > 0.5
    there = (upper[..., 0].int() - upper[..., 2].int() > 100).nonzero()[:, 1]
    drawn = there[(upper[..., 0].int() - upper[..., 2].int() > 100).nonzero()[:, 0] < 0.8 * len(upper)]
    assert drawn.double().mean() < 0.35 * upper.shape[1], "generated numbers lie to the left"


@pytest.mark.parametrize("settings", [{"n": 0}, {"sd": 0.0}, {"seed": -1}])
def test_arguments_of_the_line_are_named(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(UsageError, match=rf"dataset\.{name}="):
        normal1d(**settings)


def test_the_line_has_the_moments_asked_for() -> None:
    source = normal1d(n=50_000, mean=-1.0, sd=3.0)
    x = source.take(torch.arange(50_000))
    assert x.shape == (50_000, 1)
    assert float(x.mean()) == pytest.approx(-1, abs=0.05) and float(x.std()) == pytest.approx(3, rel=0.02)
    assert normal1d(seed=1, n=9).digest != normal1d(n=9).digest == normal1d(n=9).digest


# -- neighbours --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handwriting() -> Source:
    return digits("")


def test_neighbours_are_those_of_brute_force_however_the_images_are_cut(
    handwriting: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "CHUNK", 100)
    wanted = handwriting.take(torch.arange(20)) + 0.1 * torch.randn(20, 1, 16, 16)
    everything = handwriting.take(torch.arange(len(handwriting)))
    apart = (wanted[:, None] - everything[None]).flatten(2).norm(dim=2)
    distance, number = neighbours.neighbours(wanted, handwriting, 3)
    expected, order = apart.sort(1)
    torch.testing.assert_close(distance, expected[:, :3])
    assert torch.equal(number, order[:, :3])


def test_a_copy_stands_above_its_original(handwriting: Source) -> None:
    draw = Fixed(handwriting.take(torch.arange(10)))
    found = neighbours.Neighbours(n=10)(draw, handwriting)
    picture = found.pictures["neighbours"]
    _, number = neighbours.neighbours(draw(10), handwriting, 3)
    above, below = (grid(x, 10) for x in (handwriting.data[:10], handwriting.data[number.T.flatten()]))
    assert torch.equal(picture[: len(above)], above) and torch.equal(picture[-len(below) :], below)
    assert len(picture) == len(above) + len(below) + neighbours.GAP and torch.equal(number[:, 0], torch.arange(10))
    assert found.scalars["neighbour_ratio"] < 1e-6


def test_real_images_are_as_far_from_training_images_as_real_images_are(handwriting: Source) -> None:
    """Of two halves of the data, one held out and one to draw from: the ratio is about 1; noise is farther."""
    order = rows.shuffled(handwriting)
    train, test, other = (handwriting.data[part] for part in order.split(600)[:3])
    source = replace(handwriting, data=train, held_out=replace(handwriting, data=test))
    found = neighbours.Neighbours(n=590)(Fixed(other.float() / 127.5 - 1), source).scalars
    assert found["neighbour_ratio"] == pytest.approx(1, abs=0.05)
    assert neighbours.Neighbours()(Fixed(torch.randn(200, 1, 16, 16)), source).scalars["neighbour_ratio"] > 2
    alone = neighbours.Neighbours(n=590)(Fixed(other.float() / 127.5 - 1), replace(source, held_out=None)).scalars
    assert alone["neighbour_ratio"] == pytest.approx(1, abs=0.05), "a training image is no neighbour of its own"


# -- reconstructions ---------------------------------------------------------------------------------


def test_the_error_of_reconstructions_has_its_landmarks() -> None:
    """0 for the identity; 1 for the mean of all rows; sqrt(2) for other rows of the same law."""
    real = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0])
    assert reconstructions.error(real, real) == 0
    assert reconstructions.error(real, real.mean(0).expand_as(real)) == pytest.approx(1)
    assert reconstructions.error(real, real.roll(1, 0)) == pytest.approx(math.sqrt(2), rel=0.02)


def test_images_stand_above_what_they_come_back_as(handwriting: Source) -> None:
    look = reconstructions.Reconstructions(n=30)
    picture = shown(look, Fixed(handwriting.data, reconstruct=lambda x: -x), handwriting)
    real = handwriting.decode(rows.some(handwriting, 30))
    lines = [part for k in range(3) for part in (real[10 * k :][:10], 255 - real[10 * k :][:10])]
    assert torch.equal(picture, grid(torch.cat(lines), 10))
    assert look(Fixed(handwriting.data), handwriting).scalars == {}


def test_points_of_the_plane_are_joined_with_what_they_come_back_as() -> None:
    source = toy2d("grid25", n=1000)
    look = reconstructions.Reconstructions(n=100)
    kept = shown(look, Fixed(source.data, reconstruct=lambda x: x), source)
    swapped = shown(look, Fixed(source.data, reconstruct=lambda x: -x), source)
    assert orange(kept) > 0.001 and orange(swapped) > 0.001
    assert share(swapped, "white") < share(kept, "white") - 0.02, "the ways between them are drawn"


# -- sums of latents -------------------------------------------------------------------------------


class Plain:
    """Latents that are images, of which every third is of class 0, 1, 2."""

    def __init__(self, z: Tensor):
        self.z = z

    def latents(self, n: int) -> Tensor:
        return self.z[:n]

    def generate(self, z: Tensor) -> Tensor:
        return z.view(-1, 1, 8, 8)


class InTurn:
    def judge(self, source: Source) -> Callable[[Tensor], Tensor]:
        return lambda images: torch.arange(len(images)) % 3


def test_sums_are_those_of_mean_latents() -> None:
    """Classes 0, 1, 2 stand at 10, 7 and 2: class 1 - class 0 + class 2 is at -1. Three of four latents are shown."""
    around = torch.tensor([-0.5, 0.0, 0.75, -0.25])[:, None].expand(4, 4)
    chosen = torch.stack([centre + around for centre in (7.0, 10.0, 2.0)])
    sheet = arithmetic.sheet(chosen)
    assert [tuple(row.shape) for row in sheet] == [(5, 4)] * 3
    for row, of in zip(sheet, chosen, strict=True):
        assert torch.equal(row[:3], of[:3]) and torch.equal(row[3], of.mean(0))
    assert torch.equal(sheet[0][4], torch.full((4,), -1.0))
    for row in sheet[1:]:
        off = (row[4] + 1).abs()
        assert 0 < off.max() <= 0.25


def test_sums_are_drawn_from_samples_of_their_classes(handwriting: Source) -> None:
    z = (torch.arange(60)[:, None] % 3 - 1.0).expand(60, 64)  # class 0 is black, 1 grey, 2 white
    small = replace(handwriting, spec=Spec((1, 8, 8), "image"))
    look = arithmetic.Arithmetic(InTurn(), [[0, 1, 2]], exemplars=3, n=60)
    (picture,) = look(Plain(z), small).pictures.values()  # type: ignore[arg-type]
    tiles = [
        picture[len(picture) * (2 * i + 1) // 6, [picture.shape[1] * (2 * j + 1) // 10 for j in range(5)], 0]
        for i in range(3)
    ]
    assert tiles[0][:4].tolist() == [0] * 4 and tiles[0][4] in (127, 128)  # black - grey + white
    assert tiles[2][:4].tolist() == [255] * 4
    few = arithmetic.Arithmetic(InTurn(), [[0, 1, 2]], exemplars=21, n=60)
    assert few(Plain(z), small).pictures == {}  # type: ignore[arg-type]
    assert look(Plain(z), replace(small, labels=None)).pictures == {}  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="triples"):
        arithmetic.Arithmetic(InTurn(), [[0, 1]])


def test_latents_are_those_of_the_samples() -> None:
    run = build(compose("dataset=ring8", "dataset.n=500", "probes=none", "train.batch_size=16"))
    draw = Draw(run.objective, run.state, run.source.device)
    assert torch.equal(draw.generate(draw.latents(300)), draw(300))


# -- gradients ---------------------------------------------------------------------------------------


def test_gradients_are_those_of_each_layer_in_order() -> None:
    run = build(compose("dataset=ring8", "dataset.n=500", "probes=none", "train.batch_size=16", "train.steps=2"))
    draw = Draw(run.objective, run.state, run.source.device)
    assert gradients.Gradients()(draw, run.source).pictures == {}
    play(run)
    net = run.state.nets["discriminator"]
    expected = [m.weight.grad.norm() for m in net.modules() if isinstance(m, nn.Linear) and m.weight.grad is not None]
    found = gradients.by_layer(run.state.players["discriminator"].gradients())
    assert torch.equal(found, torch.stack(expected)) and len(found) == 3
    seen = gradients.Gradients()(draw, run.source)
    assert seen.scalars["gradient_span_discriminator"] == pytest.approx(float(found.max() / found.min()))
    assert 0.001 < share(seen.pictures["gradients"], INK) < 0.2


# -- weights -----------------------------------------------------------------------------------------


def moved(net: nn.Module) -> Any:
    player = SimpleNamespace(params=list(net.parameters()))
    return SimpleNamespace(players={"discriminator": player})


def test_clipped_weights_are_at_their_bound_and_drawn_there(handwriting: Source) -> None:
    net = nn.Linear(100, 50)
    free = weights.Weights()(Fixed(torch.zeros(1), state=moved(net)), handwriting)
    assert free.scalars["weights_at_bound"] == pytest.approx(0.01, abs=0.006)  # uniform at the start
    with torch.no_grad():
        net.weight.normal_().clamp_(-0.5, 0.5)
        net.bias.fill_(7.0)  # of no concern
    found = weights.Weights()(Fixed(torch.zeros(1), state=moved(net)), handwriting)
    expected = float((net.weight.abs() > 0.495).double().mean())
    assert found.scalars["weights_at_bound"] == pytest.approx(expected) and expected > 0.5
    assert 0.2 < share(found.pictures["weights"], INK) < 0.9
    nobody = SimpleNamespace(players={})
    assert weights.Weights()(Fixed(torch.zeros(1), state=nobody), handwriting).pictures == {}


# -- tables ------------------------------------------------------------------------------------------


def test_correlations_are_blue_below_and_yellow_above_zero_where_their_columns_are() -> None:
    """Columns x, x and -x: the last line and column but their corner are blue, the others yellow."""
    x = torch.randn(500, 1)
    source = Source(Spec((3,), "table"), torch.cat([x, x, -x], 1))
    picture = shown(correlations.Correlations(), Fixed(torch.randn(5000, 3)), source)
    left = picture[28 : 28 + 320, 56 : 56 + 320]
    cell = [[blueness(left[20 + 107 * i :][:60, 20 + 107 * j :][:, :60]) > 0 for j in range(3)] for i in range(3)]
    assert cell == [[False, False, True], [False, False, True], [True, True, False]]
    right = picture[28 : 28 + 320, -14 - 320 : -14]
    assert abs(blueness(right[20:80, 127:187])) < 25 < abs(blueness(left[20:80, 127:187]))
    assert correlations.Correlations()(Fixed(x), Source(Spec((1,), "table"), x)).pictures == {}


def test_scores_of_generated_rows_are_drawn_apart_from_those_of_real_ones() -> None:
    source = Source(Spec((2,), "table"), torch.randn(500, 2) + 4)
    picture = shown(correlations.Scores(), Fixed(torch.randn(500, 2) - 4, judge=lambda at: at.sum(1)), source)
    left, right = picture[40:-50, 60 : picture.shape[1] // 2], picture[40:-50, picture.shape[1] // 2 : -20]
    assert orange(left) > 3 * orange(right) and share(right, REAL) > 0.05 and share(left, REAL) == 0
    assert correlations.Scores()(Fixed(source.data), source).pictures == {}


# -- curves, and the scripts that draw them --------------------------------------------------------


def test_curves_are_drawn_where_they_go() -> None:
    """A rising curve leaves the upper left white; a name has one colour in all panels; data have their own."""
    x = torch.linspace(0, 1, 50)
    picture = curves({"a": {"run": (x, x), "generated": (x, 0 * x + 0.5)}, "b": {"run": (x, 1 - x)}}, "x")
    half = picture.shape[1] // 2
    left, right = picture[60:-60, 70 : half - 30], picture[60:-60, half + 70 : -30]
    for panel, rising in ((left, True), (right, False)):
        dark = (panel.int() - torch.tensor(ImageColor.getrgb(COLOURS[0]))).abs().amax(2) < 12
        third = slice(None, len(panel) // 3) if rising else slice(-len(panel) // 3, None)
        assert dark[third, -panel.shape[1] // 3 :].sum() > 20 > dark[third, : panel.shape[1] // 3].sum()
    assert orange(left) > 0.001 and orange(right) == 0


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_saturating_generator_loses_its_gradient_and_the_other_does_not() -> None:
    """While a fresh discriminator learns: equal at D = 1/2; then one falls and the other rises to the end."""
    found = script("plot_gradients").gradients(digits("", size=8), 20, 160, every=20, width=8, rate=2e-3)
    saturating, other = (norms for _, norms in found.values())
    assert saturating[0].item() == pytest.approx(other[0].item(), rel=0.05)
    assert saturating[-1] < saturating.max() / 2 and saturating[-1] < other[-1] / 15
    assert (other.diff() > 0).all()


def test_between_distant_gaussians_a_discriminator_is_flat_and_critics_are_not() -> None:
    """The slope of WGAN-GP's critic is -(1 + W / 2 lambda), W = 4; D is sure and flat where the samples are."""
    scripted = script("plot_critics")
    x = torch.linspace(-2.5, 2.5, 51)
    D, clipped, penalised = (scripted.scores(game, x, steps=400) for game in scripted.GAMES.values())
    assert D[0] > 0.99 and D[-1] < 0.01 and (D[:10] - D[0]).abs().max() < 0.01
    assert (clipped.diff() < 0).all() and (penalised.diff() < 0).all()
    slope = (penalised[-8] - penalised[7]) / (x[-8] - x[7])
    assert slope.item() == pytest.approx(-(1 + 4 / (2 * scripted.LAMBDA)), rel=0.05)


def test_numbers_of_runs_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows_ = [{"step": 5, "time": 1, "a": 2.0}, {"step": 10, "time": 2, "a": None}, {"step": 15, "time": 3, "a": 1.5}]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows_))
    steps, values = script("plot_runs").read(tmp_path, "a")
    assert steps.tolist() == [5, 15] and values.tolist() == [2.0, 1.5]
    assert script("plot_runs").read(tmp_path, "a", "seconds")[0].tolist() == [1, 3]
    with pytest.raises(ValueError, match="has no b: choose from a"):
        script("plot_runs").read(tmp_path, "b")


def test_grids_stand_above_the_steps_they_are_from(tmp_path: Path) -> None:
    scripted = script("plot_progress")
    (tmp_path / "pictures").mkdir()
    for step in range(0, 900, 100):
        png.write(tmp_path / f"pictures/samples-{step:08}.png", torch.full((20, 20, 3), step // 4, dtype=torch.uint8))
    png.write(tmp_path / "pictures/samples-x.png", torch.zeros(20, 20, 3, dtype=torch.uint8))
    grids = scripted.grids(tmp_path)
    assert list(grids) == [0, 200, 400, 600, 800]
    at = torch.arange(0, 900, 100).double()
    picture = scripted.progress("a", (at, at.sqrt()), grids)
    width = picture.shape[1] // 5
    assert [int(picture[60, width * i + width // 2, 0]) for i in range(5)] == [0, 50, 100, 150, 200]
    with pytest.raises(ValueError, match="keeps no pictures"):
        scripted.grids(tmp_path / "pictures")


def test_ranks_are_compared_at_shared_steps() -> None:
    rank = script("plot_progress").spearman
    at = torch.tensor([1.0, 2.0, 3.0, 4.0])
    rising, falling = torch.tensor([1.0, 8.0, 9.0, 100.0]), torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert rank((at, rising), (at, rising.exp())) == pytest.approx(1)
    assert rank((at, rising), (at, falling)) == pytest.approx(-1)
    a, b = torch.tensor([2.0, 3.0, 1.0, 4.0]), torch.tensor([1.0, 4.0, 2.0, 3.0])
    assert rank((at, a), (at, b)) == pytest.approx(0.6)  # each rank is off by one
    assert math.isnan(rank((at, rising), (at + 2, rising)))
