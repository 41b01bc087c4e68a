"""Alarms: each one's law at its threshold, and what a run does that hears one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from gan_runner import record
from gan_runner.build import build
from gan_runner.datasets.spec import Source, Spec
from gan_runner.losses.objective import Objective
from gan_runner.watch.alarm import Alarm
from gan_runner.watch.game import Flat, Frozen, Saturated, Vanishing
from gan_runner.watch.samples import Collapse, Drift
from gan_runner.watchdog import known
from tests.conftest import compose, option_names
from tests.short_runs import bits, configured, refusal, run, saved, status, whole

RATE = {"optimizer/D_lr": 1e-3, "game/D_loss": 1.0}
ALARMS = ("collapse", "drift", "flat", "frozen", "saturated", "vanishing")


def record_of(*numbers: dict[str, float]) -> list[dict[str, float]]:
    return [{"step": 10.0 * (k + 1), **row} for k, row in enumerate(numbers)]


def heard(alarm: Alarm, rows: list[dict[str, float]]) -> list[int]:
    """The steps at which it sounds as the rows come in one by one."""
    return [int(rows[k]["step"]) for k in range(len(rows)) if alarm.hear("x", rows[: k + 1])]


# -- laws ------------------------------------------------------------------------------------------

LAWS = {
    "saturated": (
        Saturated(patience=3),
        {"game/accuracy_real": 0.999, "game/accuracy_fake": 1.0},
        {"game/accuracy_real": 0.99899, "game/accuracy_fake": 1.0},
    ),
    "saturated, pairs": (Saturated(patience=3), {"game/accuracy_paired": 0.999}, {"game/accuracy_paired": 0.99}),
    "vanishing": (
        Vanishing(patience=3),
        {"health/pull_a": 1.0, "health/pull_b": 9.9e-5},
        {"health/pull_a": 1.0, "health/pull_b": 1e-4},
    ),
    "collapse": (Collapse(patience=3), {"health/diversity": 0.1999}, {"health/diversity": 0.2}),
    "drift": (Drift(patience=3), {"health/apart": 0.5001}, {"health/apart": 0.5}),
}


@pytest.mark.parametrize("name", LAWS)
def test_an_alarm_sounds_once_when_its_law_was_broken_long_enough(name: str) -> None:
    """After three ticks in succession, not two; again after it was kept; rows without its numbers keep it."""
    alarm, wrong, right = LAWS[name]
    rows = record_of(right, wrong, wrong, right, wrong, wrong, wrong, wrong, {}, wrong, wrong, wrong)
    assert heard(alarm, rows) == [70, 120]
    alert = alarm.hear("x", rows[:7])
    assert alert and (alert.since, alert.right, alert.policy) == (50, 40, "warn")
    assert heard(alarm, record_of(*[right] * 20)) == heard(alarm, record_of(*[{}] * 20)) == []
    assert alarm.hear("x", record_of(*[wrong] * 3)).right == 0  # type: ignore[union-attr]


def test_flat_is_about_all_losses_and_a_hundred_thousandth_of_their_size() -> None:
    def rows(change: float, other: float = 0.0) -> list[dict[str, float]]:
        return record_of(*({"game/D_loss": -2 * (1 + change) ** k, "game/G_loss": 1 + k * other} for k in range(4)))

    assert heard(Flat(patience=3), rows(0.9e-5)) == [40]
    assert heard(Flat(patience=3), rows(1.1e-5)) == []
    assert heard(Flat(patience=3), rows(0.0, other=0.01)) == []
    assert heard(Flat(patience=3), record_of(*[{"game/D_loss": 0.0}] * 4)) == [40]
    assert heard(Flat(patience=3), record_of(*[{"game/E_gap": 0.0}] * 4)) == []


def test_frozen_is_about_players_that_play_at_a_rate() -> None:
    def rows(**more: float) -> list[dict[str, float]]:
        return record_of(*({"health/weights_D": 3.0, "health/weights_G": float(k), **RATE, **more} for k in range(4)))

    assert heard(Frozen(), rows()) == [30]
    assert heard(Frozen(), rows(**{"optimizer/D_lr": 0.0})) == []
    resting = [{k: v for k, v in row.items() if k != "game/D_loss"} for row in rows()]
    assert heard(Frozen(), resting) == []
    moving = [row | {"health/weights_D": 3.0 + 4e-16 * k} for k, row in enumerate(rows())]
    assert heard(Frozen(), moving) == [], "the last bit counts"


# -- what is measured ------------------------------------------------------------------------------

POINTS = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
SOURCE = Source(Spec((3,), "table"), POINTS)


def drawing(averaged: torch.Tensor, live: torch.Tensor, slow: bool = False) -> Any:
    class Drawing:
        objective = SimpleNamespace(slow=slow)

        def __call__(self, n: int, *, live: bool = False) -> torch.Tensor:
            return pair[live][:n]

    pair = (averaged, live)
    return Drawing()


@pytest.mark.parametrize("share", [0.1, 1.0, 2.0])
def test_diversity_is_the_factor_by_which_samples_are_drawn_together(share: float) -> None:
    found = Collapse().measure(drawing(5 + share * POINTS, POINTS), SOURCE)
    assert found == pytest.approx({"health/diversity": share}, rel=1e-4)


def test_diversity_of_copies_is_small_and_finite() -> None:
    """A thousandth of the real rows' mean distance, over their geometric mean."""
    far = torch.pdist(POINTS)
    (found,) = Collapse().measure(drawing(torch.ones(64, 3), POINTS), SOURCE).values()
    assert found == pytest.approx(float(1e-3 * far.mean() / far.log().mean().exp()), rel=1e-4) and found < 2e-3


def test_two_of_eight_modes_are_less_diverse_than_eight() -> None:
    """Where the arithmetic mean of distances hardly tells: two opposite modes are as far apart as any."""
    angle = torch.arange(64) * (2 * torch.pi / 8)
    ring = torch.stack([angle.cos(), angle.sin(), 0 * angle], 1) + 0.01 * POINTS
    two = ring[::4][:16].repeat(4, 1) + 0.01 * POINTS
    (found,) = Collapse().measure(drawing(two, two), Source(Spec((3,), "table"), ring)).values()
    assert found < 0.35 < float(torch.pdist(two).mean() / torch.pdist(ring).mean())


def test_apart_is_the_distance_of_pairs_in_distances_of_rows() -> None:
    move = torch.tensor([3.0, 0.0, 4.0])
    (found,) = Drift().measure(drawing(POINTS, POINTS + move), SOURCE).values()
    assert found == pytest.approx(5 / float(torch.pdist(POINTS).mean()), rel=1e-5)
    assert Drift().measure(drawing(POINTS, POINTS), SOURCE) == {"health/apart": 0.0}


def test_a_small_step_of_a_small_tensor_beside_a_large_one_is_seen() -> None:
    def size(small: float) -> dict[str, float]:
        players = {"D": SimpleNamespace(params=[torch.tensor([3000.0]), torch.tensor([small])])}
        return Frozen().measure(SimpleNamespace(state=SimpleNamespace(players=players)), SOURCE)  # type: ignore[arg-type]

    assert size(0.01)["health/weights_D"] == pytest.approx(3000)
    assert size(0.01) == size(0.01) and size(0.01) != size(0.011)


def test_ends_of_chains_are_not_looked_at() -> None:
    draw = drawing(POINTS, POINTS, slow=True)
    assert Collapse().measure(draw, SOURCE) == Drift().measure(draw, SOURCE) == {}
    slow = {name: build(compose(f"loss={name}", "dataset=ring8", "dataset.n=500")).objective.slow for name in CHAINS}
    assert slow == {"ebm_langevin": True, "ns": False, "adagan": False}
    assert Objective.slow is False


CHAINS = ("ebm_langevin", "ns", "adagan")


# -- runs ------------------------------------------------------------------------------------------

TICKS = ("train.log_every=1", "~watch.collapse", "~watch.drift")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def freeze(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the discriminator move no more after step 7, as often as is asked; see `gan_runner.record.Recorder.step`."""

    def arrange(times: int) -> None:
        left = [times]

        def step(self: Any, logs: Any, do: Any = record.Recorder.step) -> None:
            if self.run.state.clock.step == 7:
                left[0] -= 1
                if left[0] >= 0:
                    self.run.state.players["discriminator"].move = lambda grads: None
            do(self, logs)

        monkeypatch.setattr(record.Recorder, "step", step)

    return arrange


def alarms() -> list[tuple[str, int]]:
    return [(alarm["name"], alarm["step"]) for alarm in status()["alarms"]]


def test_watching_changes_no_bit() -> None:
    every = ("train.log_every=1", "train.steps=12")
    quiet = whole("watch=none", *every)
    assert run("watch=warn", *every) == 0
    assert bits() == quiet
    rows = [json.loads(line) for line in Path("r/metrics.jsonl").read_text().splitlines()]
    names = {name for row in rows for name in row if name.startswith("health/")}
    sizes = {"health/weights_discriminator", "health/weights_generator", "health/pull_generator"}
    assert names == {"health/diversity", "health/apart", *sizes}


def test_a_warning_is_everywhere_and_the_run_goes_on(freeze: Any, capsys: pytest.CaptureFixture[str]) -> None:
    freeze(1)
    assert run(*TICKS) == 0 and alarms() == [("frozen", 9)] and status()["state"] == "completed"
    line = "alarm frozen: no weight of the discriminator moves, since step 8; try to find out"
    assert line in capsys.readouterr().out and line in Path("r/run.log").read_text()
    rows = [json.loads(line) for line in Path("r/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "watch/frozen" in row] == [9]
    shown = EventAccumulator("r/tb", size_guidance={"tensors": 0, "images": 0}).Reload()
    assert [event.step for event in shown.Tensors("watch/frozen")] == [9]
    assert [event.step for event in shown.Tensors("watch/alarm/text_summary")] == [9]
    assert Path("r/pictures/alarm-frozen-00000009.png").is_file()


def test_a_stop_keeps_a_checkpoint_and_says_its_name(freeze: Any) -> None:
    freeze(1)
    fault = refusal("watch=stop", "train.rollbacks=3", *TICKS)
    assert (fault.code, fault.id, saved()) == (79, "F69", [6, 9]) and "alarm frozen at step 9" in fault.what
    assert "resume=" in fault.fix and "watch=warn" in fault.fix
    assert (status()["state"], status()["error"], alarms()) == ("diverged", "F69", [("frozen", 9)])
    assert run("resume=r", "watch=warn", *TICKS) == 0 and alarms() == [("frozen", 9)]


def test_one_alarm_can_stop_where_others_warn(freeze: Any) -> None:
    freeze(1)
    assert refusal("watch.frozen.policy=stop", *TICKS).id == "F69"
    assert run("run.dir=s", "watch.flat.policy=stop", *TICKS) == 0


@pytest.mark.parametrize("times", [1, 3])
def test_a_rollback_goes_on_from_before_the_alarm(freeze: Any, times: int) -> None:
    """Frozen after step 7, heard at 9: back to 6, not to 8, on other numbers; as often as is allowed."""
    freeze(times)
    words = ("watch=rollback", "train.rollbacks=2", "train.checkpoint_every=2", "train.checkpoint_keep=3", *TICKS)
    with pytest.warns(UserWarning, match="rollback 1 to step 6"):
        if times == 3:
            assert refusal(*words).id == "F69" and status()["rollbacks"] == 2 and alarms() == [("frozen", 9)] * 3
            return
        assert run(*words) == 0
    assert status()["state"] == "completed" and status()["rollbacks"] == 1 and alarms() == [("frozen", 9)]
    assert saved() == [8, 10, 12] and len([*Path("r/ckpt").glob(".bad-step-00000008-*")]) == 1
    ended = bits()
    assert whole(*words) != ended, "the same numbers would go wrong once more"


def test_without_a_checkpoint_from_before_a_rollback_stops(freeze: Any) -> None:
    freeze(1)
    assert refusal("watch=rollback", "train.checkpoint_every=8", *TICKS).id == "F69"
    assert saved() == [8] and "rollbacks" not in status()


def test_a_run_that_was_cut_off_hears_the_same() -> None:
    """Ten ticks of too little diversity, five of them in the record of the first session."""
    words = ("train.log_every=1", "watch.collapse.limit=1000")
    assert run("run.dir=whole", *words) == 0 and run("train.steps=5", *words) == 0
    assert "alarms" not in status()
    assert run("resume=r", "train.steps=12", *words) == 0
    assert [name for name, step in alarms() if step == 10] == ["collapse"]
    assert [{**alarm, "what": ""} for alarm in status()["alarms"]] == [
        {**alarm, "what": ""} for alarm in json.loads(Path("whole/status.json").read_text())["alarms"]
    ]


def test_numbers_that_are_not_finite_sound_whatever_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN in the moving average, which no loss sees, is found at the next tick."""

    def step(self: Any, logs: Any, do: Any = record.Recorder.step) -> None:
        if self.run.state.clock.step == 7:
            next(self.run.state.average.parameters()).fill_(torch.nan)
        do(self, logs)

    monkeypatch.setattr(record.Recorder, "step", step)
    assert refusal("train.log_every=4", "watch=none").id == "F11" and alarms() == [("non_finite", 8)]
    assert "watch/non_finite" in Path("r/metrics.jsonl").read_text()


def test_an_alarm_that_cannot_look_warns_once_and_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = whole()

    def fails(self: Any, draw: Any, source: Any) -> dict[str, float]:
        draw(3)
        torch.rand(2)
        raise RuntimeError("out of paint")

    monkeypatch.setattr(Collapse, "measure", fails)
    with pytest.warns(UserWarning, match="alarm collapse cannot look: .*paint") as caught:
        assert run("train.log_every=2") == 0
    assert len([w for w in caught if "cannot look" in str(w.message)]) == 1 and bits() == quiet


# -- settings --------------------------------------------------------------------------------------


def test_every_choice_has_the_same_alarms() -> None:
    for name in option_names("watch"):
        node = compose("dataset=ring8", f"watch={name}")["watch"]
        if name == "none":
            assert node is None
        else:
            assert tuple(sorted(k for k, v in node.items() if isinstance(v, dict))) == ALARMS
            assert {alarm["policy"] for alarm in node.values() if isinstance(alarm, dict)} == {name}
    assert compose("dataset=ring8", "watch=rollback")["train"]["rollbacks"] == 3
    assert compose("loss=saddle")["watch"] is None, "a saddle point is reached where nothing moves"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("watch=rollback", "train.rollbacks=0"), "train.rollbacks=0 allows none"),
        (("watch.policy=shout",), "policy=shout is none of warn, stop, rollback"),
        (("watch.drift.patience=0",), "watch.drift.patience=0 is not from 1 to"),
        (("watch.drift.limits=0",), "limits"),
    ],
)
def test_settings_that_cannot_be_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(Exception, match=said):
        build(configured(*words))


def test_only_finite_numbers_are_known() -> None:
    assert known({"a": 1.0, "b": None, "c": float("nan"), "d": float("inf")}) == {"a": 1.0}
