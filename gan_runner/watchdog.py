"""Asks the alarms of a run at each tick, and says what they heard wherever a user may look."""

from __future__ import annotations

import traceback
import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.console import Console
from gan_runner.draw import Draw, Stopwatch
from gan_runner.folder import Status
from gan_runner.logbook import Logbook
from gan_runner.loop import Run
from gan_runner.watch.alarm import KEPT, Alert, Row

TICK = "speed/minutes"
"""Only the rows of ticks have it."""


class Watchdog:
    """Holds the rows of the last ticks, of whichever session, to the laws of `run.alarms`.

    Args:
        facts: what the status and the manifest of each checkpoint say about the run; alerts join its "alarms".
    """

    def __init__(self, run: Run, folder: Path, logbook: Logbook, console: Console, draw: Draw, facts: dict[str, Any]):
        self.run, self.folder, self.logbook, self.console, self.draw = run, folder, logbook, console, draw
        self.facts, self.blind = facts, set[str]()
        self.rows: deque[Row] = deque((known(row) for row in logbook.past if TICK in row), KEPT)

    def measure(self) -> dict[str, float]:
        """What alarms want to know of this tick; one that fails to find out warns once, and training goes on."""
        found: dict[str, float] = {}
        draw = Stopwatch(self.draw)
        for name, alarm in self.run.alarms.items():
            try:
                found |= alarm.measure(draw, self.run.source)
            except Exception as error:  # a generator is somebody else's code: training must survive it
                self.console.log(traceback.format_exc())
                if name not in self.blind:
                    self.blind.add(name)
                    warnings.warn(f"alarm {name} cannot look: {error!r}; training goes on", stacklevel=2)
        return found

    def hear(self, row: Mapping[str, float]) -> list[Alert]:
        """The alerts that the row of a tick sets off."""
        self.rows.append(known(row))
        heard = (alarm.hear(name, list(self.rows)) for name, alarm in self.run.alarms.items())
        return [alert for alert in heard if alert]

    def sound(self, alert: Alert) -> None:
        """Say it on the console, in TensorBoard, in metrics.jsonl and status.json, with the picture of this moment."""
        step = self.run.state.clock.step
        self.console.line(str(alert))
        self.logbook.scalars(step, {f"watch/{alert.name}": 1.0})
        self.logbook.text("watch/alarm", str(alert), step)
        said = {**asdict(alert), "step": step}
        self.facts["alarms"] = [*self.facts.get("alarms", []), said]
        Status(self.folder).write("running", step=step, **self.facts)
        try:
            self.logbook.picture(step, f"alarm-{alert.name}", self.picture())
        except Exception:  # what is wrong may be what is to be drawn
            self.console.log(traceback.format_exc())

    def picture(self) -> Tensor:
        """Samples of this moment, uint8 RGB (height, width, 3), as the pictures of their kind of data show them.

        Raises:
            LookupError: nobody draws these data.
        """
        for probe in painters():
            if self.run.source.spec.kind in probe.kinds and (
                drawn := [*probe(self.draw, self.run.source).pictures.values()]
            ):
                height = max(map(len, drawn))
                return torch.cat([F.pad(rgb, (0, 0, 0, 0, 0, height - len(rgb)), value=255) for rgb in drawn], 1)
        raise LookupError(f"no picture of {self.run.source.spec.kind} data")


def painters() -> list[Any]:
    """Probes that draw samples, one at least for each kind of data; imported only now, with what draws them."""
    from gan_runner.pictures.grid import SampleGrid
    from gan_runner.pictures.line import Line
    from gan_runner.pictures.matrices import FactPictures
    from gan_runner.pictures.paths import Paths
    from gan_runner.pictures.scatter import Scatter

    return [SampleGrid(), Scatter(), Line(), Paths(), FactPictures()]


def known(row: Mapping[str, float | None]) -> Row:
    """The finite numbers of a row: the others are null in metrics.jsonl."""
    return {k: v for k, v in row.items() if v is not None and v - v == 0}
