"""Progressive growing: the schedule, what is faded, what a new resolution forgets, and exact resume through it all."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_runner import checkpoint
from gan_runner.build import build, plan
from gan_runner.construct import construct
from gan_runner.datasets.images import digits
from gan_runner.draw import Draw
from gan_runner.errors import UsageError
from gan_runner.loop import Run
from gan_runner.losses.objective import Objective
from gan_runner.losses.progressive import Progressive, at_detail
from gan_runner.metrics import rows
from gan_runner.pictures import growth, png
from gan_runner.pictures.grid import grid
from gan_runner.state import Clock
from tests.conftest import ROOT, compose
from tests.test_contract import differing, play

GROWING = ("dataset=digits", "loss=progressive", "model=growing", "model.features=4", "model.base=32", "probes=none")
PACE = ("loss.stable=96", "loss.fade=64", "train.batch_size=16")
"""The first 7 steps are at 4 x 4, the next 10 at 8 x 8: the fourth of these, and of those at 16 x 16, is settled."""


def make(*overrides: str, steps: int = 24) -> Run:
    return build(compose(*GROWING, *PACE, f"train.steps={steps}", *overrides))


class Plain(Objective):
    """A game that counts batches and shows what it is given."""

    players = {"generator": ("generator",)}

    def __init__(self, n: int = 1):
        self.n = n

    def batches(self, clock: Clock) -> int:
        return self.n


# -- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "lod", "size"),
    [
        (0, 3, 4),
        (600_000, 3, 4),
        (600_001, 3 - 1 / 600_000, 8),
        (900_000, 2.5, 8),
        (1_200_000, 2, 8),
        (1_800_000, 2, 8),
        (2_100_000, 1.5, 16),
        (2_400_000, 1, 16),
        (3_000_000, 1, 16),
        (3_300_000, 0.5, 32),
        (3_600_000, 0, 32),
        (4_500_000, 0, 32),
        (12_000_000, 0, 32),
    ],
)
def test_the_published_schedule(seen: int, lod: float, size: int) -> None:
    progressive = Progressive(Plain())
    found = progressive.lod(seen, levels=4)
    assert found == pytest.approx(lod, abs=1e-12)
    assert 32 // 2 ** int(found) == size


def test_the_schedule_equals_its_closed_form_everywhere() -> None:
    """lod = top - phase - max(rest - stable, 0) / fade, not below 0; it never rises."""
    progressive = Progressive(Plain(), stable=70, fade=30)
    last = 2.0
    for seen in range(400):
        phase = seen // 100
        rest = seen - 100 * phase
        lod = progressive.lod(seen, levels=3)
        assert lod == pytest.approx(max(2 - phase - max(rest - 70, 0) / 30, 0), abs=1e-12)
        assert 0 <= lod <= last
        last = lod


def test_without_a_fade_resolutions_appear_at_once() -> None:
    progressive = Progressive(Plain(), stable=10, fade=0)
    assert [progressive.lod(n, levels=3) for n in (0, 9, 10, 19, 20, 99)] == [2, 2, 1, 1, 0, 0]


def test_batches_follow_the_resolution() -> None:
    """The paper's 128, 128, 128, 64 as multiples of 64; the wrapped game's own batches multiply them."""
    progressive = Progressive(Plain(3), multiples=[2, 2, 2, 1])
    at = [0, 600_000, 600_001, 1_800_000, 1_800_001, 3_000_000, 3_000_001, 3_600_000, 12_000_000]
    assert [progressive.batches(Clock(0, seen)) // 3 for seen in at] == [2, 2, 2, 2, 2, 2, 1, 1, 1]
    assert Progressive(Plain(3), stable=10, fade=10, multiples=[5, 4]).batches(Clock(0, 10)) == 15
    assert Progressive(Plain(3), stable=10, fade=10, multiples=[5, 4]).batches(Clock(0, 11)) == 12
    assert Progressive(Plain(3)).batches(Clock(0, 0)) == 3


def test_rows_of_a_step_are_split_among_the_critic_steps() -> None:
    run = make("loss.multiples=[3,2,1]", "loss.game.n_critic=2", steps=8)
    seen = [0]
    play(run, watch=lambda: seen.append(run.state.clock.seen))
    assert [b - a for a, b in pairwise(seen)] == [96, 96, 64, 64, 32, 32, 32, 32]


@pytest.mark.parametrize("wrong", [{"stable": 0}, {"fade": -1}, {"multiples": [2, 0]}])
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)) + "="):
        Progressive(Plain(), **wrong)


def test_more_batch_sizes_than_resolutions_are_refused() -> None:
    with pytest.raises(UsageError, match="3 resolutions"):
        make("loss.multiples=[1,1,1,1]")


# -- what is faded -------------------------------------------------------------------------------


def lod(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_real_images_fade_with_the_same_weight() -> None:
    """At lod 1.75 three quarters of what 4 x 4 shows and a quarter of what 8 x 8 shows, at full size."""
    x = torch.randn(5, 3, 16, 16)

    def shown(size: int) -> Tensor:
        squares = x.unfold(2, 16 // size, 16 // size).unfold(3, 16 // size, 16 // size).mean((4, 5))
        return squares.repeat_interleave(16 // size, 2).repeat_interleave(16 // size, 3)

    torch.testing.assert_close(at_detail(x, lod(2.0), 2), shown(4))
    torch.testing.assert_close(at_detail(x, lod(1.75), 1), 0.75 * shown(4) + 0.25 * shown(8))
    torch.testing.assert_close(at_detail(x, lod(1.0), 1), shown(8))
    torch.testing.assert_close(at_detail(x, lod(0.25), 0), 0.25 * shown(8) + 0.75 * x)
    assert torch.equal(at_detail(x, lod(0.0), 0), x)


def test_the_game_is_given_faded_images_and_networks_of_the_same_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    game, shown = type(run.objective.game), []

    def step(self, s, x, key):
        shown.append((x.clone(), key, float(s.nets["generator"].lod), float(s.nets["discriminator"].lod)))
        return {}

    monkeypatch.setattr(game, "step", step)
    run.state.clock.seen = 96 + 16  # a quarter into the first fade
    x = run.source.take(torch.arange(16))
    key = run.objective.prepare(run.state)
    logs = run.objective.step(run.state, x, key)
    given, inner, *lods = shown[0]
    assert key == (1, 1) and inner == 1
    assert lods == [1.75, 1.75] and float(logs["growth/lod"]) == 1.75
    coarse, fine = (F.interpolate(F.avg_pool2d(x, k), scale_factor=k) for k in (4, 2))
    torch.testing.assert_close(given, 0.75 * coarse + 0.25 * fine)


def test_resolutions_come_in_order_and_samples_show_them() -> None:
    run, sizes, keys = make(), [], []
    draw = Draw(run.objective, run.state, run.source.device)

    def look() -> None:
        x = draw(8)
        for live in (x, draw(8, live=True)):
            size = next(
                s for s in (4, 8, 16) if torch.equal(F.interpolate(live[..., :: 16 // s, :: 16 // s], 16), live)
            )
            sizes.append(size)
        keys.append(run.state.nets["generator"].level)

    look()
    play(run, watch=look)
    assert keys == [2] + [2] * 7 + [1] * 10 + [0] * 7
    assert sizes == [4, 4] * 8 + [8, 8] * 10 + [16, 16] * 7


# -- what is forgotten, and what is not ----------------------------------------------------------


def counters(run: Run) -> set[float]:
    players = run.state.players.values()
    return {float(slots["step"]) for p in players for slots in p.optimizer.state.values()}


def test_moments_are_forgotten_once_per_resolution() -> None:
    """Counters run 1..7, then again 1..10 from the first faded step of 8 x 8, then again for 16 x 16."""
    run, found = make(), []
    play(run, watch=lambda: found.append(counters(run)))
    assert found == [{float(n)} for n in (*range(1, 8), *range(1, 11), *range(1, 8))]


def test_forgetting_leaves_nothing_and_keeps_its_place() -> None:
    run = make(steps=3)
    play(run)
    for player in run.state.players.values():
        slots = [t for memory in player.optimizer.state.values() for t in memory.values()]
        places = [t.data_ptr() for t in slots]
        assert any(t.any() for t in slots)
        player.forget()
        after = [t for memory in player.optimizer.state.values() for t in memory.values()]
        assert not any(t.any() for t in after) and [t.data_ptr() for t in after] == places


@pytest.mark.parametrize("pause", [5, 6, 7, 8, 12, 16, 17, 18, 22])
def test_resume_through_a_change_of_level_is_exact(pause: int, tmp_path: Path) -> None:
    whole, first, second = make(), make(), make()
    play(whole)
    play(first, until=pause)
    checkpoint.save(tmp_path, first.state.state_dict(), step=pause, facts={})
    torch.manual_seed(12345)
    second.state.load_state_dict(checkpoint.newest(tmp_path)[1])
    before, after = (Draw(run.objective, run.state, run.source.device)(6) for run in (first, second))
    assert torch.equal(before, after)  # sampled from the checkpoint alone, before any step
    play(second)
    assert whole.state.clock.step == 24
    assert differing(whole, second) == []


def test_probes_do_not_disturb_growth() -> None:
    quiet, watched = make(), make()
    draw = Draw(watched.objective, watched.state, watched.source.device)
    play(quiet)
    play(watched, watch=lambda: (draw(5), draw(5, live=True), draw.interpolate(2, 3)))
    assert differing(quiet, watched) == []


def test_sleeping_blocks_rest_and_every_parameter_moves_in_the_end() -> None:
    run = make(steps=30)
    start = {k: v.detach().clone() for k, v in run.state.nets.named_parameters()}
    play(run, until=7)
    for name, value in run.state.nets.named_parameters():
        asleep = any(part in name for part in ("blocks.", "paint.1", "paint.2", "read.1", "read.2"))
        assert torch.equal(value, start[name]) is asleep, name
    play(run)
    assert all(not torch.equal(value, start[name]) for name, value in run.state.nets.named_parameters())


# -- any game, any network -----------------------------------------------------------------------


ADVERSARIAL, PAYOFFS = "gan_runner.losses.adversarial", "gan_runner.losses.payoffs"
GAMES = {
    f"{order}-{payoff}": {"_target_": f"{ADVERSARIAL}.{order}", "payoff": {"_target_": f"{PAYOFFS}.{payoff}"}}
    for order, payoff in (("Adversarial", "NonSaturating"), ("Simultaneous", "Hinge"), ("Reusing", "Relativistic"))
}


@pytest.mark.parametrize("game", GAMES)
def test_any_game_can_be_grown(game: str) -> None:
    cfg = compose(*GROWING, *PACE, "train.steps=20")
    cfg["loss"]["game"] = GAMES[game]
    run = build(cfg)
    silent = play(run)
    assert run.state.nets["generator"].level == 0
    assert all(v.isfinite().all() for logs in silent.logs for v in logs.values())


def test_networks_that_do_not_grow_play_the_game_as_it_is() -> None:
    """Said aloud, and equal to the wrapped game bit for bit."""
    data = ("dataset=ring8", "dataset.n=200", "train.batch_size=16", "probes=none", "train.steps=5")
    with pytest.warns(UserWarning, match="model=growing"):
        wrapped = build(compose(*data, "loss=progressive", "loss.stable=10", "loss.fade=10"))
    plain = build({**(cfg := compose(*data, "loss=progressive")), "loss": cfg["loss"]["game"]})
    play(wrapped), play(plain)
    assert differing(wrapped, plain) == []


def test_a_network_that_does_not_grow_sees_what_the_others_show() -> None:
    cfg = compose(*GROWING, *PACE, "train.steps=24")
    cfg["model"]["discriminator"] = {"_target_": "gan_runner.models.mlp.Discriminator"}
    run = build(cfg)
    silent = play(run)
    assert [float(logs["growth/lod"]) for logs in silent.logs[5:8]] == [2.0, 2.0, 1.75]
    assert run.state.nets["generator"].level == 0


# -- programs ------------------------------------------------------------------------------------


def parity(program: str, dtype: torch.dtype, *overrides: str) -> float:
    """Largest difference of any parameter between eager and another program after 12 steps through two levels."""
    torch.set_default_dtype(dtype)
    try:
        runs = []
        for name in ("eager", program):
            run = make(f"train.program={name}", "dataset.size=8", *overrides, steps=12)
            take = run.source.take
            object.__setattr__(run.source, "take", lambda index, take=take: take(index).to(dtype))
            play(run)
            runs.append(run)
        assert float(runs[1].state.nets["generator"].lod) == 0.0
        pairs = zip(runs[0].state.nets.parameters(), runs[1].state.nets.parameters(), strict=True)
        return max(float((a - b).detach().abs().max()) for a, b in pairs)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.slow
def test_compiled_growth_equals_eager() -> None:
    assert parity("compiled", torch.float64) < 1e-9


@pytest.mark.gpu
def test_captured_growth_equals_eager() -> None:
    assert parity("captured", torch.float64, "device=cuda") < 1e-9


def test_half_precision_grows_too() -> None:
    run = make("train.precision=bf16")
    silent = play(run)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in run.state.nets.parameters())
    assert all(v.dtype == torch.float32 and v.isfinite().all() for logs in silent.logs for v in logs.values())


def test_copies_of_a_run_grow_apart() -> None:
    """Levels belong to networks, not to the class."""
    run = make()
    other = copy.deepcopy(run.state.nets["generator"])
    other.grow(0.0)
    assert run.state.nets["generator"].level == 2 and other.level == 0


# -- pictures ------------------------------------------------------------------------------------


class Show:
    """Draws the same images whenever asked."""

    def __init__(self, images: Tensor):
        self.images = images

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.images[:n]

    def interpolate(self, rows: int, columns: int) -> Tensor | None:
        return None


@pytest.mark.parametrize("size", [4, 8, 16])
def test_a_grid_is_kept_under_the_name_of_its_resolution(size: int) -> None:
    source = digits("", size=16)
    coarse = torch.randint(0, 256, (9, 1, size, size), dtype=torch.uint8)
    images = growth.enlarged(coarse, 16 // size)
    found = growth.Growth(n=9)(Show(images / 127.5 - 1), source).pictures
    assert found.keys() == {f"samples_{size}x{size}", f"real_{size}x{size}"}
    assert torch.equal(found[f"samples_{size}x{size}"], grid(images))
    real = rows.some(source, 9).view(9, 1, size, 16 // size, size, 16 // size).mean((3, 5))
    expected = growth.enlarged(source.decode(real), 16 // size)
    assert torch.equal(found[f"real_{size}x{size}"], grid(expected))


def test_one_sharp_image_among_many_tells_and_flat_ones_count_as_4_x_4() -> None:
    flat = torch.zeros(9, 1, 16, 16, dtype=torch.uint8)
    assert growth.resolution(flat) == 4
    flat[7, 0, 3, 5] = 1
    assert growth.resolution(flat) == 16


def test_the_probe_keeps_the_end_of_each_stable_phase() -> None:
    """What is kept under a name is what the generator draws when the next resolution is about to open."""
    run, album = make(), {}
    probe, draw = growth.Growth(every=1, n=9), Draw(run.objective, run.state, run.source.device)
    seen: dict[int, Tensor] = {}

    def look() -> None:
        album.update(probe(draw, run.source).pictures)
        seen[run.state.clock.step] = grid(run.source.decode(draw(9)))

    play(run, watch=look)
    assert [name for name in album if "real" not in name] == ["samples_4x4", "samples_8x8", "samples_16x16"]
    for size, last in ((4, 7), (8, 17), (16, 24)):
        assert torch.equal(album[f"samples_{size}x{size}"], seen[last])


def test_the_table_has_a_row_a_run_and_a_column_a_resolution(tmp_path: Path) -> None:
    colours = {("a", 4): (200, 0, 0), ("a", 8): (0, 200, 0), ("b", 8): (0, 0, 200)}
    for (run, size), colour in colours.items():
        place = tmp_path / run / "pictures"
        place.mkdir(parents=True, exist_ok=True)
        picture = torch.tensor(colour, dtype=torch.uint8).expand(50, 50, 3)
        png.write(place / f"samples_{size}x{size}.png", picture)
        png.write(place / f"samples_{size}x{size}-00000100.png", 255 - picture)
        png.write(place / "samples.png", 255 - picture)
    grids = {run: growth.kept(tmp_path / run) for run in ("a", "b")}
    assert [list(sizes) for sizes in grids.values()] == [[4, 8], [8]] and growth.kept(tmp_path / "a", "real") == {}
    sheet = growth.table(grids)
    height, width, _ = sheet.shape
    where = {}
    for place, colour in colours.items():
        hits = (sheet.int() - torch.tensor(colour)).abs().amax(2).lt(8).nonzero()
        assert len(hits) > 0.9 * growth.PANEL**2
        where[place] = tuple((hits.double().mean(0) / torch.tensor([height, width]) * 2).long().tolist())
    assert where == {("a", 4): (0, 0), ("a", 8): (0, 1), ("b", 8): (1, 1)}
    with pytest.raises(ValueError, match="probe"):
        growth.table({"a": {}})


def test_the_command_joins_runs(tmp_path: Path) -> None:
    for run, data in (("r1", "digits"), ("r2", "digits")):
        (tmp_path / run / "pictures").mkdir(parents=True)
        (tmp_path / run / "manifest.json").write_text(json.dumps({"data": {"name": data}}))
        for what in ("samples", "real"):
            png.write(tmp_path / run / f"pictures/{what}_4x4.png", torch.zeros(20, 20, 3, dtype=torch.uint8))
    command = [sys.executable, str(ROOT / "scripts/progressive_table.py"), "r1", "r2", "--out", "t.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == "t.png", done.stderr
    with Image.open(tmp_path / "t.png") as sheet:
        assert sheet.height > 4 * growth.PANEL


# -- experiments ---------------------------------------------------------------------------------


def test_the_digits_preset_grows_to_the_end(cli, tmp_path: Path) -> None:
    """The preset as a user runs it, at a faster pace: pictures of every resolution, exit code 0."""
    pace = ("loss.stable=96", "loss.fade=64", "loss.game.n_critic=1", "train.steps=19", "model.features=4")
    done = cli("experiment=progressive_digits", *pace, "probes.growth.every=1", "probes.quality.n=20", "run.dir=r")
    assert done.returncode == 0, done.stderr
    names = {f"{what}_{size}x{size}.png" for what in ("samples", "real") for size in (4, 8, 16)}
    assert names <= {p.name for p in (tmp_path / "r/pictures").iterdir()}
    rows = [json.loads(line) for line in (tmp_path / "r/metrics.jsonl").read_text().splitlines()]
    assert any(row.get("game/growth_lod") is not None for row in rows)


def test_the_published_settings() -> None:
    """12 million images at the batches of the paper; Adam(1e-3, 0, 0.99, 1e-8); slope 750 weighted 10 / 750^2."""
    cfg = compose("experiment=pggan")
    objective = construct(cfg["loss"], "loss")
    assert plan(cfg["train"], objective, 60_000)[1] == pytest.approx(12e6, abs=64)
    assert [64 * objective.batches(Clock(0, n)) for n in (0, 1_200_000, 2_400_000, 3_600_000)] == [128, 128, 128, 64]
    penalty = cfg["loss"]["game"]["penalties"]["gradient_penalty"]
    assert penalty["weight"] == pytest.approx(10 / 750**2, rel=1e-4) and penalty["target"] == 750
    assert cfg["loss"]["game"]["penalties"]["drift"]["weight"] == 0.001
    assert [cfg["optimizer"][k] for k in ("lr", "betas", "eps")] == [1e-3, [0.0, 0.99], 1e-8]
    assert cfg["model"]["generator"] | {"_target_": ""} == {
        "_target_": "",
        "latent": 512,
        "features": 512,
        "base": 8192,
    }
