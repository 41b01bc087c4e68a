"""The loop: seeds, draws a batch, calls the step, ticks the clock, asks the recorder. It knows no method by name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import torch

from gan_runner import parallel
from gan_runner.datasets import draws
from gan_runner.datasets.spec import Source
from gan_runner.losses.objective import Objective
from gan_runner.metrics.probe import Probe
from gan_runner.program import Program
from gan_runner.state import Logs, State
from gan_runner.watch.alarm import Alarm


@dataclass
class Run:
    """Everything the loop needs, built once.

    Attributes:
        steps: iterations of the whole run.
        images: rows of real data that they consume.
        batch: rows per update, over all ranks.
        track: the metric that decides which checkpoint is best, without its sign.
        falling: whether smaller is better.
        average_from: rows seen after which the average is uniform; see `State.tick`.
    """

    source: Source
    objective: Objective
    state: State
    program: Program
    probes: dict[str, Probe]
    alarms: dict[str, Alarm]
    steps: int
    images: int
    batch: int
    halflife: float
    average_from: float
    seed: int
    track: str | None
    falling: bool


class Recorder(Protocol):
    def step(self, logs: Logs) -> None:
        """Called after each iteration, with the clock already advanced."""
        ...


class Stop(Protocol):
    @property
    def requested(self) -> str | None: ...


def fit(run: Run, recorder: Recorder, stop: Stop) -> None:
    """Train until the budget is spent or a stop is asked for; every iteration is whole."""
    state, clock = run.state, run.state.clock
    while clock.step < run.steps and stop.requested is None:
        reseed(run.seed, clock.step, run.source.device)
        for player in state.players.values():
            player.set_rate(clock.seen, run.images)
        weights = run.objective.weigh(state, run.source)
        key = run.objective.prepare(state)
        rows = run.batch * run.objective.batches(clock)
        if weights is None:
            index = draws.rows(len(run.source), clock.seen, rows, run.seed)
        else:
            index = draws.weighted(weights, rows, run.seed, clock.seen)
        logs = run.program(run.source.take(draws.share(index, parallel.rank(), parallel.world())), key)
        state.tick(rows, run.batch, run.halflife, run.average_from)
        recorder.step(logs)


def reseed(seed: int, step: int, device: torch.device) -> None:
    """Make this step's randomness a function of (seed, rank, step): resuming needs no generator state."""
    digest = hashlib.blake2b(f"{seed}/{parallel.rank()}/{step}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little") >> 1
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
