"""What every loss YAML promises; a new file in configs/loss is tested without a word here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_runner import checkpoint
from gan_runner.build import build
from gan_runner.draw import Draw
from gan_runner.loop import Run, fit
from tests.conftest import compose, option_names

LOSSES = option_names("loss")
SMALL = ("train.batch_size=16", "probes=none")
STEPS, PAUSE = 60, 27


class Silent:
    """A recorder and a stop signal in one, for runs nobody watches."""

    def __init__(self, until: int | None = None, watch: Callable[[], Any] = lambda: None):
        self.until, self.watch, self.steps = until, watch, 0
        self.logs: list[dict[str, Tensor]] = []

    def step(self, logs: dict[str, Tensor]) -> None:
        self.steps += 1
        self.logs.append(logs)
        self.watch()

    @property
    def requested(self) -> str | None:
        return "SIGTERM" if self.steps == self.until else None


def play(run: Run, until: int | None = None, watch: Callable[[], Any] = lambda: None) -> Silent:
    silent = Silent(until, watch)
    fit(run, silent, silent)
    return silent


def make(loss: str, *overrides: str) -> Run:
    data = [] if any(o.startswith("dataset=") for o in overrides) else ["dataset=ring8", "dataset.n=500"]
    short = ["loss.warmup.updates=8"] if loss == "wgan_warmup" else []
    return build(compose(f"loss={loss}", *data, *SMALL, f"train.steps={STEPS}", *short, *overrides))


def differing(a: Run, b: Run) -> list[str]:
    mine, theirs = a.state.tensors(), b.state.tensors()
    assert mine.keys() == theirs.keys()
    return [k for k in mine if not torch.equal(mine[k], theirs[k])] + (
        ["clock"] if a.state.clock != b.state.clock else []
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_resume_is_exact(loss: str, tmp_path: Path) -> None:
    """27 steps, a checkpoint on disk, a new process's worth of fresh objects, 33 more: the same bits as 60."""
    whole, first, second = make(loss), make(loss), make(loss, "seed=0")
    play(whole)
    play(first, until=PAUSE)
    checkpoint.save(tmp_path, first.state.state_dict(), step=PAUSE, facts={})
    torch.manual_seed(12345)
    second.state.load_state_dict(checkpoint.newest(tmp_path)[1])
    play(second)
    assert whole.state.clock.step == STEPS
    assert differing(whole, second) == []


PARTS = ["nets.generator", "nets.discriminator", "average", "players.generator", "players.discriminator", "clock"]


@pytest.mark.parametrize("part", PARTS)
def test_leaving_any_part_out_is_noticed(part: str) -> None:
    """The mutants of the test above: a checkpoint without one part never ends in the same bits."""
    whole, first, second = make("ns", "model=mlp"), make("ns"), make("ns")
    play(whole)
    play(first, until=PAUSE)
    saved, fresh = copy.deepcopy(first.state.state_dict()), second.state.state_dict()
    group, _, name = part.partition(".")
    if group == "nets":
        for key in saved["nets"]:
            if key.startswith(name):
                saved["nets"][key] = fresh["nets"][key]
    elif name:
        saved[group][name] = fresh[group][name]
    else:
        saved[group] = fresh[group]
    second.state.load_state_dict(saved)
    play(second)
    assert differing(whole, second)


def blind_to_shifts(run: Run) -> bool:
    """Whether adding a constant to small scores changes nothing, so that the score's bias has no gradient at first."""
    real, fake = torch.tensor([0.25, 0.5]), torch.tensor([0.0, -0.25])
    payoff = run.objective.payoff  # type: ignore[attr-defined]
    return torch.equal(payoff.discriminator(real, fake), payoff.discriminator(real + 0.125, fake + 0.125))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_parameter_moves_and_stays_finite(loss: str) -> None:
    run = make(loss)
    before = {k: v.detach().clone() for k, v in run.state.nets.named_parameters()}
    silent = play(run)
    for name, value in run.state.nets.named_parameters():
        assert not torch.equal(value, before[name]) or (name == "discriminator.head.bias" and blind_to_shifts(run)), (
            name
        )
        assert value.isfinite().all(), name
    for logs in silent.logs:
        assert all(v.isfinite().all() and not v.requires_grad and v.dim() <= 1 for v in logs.values())


@pytest.mark.parametrize("loss", LOSSES)
def test_samples_have_the_shape_of_the_data(loss: str) -> None:
    run = make(loss)
    draw = Draw(run.objective, run.state, run.source.device)
    assert draw(300).shape == (300, *run.source.spec.shape)
    torch.testing.assert_close(draw(300)[:7], draw(7))  # the same noise; matrix products round by their size
    walk = draw.interpolate(3, 5)
    assert walk is not None and walk.shape == (15, *run.source.spec.shape)


@pytest.mark.parametrize("loss", LOSSES)
def test_probes_do_not_disturb_training(loss: str) -> None:
    """Drawing samples, and random numbers besides, after each step changes no bit of the state."""
    quiet, watched = make(loss), make(loss)
    draw = Draw(watched.objective, watched.state, watched.source.device)
    play(quiet, until=10)
    play(watched, until=10, watch=lambda: (draw(20), draw(20, live=True), draw.interpolate(2, 3), torch.rand(3)))
    assert differing(quiet, watched) == []


@pytest.mark.parametrize("loss", LOSSES)
def test_same_seed_same_bits_other_seed_other_bits(loss: str) -> None:
    a, b, c = make(loss), make(loss), make(loss, "seed=1")
    for run in (a, b, c):
        play(run, until=3)
    assert differing(a, b) == []
    assert differing(a, c)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_trains_and_keeps_weights_whole(loss: str) -> None:
    """bf16 autocast on an image network: weights, averages and losses stay fp32 and finite."""
    run = make(loss, "dataset=digits", "++model.width=4", "train.precision=bf16")
    silent = play(run, until=3)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in run.state.nets.parameters())
    assert all(v.dtype == torch.float32 and v.isfinite().all() for logs in silent.logs for v in logs.values())


COMPILED = [pytest.param(loss, marks=() if loss == "wgan_gp" else pytest.mark.slow) for loss in LOSSES]


def parity(loss: str, program: str, *overrides: str) -> float:
    """Largest difference of any parameter between eager and another program after 8 float64 steps."""
    torch.set_default_dtype(torch.float64)
    try:
        runs = []
        for name in ("eager", program):
            run = make(loss, f"train.program={name}", *overrides)
            run.source.data.data = run.source.data.double()
            play(run, until=8)
            runs.append(run)
        pairs = zip(runs[0].state.nets.parameters(), runs[1].state.nets.parameters(), strict=True)
        return max(float((a - b).detach().abs().max()) for a, b in pairs)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("loss", COMPILED)
def test_compiled_equals_eager(loss: str) -> None:
    assert parity(loss, "compiled") < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", option_names("optimizer"))
def test_compiled_optimizers_equal_eager(optimizer: str) -> None:
    assert parity("ns", "compiled", f"optimizer={optimizer}", "schedule=linear") < 1e-12


@pytest.mark.gpu
@pytest.mark.parametrize("loss", LOSSES)
def test_captured_equals_eager(loss: str) -> None:
    eager, captured = make(loss, "device=cuda"), make(loss, "device=cuda", "train.program=captured")
    play(eager, until=20)
    play(captured, until=20)
    pairs = zip(eager.state.nets.parameters(), captured.state.nets.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) < 1e-5


def test_the_clock_is_hidden_from_the_step() -> None:
    run = make("ns")
    assert run.program.state.clock is None  # type: ignore[attr-defined]
