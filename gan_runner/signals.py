"""Stop signals as a question the loop asks between two iterations: a handler only takes a note."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGUSR1": 75}
"""What each signal makes of the exit code: 128 + its number, or EX_TEMPFAIL, "requeue me"."""
GRACE = 2.0
"""Seconds in which a repeated Ctrl-C is the same Ctrl-C: launchers pass it on a second time."""


class Stop:
    """Catches SIGINT, SIGTERM, SIGHUP, SIGUSR1 (stop) and SIGUSR2 (save and go on) while it is entered.

    An exception raised inside an iteration tears the optimizer's state, so nothing is raised: the iteration ends,
    the run is saved. A second Ctrl-C after the grace leaves at once, which is safe because commits are atomic.
    Outside the main thread, where Python has no signals, it never asks to stop; `nohup` is respected.

    Attributes:
        requested: name of the first stop signal, such as "SIGTERM"; None while there is none.
        save_now: whether SIGUSR2 came; who saves puts it back to False.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self.save_now = False
        self._since = 0.0
        self._before: dict[int, signal._HANDLER] = {}

    @property
    def exit_code(self) -> int:
        """The exit code of a run that stopped on request; 0 where none was made."""
        return CODES[self.requested] if self.requested else 0

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.Signals[name] for name in (*CODES, "SIGUSR2")):
                if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        name, now = signal.Signals(number).name, time.monotonic()
        if name == "SIGUSR2":
            self.save_now = True
        elif self.requested is None:
            self.requested, self._since = name, now
            again = ", again to quit at once" if name == "SIGINT" else ""
            with suppress(OSError):  # not print: a handler may interrupt one
                os.write(2, f"\n{name}: finishing this step and saving{again}\n".encode())
        elif name == self.requested == "SIGINT" and now - self._since > GRACE:
            os._exit(CODES[name])
