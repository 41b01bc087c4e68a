"""The command that walks through latents: laws of each tool on a linear generator, pictures of each kind of data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from gan_runner import train
from gan_runner.arguments import parse
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw, slerp
from gan_runner.errors import Fault, MissingInput, UsageError
from gan_runner.latents import REACH, SHOWN, Settings, latents
from gan_runner.metrics.outliers import invert
from gan_runner.pictures import png, walks
from tests.conftest import compose
from tests.short_runs import run

PLANE = Source(Spec((2,), "table"), torch.randn(50, 2, generator=torch.Generator().manual_seed(1)))


class Linear:
    """G(z) = z @ (3, 2), whose first coordinate does nothing and whose last does most."""

    weight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])

    def latents(self, n: int) -> Tensor:
        return torch.randn(n, 3, generator=torch.Generator().manual_seed(0))

    def generate(self, z: Tensor) -> Tensor:
        return z @ self.weight

    def __call__(self, n: int) -> Tensor:
        return self.generate(self.latents(n))

    def reconstruct(self, x: Tensor) -> Tensor:
        return x / 2


def shown(show: str, **settings: Any) -> tuple[Tensor, str]:
    return SHOWN[show](cast(Draw, Linear()), PLANE, Settings("r", show, **settings))


def test_walks_begin_and_end_at_samples_and_lerp_is_straight() -> None:
    start, end = Linear()(8).chunk(2)
    for way in ("slerp", "lerp"):
        sheet, _ = shown("interpolation", n=4, columns=5, way=way)
        torch.testing.assert_close(sheet[:, 0], start)
        torch.testing.assert_close(sheet[:, -1], end)
    torch.testing.assert_close(sheet[:, 2], (start + end) / 2)
    curved, _ = shown("interpolation", n=4, columns=5, way="slerp")
    assert not torch.allclose(curved[:, 2], sheet[:, 2], atol=0.1)


def test_walks_between_opposite_latents_stay_between_them() -> None:
    a, b = torch.randn(2, 500, 1, generator=torch.Generator().manual_seed(0))
    made = slerp(a, b, 0.3)
    assert (made >= torch.minimum(a, b) - 1e-6).all() and (made <= torch.maximum(a, b) + 1e-6).all()


def test_truncation_goes_from_the_priors_mean_to_the_samples_in_proportion() -> None:
    sheet, words = shown("truncation", n=4, columns=3)
    mean = Linear().latents(1000).mean(0) @ Linear.weight
    torch.testing.assert_close(sheet[:, 0], mean.expand(4, 2))
    torch.testing.assert_close(sheet[:, 1], (mean + Linear()(4)) / 2)
    torch.testing.assert_close(sheet[:, 2], Linear()(4))
    assert words.endswith("0: 0.00, 0.5: 0.50, 1: 1.00")


def test_traversal_moves_one_coordinate_and_begins_with_the_most_telling() -> None:
    sheet, words = shown("traversal", n=2, columns=3)
    assert "2 (8" in words and words.index("2 (") < words.index("1 ("), "4 of 5 parts of the change, and the rest"
    sd = Linear().latents(1000).std(0)
    torch.testing.assert_close(sheet[0, 2] - sheet[0, 0], torch.stack([torch.zeros(()), 2 * 2 * REACH * sd[2]]))
    torch.testing.assert_close(sheet[1, 2] - sheet[1, 0], torch.stack([2 * REACH * sd[1], torch.zeros(())]))


def test_neighbours_are_the_nearest_rows_the_nearest_first() -> None:
    sheet, _ = shown("neighbours", n=5, columns=4)
    torch.testing.assert_close(sheet[:, 0], Linear()(5))
    distance = torch.cdist(Linear()(5), PLANE.data).sort(1).values[:, :3]
    torch.testing.assert_close((sheet[:, 1:] - sheet[:, :1]).norm(dim=2), distance)


def test_given_rows_stand_beside_what_an_encoder_makes_of_them() -> None:
    sheet, words = shown("inversion", n=5)
    torch.testing.assert_close(sheet[:, 1], sheet[:, 0] / 2)
    assert words.startswith("5 rows")


def test_latents_found_by_descent_make_the_rows_and_leave_networks_in_their_modes() -> None:
    class Judge(nn.Module):
        def features(self, x: Tensor) -> Tensor:
            return x

    class Draws:
        def __init__(self) -> None:
            self.state, self.objective = self, self
            norm = nn.BatchNorm1d(2)
            self.nets = nn.ModuleDict({"generator": nn.Sequential(nn.Linear(2, 2), norm), "discriminator": Judge()})

        def averaged(self) -> Draws:
            return self

        def latents(self, n: int) -> Tensor:
            return torch.randn(n, 2, generator=torch.Generator().manual_seed(0))

        def generate(self, _: Any, z: Tensor) -> Tensor:
            return self.nets["generator"](z)

        def judge(self, x: Tensor) -> Tensor:
            return x.sum(1)

    torch.manual_seed(3)
    draw = Draws()
    draw.nets.train()
    with torch.no_grad():
        draw.nets.eval()
        x = draw.generate(None, torch.tensor([[0.5, -1.0], [1.0, 0.3]]))
        draw.nets.train()
    found = invert(cast(Draw, draw), x)
    assert found is not None and all(net.training for net in draw.nets.modules())
    assert float(found[1].max()) < 0.05
    norm = cast(nn.Sequential, draw.nets["generator"])[1]
    assert int(cast(nn.BatchNorm1d, norm).num_batches_tracked) == 0, "the generator is judged, not trained"


def test_wide_sheets_of_images_and_panels_of_curves() -> None:
    images = Source(Spec((1, 4, 4), "image"), torch.zeros(0, 1, 4, 4))
    lying, standing = (walks.sheet(images, torch.zeros(*size, 1, 4, 4)) for size in ((2, 7), (7, 2)))
    assert lying.shape == standing.shape and lying.shape[1] > lying.shape[0]
    series = Source(Spec((1, 20), "series"), torch.zeros(0, 1, 20))
    table = replace(series, spec=Spec((3,), "table", names=("a", "b", "c")))
    for source, shape in ((series, (1, 20)), (table, (3,))):
        x = torch.randn(2, 5, *shape, generator=torch.Generator().manual_seed(0))
        picture = walks.sheet(source, x)
        assert not torch.equal(picture, walks.sheet(source, x.flip(1))), "colours tell the first from the last"


@pytest.mark.parametrize("show", [*SHOWN])
def test_each_tool_draws_a_run(
    show: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run() == 0
    capsys.readouterr()
    assert latents(parse(Settings, ["run=r", f"show={show}", "n=3", "out=made/it.png"])) == 0
    assert png.read(Path("made/it.png")).float().std() > 0
    said = capsys.readouterr().out
    assert said.startswith(f"{show} of step 12: ") and "picture: made/it.png" in said


@pytest.mark.parametrize(
    ("words", "fault", "says"),
    [
        (["run=nowhere"], MissingInput, "nowhere is not a run folder"),
        (["run=r", "show=walk"], UsageError, "choose from interpolation, truncation"),
        (["run=r", "way=loop"], UsageError, "choose from slerp, lerp"),
        (["run=r", "n=0"], UsageError, "n=0 is below 1"),
        (["run=r", "columns=1"], UsageError, "columns=1 is below 2"),
    ],
)
def test_mistakes_name_the_key(
    words: list[str], fault: type[Fault], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run() == 0
    with pytest.raises(fault, match=says):
        latents(parse(Settings, words))


def test_games_without_data_have_no_latents_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.train(compose("loss=saddle", "dataset=none", "train.steps=2", "probes=none", "run.dir=r"), [])[0] == 0
    with pytest.raises(UsageError, match="has no latents"):
        latents(parse(Settings, ["run=r"]))
