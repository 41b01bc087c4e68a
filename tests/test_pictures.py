"""Pictures, pixel by pixel where they are ours, and by their colours where matplotlib draws them."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from torch import Tensor

from gan_runner.datasets.huber import huber
from gan_runner.datasets.images import digits
from gan_runner.datasets.spec import Source
from gan_runner.datasets.stocks import stocks
from gan_runner.datasets.toys import toy2d
from gan_runner.metrics import probe
from gan_runner.pictures import png
from gan_runner.pictures.figure import REAL
from gan_runner.pictures.grid import Interpolation, RealGrid, SampleGrid, grid
from gan_runner.pictures.marginals import Marginals, density, marginals
from gan_runner.pictures.paths import Paths, paths, walk
from gan_runner.pictures.scatter import Scatter, project, scatter


class Rows:
    """Draws rows of a source; live ones from the end, walks over the first ones."""

    def __init__(self, source: Source, latent: bool = True):
        self.source, self.latent = source, latent

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.source.take(torch.arange(n) + live)

    def interpolate(self, rows: int, columns: int) -> Tensor | None:
        return self(rows * columns) if self.latent else None


def share(picture: Tensor, colour: str) -> float:
    """Share of the pixels that are nearly of a colour."""
    return float((picture.int() - torch.tensor(ImageColor.getrgb(colour))).abs().amax(2).lt(12).double().mean())


def orange(picture: Tensor) -> float:
    """Share of the pixels that generated data has coloured, through whatever lies below."""
    return float((picture[..., 0].int() - picture[..., 2].int() > 60).double().mean())


# -- grids ---------------------------------------------------------------------------------------


def test_each_pixel_of_a_grid_is_where_it_belongs() -> None:
    images, gap, zoom = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8), 2, (560 // 3 - 2) // 6
    height, width = 4 * zoom + gap, 6 * zoom + gap
    expected = torch.full((2 * height + gap, 3 * width + gap, 3), 255, dtype=torch.uint8)
    for i, image in enumerate(images):
        for y, x in itertools.product(range(4), range(6)):
            top, left = i // 3 * height + gap + y * zoom, i % 3 * width + gap + x * zoom
            expected[top : top + zoom, left : left + zoom] = image[:, y, x]
    assert torch.equal(grid(images, columns=3), expected)


def test_grey_images_are_grey_and_large_ones_are_not_enlarged() -> None:
    grey = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    found = grid(grey)
    assert torch.equal(found, found[..., :1].expand(-1, -1, 3))
    assert grid(torch.zeros(64, 3, 64, 64, dtype=torch.uint8)).shape == (8 * 66 + 2, 8 * 66 + 2, 3)
    assert grid(torch.zeros(64, 1, 16, 16, dtype=torch.uint8)).shape == (530, 530, 3)


def test_grids_of_a_run_show_the_average_the_live_generator_real_rows_and_walks() -> None:
    source = digits("")
    draw = Rows(source)
    found = SampleGrid(n=9)(draw, source).pictures
    assert torch.equal(found["samples"], grid(source.data[:9]))
    assert torch.equal(found["samples_live"], grid(source.data[1:10]))
    walks = Interpolation(rows=2, columns=5)(draw, source).pictures["interpolation"]
    assert torch.equal(walks, grid(source.data[:10], columns=5))
    assert Interpolation()(Rows(source, latent=False), source).pictures == {}
    real = RealGrid(n=16)
    assert real.every == -1 and torch.equal(*(real(draw, source).pictures["real"] for _ in range(2)))


def test_png_files_hold_the_picture_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    rgb = torch.randint(0, 256, (7, 5, 3), dtype=torch.uint8)
    for picture in (rgb.flip(0), rgb):  # over an older one
        png.write(tmp_path / "a.png", picture)
    assert torch.equal(torch.tensor(list(Image.open(tmp_path / "a.png").getdata())).view(7, 5, 3).byte(), rgb)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_film_shows_the_pictures_in_order_and_lingers_on_the_last(tmp_path: Path) -> None:
    frames = [grid(torch.full((4, 1, 8, 8), 60 * k, dtype=torch.uint8)) for k in range(3)]
    for k, frame in enumerate(frames):
        png.write(tmp_path / f"{k}.png", frame)
    png.animate([tmp_path / f"{k}.png" for k in range(3)], tmp_path / "a.gif", seconds=0.1)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 3 and film.info["loop"] == 0
        for k, frame in enumerate(frames):
            film.seek(k)
            assert film.info["duration"] == (500 if k == 2 else 100)
            assert torch.equal(torch.from_numpy(np.array(film.convert("RGB"))), frame)


# -- figures -------------------------------------------------------------------------------------


def test_a_scatter_plot_shows_where_real_and_generated_points_are() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(200, 1) + 0.02 * torch.randn(400, 2)
    left = corners[corners[:, 0] < 0.5]
    picture = scatter(corners, left, ("x", "y"))
    assert picture.dtype == torch.uint8 and picture.shape[2] == 3
    middle = picture.shape[1] // 2
    lower = picture.shape[0] // 2
    assert orange(picture[lower:, :middle]) > 0.001 and orange(picture[60:lower, middle:]) == 0
    assert share(picture[60:lower, middle:], REAL) > 0.001


def test_a_wild_sample_does_not_squash_the_scatter_plot() -> None:
    real = torch.randn(300, 2)
    wild = torch.cat([real, torch.tensor([[1e6, -1e6]])])
    plain = scatter(real, real, ("x", "y"))
    assert orange(scatter(real, wild, ("x", "y"))[60:]) == pytest.approx(orange(plain[60:]), rel=0.01)


def test_principal_directions_hold_the_variance() -> None:
    real = torch.randn(500, 6) * torch.tensor([1.0, 9.0, 1.0, 1.0, 5.0, 1.0])
    along, moved = project(real, real + torch.tensor([0.0, 1.0, 0, 0, 0, 0]))
    assert along.std(0).tolist() == pytest.approx([9, 5], rel=0.15)
    assert (moved - along).mean(0).abs()[0].item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("look", "source"),
    [
        (Scatter(n=500), toy2d("ring8", n=1000)),
        (Scatter(n=500), toy2d("swissroll", n=1000)),
        (Scatter(n=500), huber(p=5, n=1000)),
        (Marginals(n=500), huber(p=14, n=1000)),
        (Marginals(n=500), stocks()),
        (Paths(n=100), stocks(window=32)),
    ],
    ids=lambda value: value.name if isinstance(value, Source) else type(value).__name__,
)
def test_figures_show_both_colours_on_white_and_are_always_the_same(look, source: Source) -> None:
    (picture,) = look(Rows(source), source).pictures.values()
    assert picture.dtype == torch.uint8 and picture.shape[2] == 3
    assert orange(picture) > 0.001 and share(picture, "white") > 0.5
    assert share(picture, REAL) > 0.0005
    assert torch.equal(picture, *look(Rows(source), source).pictures.values())


def test_no_scatter_plot_of_a_single_column() -> None:
    source = stocks()
    assert Scatter()(Rows(source), source).pictures == {}


def test_densities_have_area_one_and_lose_what_lies_outside() -> None:
    edges = torch.linspace(-6, 6, 25)
    x = torch.randn(1000)
    assert float((density(x, edges) * edges.diff().numpy()).sum()) == pytest.approx(1)
    assert float((density(torch.cat([x, x + 100]), edges) * edges.diff().numpy()).sum()) == pytest.approx(0.5)


def test_columns_without_names_or_spread_are_drawn() -> None:
    picture = marginals(torch.cat([torch.ones(50, 1), torch.randn(50, 1)], 1), torch.randn(50, 2), ())
    assert orange(picture) > 0.001


def test_log_prices_are_sums_of_returns_from_zero() -> None:
    assert walk(torch.tensor([[[1.0, 2.0, -3.0]]])).tolist() == [[0, 1, 3, 0]]


def test_constant_returns_are_drawn() -> None:
    assert share(paths(torch.zeros(5, 1, 30), torch.randn(5, 1, 30)), REAL) > 0.0005


# -- rooms ---------------------------------------------------------------------------------------


def test_slow_libraries_are_imported_where_they_are_used_and_matplotlib_in_one_file() -> None:
    rooms = Path(png.__file__).parent, Path(probe.__file__).parent
    for path in (path for room in rooms for path in room.glob("*.py")):
        tree = ast.parse(path.read_text())
        named = {(node, name.split(".")[0]) for node in ast.walk(tree) for name in imports(node)}
        early = {name for node, name in named if node in tree.body}
        assert not early & {"matplotlib", "scipy", "sklearn", "PIL", "pandas", "arch"}, path  # torch brings numpy
        assert path.name == "figure.py" or "matplotlib" not in {name for _, name in named}, path


def imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
