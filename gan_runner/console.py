"""What a run says while it trains: a live line on a terminal, a plain one now and then elsewhere, all in run.log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TextIO

REDRAW = 0.1
"""Seconds between two states of the live line."""


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line; when nobody listens any more, nothing happens, neither now nor when the interpreter exits."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):  # the reader of the pipe or the terminal is gone; ValueError: closed by ourselves
        into_nowhere(stream)


def into_nowhere(stream: TextIO | None) -> None:
    """Let the interpreter flush what is left in a lost stream when it exits."""
    with suppress(OSError, ValueError, AttributeError):  # AttributeError: there is no stream, as under pythonw
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


class Console:
    """Progress, messages and last words; when the pipe is closed or the terminal lost, training goes on in silence.

    Args:
        total: steps of the whole run.
        start: steps done before this session.
        log: file that everything is appended to, each line with the local time.
        title: the first words of the progress line.
        unit: unit of the rate.
        stream: where to speak; standard output unless given.
        every_seconds: between two progress lines in the log, and on a stream that is no terminal.
    """

    def __init__(
        self,
        total: int,
        start: int,
        *,
        log: Path,
        title: str,
        unit: str = "img/s",
        stream: TextIO | None = None,
        every_seconds: float = 10,
    ):
        self.total, self.start, self.log_file, self.title, self.unit = total, start, log, title, unit
        self.stream: TextIO | None = stream or sys.stdout
        self.live = self.stream is not None and self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.every = every_seconds
        self.began = time.monotonic()
        self.next_line, self.next_draw = self.began + every_seconds, self.began
        self.latest: tuple[int, float, Mapping[str, float]] | None = None

    def progress(self, step: int, rate: float, losses: Mapping[str, float]) -> None:
        """Called after every step; costs a look at the clock unless something is due.

        Args:
            step: steps done.
            rate: rows of data per second.
            losses: of each player, by its name.
        """
        self.latest, now = (step, rate, losses), time.monotonic()
        if now >= self.next_line:
            self.next_line = now + self.every
            self._report()
        if self.live and now >= self.next_draw:
            self.next_draw = now + REDRAW
            self._write("\r\x1b[K" + self._fitted())

    def line(self, text: str) -> None:
        """Say something above the live line."""
        self._write(f"{self._erase()}{text}\n")
        self.log(text)

    def log(self, text: str) -> None:
        """Write to run.log only."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError), open(self.log_file, "a", encoding="utf-8") as file:  # a full disk must not stop the run
            file.write("".join(f"{now} {line}\n" for line in text.splitlines()))

    def finish(self, lines: Sequence[str]) -> None:
        """How far the run came, and its last words."""
        if self.latest is not None:
            self.line(self._plain())
        for text in lines:
            self.line(text)

    # -- the progress line -------------------------------------------------------------------------

    def _report(self) -> None:
        if self.live:
            self.log(self._plain())
        else:
            self.line(self._plain())

    def _plain(self) -> str:
        return "  ".join(self._parts())

    def _fitted(self) -> str:
        """The progress line with a bar as long as the terminal allows, never wider than it."""
        width, (done, rest) = self._width() - 1, self._parts()
        room = min(width - len(done) - len(rest) - 6, 30)
        if room < 4:
            return f"{done}  {rest}"[:width]
        step = self.latest[0] if self.latest else 0
        bar = "#" * (room * step // self.total)
        return f"{done} |{bar:<{room}}| {rest}"

    def _parts(self) -> tuple[str, str]:
        """How far it is, how it goes."""
        step, rate, losses = self.latest or (self.start, 0.0, {})
        seconds = (time.monotonic() - self.began) / max(step - self.start, 1) * (self.total - step)
        done = f"{self.title}  {step:,}/{self.total:,} {step / self.total:.0%}"
        worth = [f"{rate:,.0f} {self.unit}"] if rate else []
        left = f"ETA {str(timedelta(seconds=round(seconds))).removeprefix('0:')}"
        numbers = [f"{name[:1].upper()} {value:.3g}" for name, value in losses.items()]
        return done, "  ".join([*worth, left, *numbers])

    # -- the stream --------------------------------------------------------------------------------

    def _erase(self) -> str:
        return "\r\x1b[K" if self.live else ""

    def _width(self) -> int:
        with suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(self.stream.fileno()).columns or 80  # type: ignore[union-attr]
        return 80

    def _write(self, text: str) -> None:
        if self.stream is None:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the reader of the pipe or the terminal is gone; ValueError: closed by ourselves
            into_nowhere(self.stream)
            self.stream, self.live = None, False
