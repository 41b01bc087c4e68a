"""The numbers and pictures of a run: metrics.jsonl is the record, TensorBoard a view; neither can stop the run."""

from __future__ import annotations

import json
import math
import re
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor

from gan_runner.console import Console
from gan_runner.folder import write_text
from gan_runner.pictures.png import animate, encode


class Closes(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=Closes)
R = TypeVar("R")

TAIL = 1000
"""Rows of earlier sessions that are remembered."""


class Sink(Generic[T]):
    """Something to write to that may fail: it warns once, is opened anew at the next call, and never raises."""

    def __init__(self, name: str, open: Callable[[], T], console: Console):
        self.name, self.open, self.console = name, open, console
        self.target: T | None = None
        self.warned = False

    def __call__(self, write: Callable[[T], R]) -> R | None:
        """What `write` returns, None where it failed."""
        try:
            if self.target is None:
                self.target = self.open()
            return write(self.target)
        except Exception as error:  # a disk, a network share, TensorBoard's own code: training outlives them all
            self.close()
            if not self.warned:
                self.warned = True
                warnings.warn(f"writing {self.name} failed ({error}); training goes on", stacklevel=3)
                self.console.log(traceback.format_exc())
            return None

    def close(self) -> None:
        target, self.target = self.target, None
        if target is not None:
            with suppress(Exception):  # every write was flushed, so there is nothing left to lose
                target.close()


class Logbook:
    """Everything a run writes down about itself.

    Steps newer than `start` that are found in the folder belong to a session that was cut off; they are removed from
    metrics.jsonl and hidden from TensorBoard, so that each step is there once.

    Args:
        folder: of the run.
        start: steps done before this session, 0 for a new run.
        console: its log takes the tracebacks of what failed.

    Attributes:
        past: the last rows of earlier sessions.
    """

    def __init__(self, folder: Path, *, start: int, console: Console):
        self.newest = start or -1  # newest step on record; a session cut off before its first checkpoint left none
        self.pending: list[dict[str, Tensor]] = []
        self.floors: set[str] = set()
        self.rows = Sink("metrics.jsonl", lambda: Rows(folder / "metrics.jsonl", self.newest), console)
        self.events = Sink("to TensorBoard", lambda: Events(folder / "tb", self.newest + 1), console)
        self.album = Sink("pictures", lambda: Album(folder / "pictures"), console)
        self.began = time.monotonic() - (self.rows(lambda rows: rows.seconds) or 0.0)
        self.past = self.rows(lambda rows: rows.past) or []

    # -- numbers of every step ---------------------------------------------------------------------

    def add(self, logs: dict[str, Tensor]) -> None:
        """Keep one step's numbers, 0-d or 1-d and detached, for `pool`: no copy yet, so nobody may overwrite them."""
        self.pending.append(logs)

    def pool(self) -> dict[str, Tensor]:
        """All numbers added since the last call, name to (k,) in order of time, in one copy to the host."""
        columns: dict[str, list[Tensor]] = {}
        for logs in self.pending:
            for name, value in logs.items():
                columns.setdefault(name, []).append(value)
        self.pending.clear()
        if not columns:
            return {}
        whole = {name: (torch.cat if column[0].dim() else torch.stack)(column) for name, column in columns.items()}
        host = torch.cat(list(whole.values())).cpu()
        return dict(zip(whole, host.split([len(column) for column in whole.values()]), strict=True))

    # -- what is written down ----------------------------------------------------------------------

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row of metrics.jsonl, {"step", "time", **values}, and one point of each value in TensorBoard.

        `time` is seconds of all sessions together, by a clock that cannot be set. NaN and infinity are null in the row,
        which JSON demands, and themselves in TensorBoard.
        """
        seconds = round(time.monotonic() - self.began, 3)
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self.rows(lambda rows: rows.append({"step": step, "time": seconds, **finite}))
        self.events(lambda events: events.scalars(step, values))
        self.newest = step
        floors = {name[5:] for name in values if name.startswith("eval/") and f"reference/{name[5:]}" in values}
        if not floors <= self.floors:
            self.floors |= floors
            self.layout()

    def histogram(self, step: int, name: str, values: Tensor) -> None:
        """The distribution of the finite ones among values (n,), by some ten thousand of them where there are more."""
        finite = values[values.isfinite()]
        finite = finite[:: max(len(finite) // 10_000, 1)]
        if len(finite):
            self.events(lambda events: events.add(events.make.histogram(name, finite, bins=64), step))
            self.newest = step

    def picture(self, step: int, name: str, rgb: Tensor) -> None:
        """Picture uint8 (height, width, 3) as pictures/NAME-STEP.png, as the latest, NAME.png, and in TensorBoard."""
        png = encode(rgb)
        self.album(lambda album: album.keep(step, name, png))
        self.events(lambda events: events.picture(step, f"pictures/{name}", rgb.shape, png))
        self.newest = step

    def film(self, name: str) -> None:
        """All pictures of a name, in order of their steps and of whichever session, as pictures/NAME.gif."""
        self.album(lambda album: animate(album.all(name), album.folder / f"{name}.gif"))

    def text(self, name: str, markdown: str, step: int = 0) -> None:
        """A page of text in TensorBoard."""
        self.events(lambda events: events.add(events.make.text(name, markdown), step))

    def layout(self) -> None:
        """The charts of TensorBoard's Custom Scalars: G against D, and each metric that has a floor beside it."""
        game = {
            "losses": ["Multiline", [r"game/\w+_loss$"]],
            "D(real) against D(fake)": ["Multiline", [r"game/D_(real|fake)$"]],
            "gradient norms": ["Multiline", ["gradient/"]],
        }
        quality = {name: ["Multiline", [f"(eval|reference)/{name}$"]] for name in sorted(self.floors)}
        pages = {"G against D": game} | ({"Quality and its floor": quality} if quality else {})
        self.events(lambda events: events.add(events.make.custom_scalars(pages)))

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """The run's row in TensorBoard's HParams.

        Args:
            settings: flat; whatever is not a number is shown as a string.
            metrics: empty at the start. At the end the names of the columns, each the tag `eval/<name>` logged before;
                given once, because TensorBoard believes the first that it reads.
        """
        plain = {k: v if type(v) in (int, float) else str(v) for k, v in settings.items()}
        self.events(lambda events: events.hparams(plain, {f"eval/{name}": value for name, value in metrics.items()}))

    def close(self) -> None:
        for sink in (self.rows, self.events, self.album):
            sink.close()


class Rows:
    """metrics.jsonl, opened at the end of its last whole row of a step that is not newer than `newest`.

    Attributes:
        seconds: the time of that row.
        past: up to TAIL rows, that row the last.
    """

    def __init__(self, path: Path, newest: int):
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        kept = [(line, row) for line in text.splitlines() if (row := _parsed(line)) and row["step"] <= newest]
        self.seconds: float = kept[-1][1]["time"] if kept else 0.0
        self.past = [row for _, row in kept[-TAIL:]]
        if (whole := "".join(f"{line}\n" for line, _ in kept)) != text:
            write_text(path, whole)
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open until close()

    def append(self, row: dict[str, Any]) -> None:
        self.file.write(json.dumps(row, allow_nan=False) + "\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _parsed(line: str) -> dict[str, Any] | None:
    """The row that a line holds, None where a crash or a bad disk left less than that."""
    with suppress(json.JSONDecodeError):
        row = json.loads(line)
        return row if isinstance(row, dict) and row.keys() >= {"step", "time"} else None
    return None


class Album:
    """The folder of pictures."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, step: int, name: str, png: bytes) -> None:
        (self.folder / f"{name}-{step:08d}.png").write_bytes(png)
        unfinished = self.folder / f".{name}.png"
        unfinished.write_bytes(png)
        unfinished.replace(self.folder / f"{name}.png")

    def all(self, name: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"{name}-*.png") if path.stem[len(name) + 1 :].isdigit())

    def close(self) -> None:
        pass


class Events:
    """One TensorBoard event file, written and flushed at once.

    Not `SummaryWriter`: its thread reports a full disk some calls later and prints a traceback of its own, it needs
    an event per number, and it names files by a clock that may have been set back, which hides a resumed run's points.

    Args:
        folder: of all event files of the run; unreadable ones are moved to its `.bad`.
        purge: first step of this session; TensorBoard forgets what older files say about it and later ones. It honours
            no file's purge but those after the first, so the first must have one as well.
    """

    def __init__(self, folder: Path, purge: int):
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary

        self.make, self.proto = cast(Any, summary), cast(Any, event_pb2)  # built at run time: no types to check
        now = max(time.time(), _after_all(folder))
        self.wall_minus_monotonic = now - time.monotonic()
        file = open(folder / f"events.out.tfevents.{int(now):010d}.gan_runner", "xb")  # noqa: SIM115 - open until close()
        self.records = RecordWriter(file)
        start = self.proto.SessionLog(status=self.proto.SessionLog.START)
        self._write(self.proto.Event(file_version="brain.Event:2"))
        self._write(self.proto.Event(step=purge, session_log=start))

    def add(self, summary: Any, step: int = 0) -> None:
        """Append a `Summary` of torch.utils.tensorboard."""
        self._write(self.proto.Event(step=step, summary=summary))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        value = self.make.Summary.Value
        self.add(self.make.Summary(value=[value(tag=k, simple_value=v) for k, v in values.items()]), step)

    def picture(self, step: int, name: str, shape: tuple[int, ...], png: bytes) -> None:
        summary = self.make.Summary
        image = summary.Image(height=shape[0], width=shape[1], colorspace=3, encoded_image_string=png)
        self.add(summary(value=[summary.Value(tag=name, image=image)]), step)

    def hparams(self, settings: dict[str, Any], metrics: dict[str, float]) -> None:
        experiment, begin, end = self.make.hparams(settings, metrics)
        for part in (experiment, begin, end) if metrics else (begin,):
            self.add(part)

    def close(self) -> None:
        self.records.close()

    def _write(self, event: Any) -> None:
        event.wall_time = time.monotonic() + self.wall_minus_monotonic
        self.records.write(event.SerializeToString())
        self.records.flush()


def _after_all(folder: Path) -> float:
    """A time later than all event files of a folder say; makes the folder, sets unreadable files aside."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    folder.mkdir(parents=True, exist_ok=True)
    times = [0.0]
    for path in sorted(folder.glob("events.out.tfevents.*")):
        readable = False
        with suppress(OSError):
            readable = next(iter(RawEventFileLoader(str(path)).Load()), None) is not None
        if readable:
            times += [path.stat().st_mtime, *(int(n) + 1 for n in re.findall(r"tfevents\.(\d+)", path.name))]
        else:
            (folder / ".bad").mkdir(exist_ok=True)
            path.replace(folder / ".bad" / path.name.replace("tfevents", "unreadable"))
    return max(times)
