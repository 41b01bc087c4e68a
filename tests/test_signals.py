"""Signals: a note between two iterations, an exit code at the end, nothing torn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gan_runner import signals
from gan_runner.signals import Stop

ROOT = Path(__file__).resolve().parent.parent

RUN = """
import signal, sys, time
from gan_runner import signals
signals.GRACE, slow = 0.3, float(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)
with signals.Stop() as stop:
    print("ready", flush=True)
    while stop.requested is None:
        time.sleep(0.005)
    print("stopping", flush=True)
    until = time.monotonic() + slow
    while time.monotonic() < until:
        time.sleep(0.005)
    print("saved by", stop.requested, flush=True)
sys.exit(stop.exit_code)
"""


def play(first: str, *later: tuple[float, str], slow: float = 0.0) -> tuple[int, str]:
    """(exit code, last words) of a run that gets signals, the later ones in its last iteration, `slow` seconds long."""
    command = [sys.executable, "-c", RUN, str(slow)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert child.stdout and child.stdout.readline() == "ready\n"
    child.send_signal(signal.Signals[first])
    child.stdout.readline()
    timers = [threading.Timer(after, child.send_signal, [signal.Signals[name]]) for after, name in later]
    for timer in timers:
        timer.start()
    said = child.stdout.read()
    return child.wait(10), said.strip()


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGUSR1", 75)])
def test_each_signal_saves_and_has_its_exit_code(name: str, code: int) -> None:
    assert play(name) == (code, f"saved by {name}")


def test_a_second_ctrl_c_leaves_at_once() -> None:
    assert play("SIGINT", (0.5, "SIGINT"), slow=20) == (130, "")


def test_what_is_no_second_ctrl_c_changes_nothing() -> None:
    repeated = [(0.02, "SIGINT"), (0.04, "SIGINT"), (0.5, "SIGTERM"), (0.55, "SIGHUP"), (0.6, "SIGUSR1")]
    assert play("SIGINT", *repeated, slow=0.9) == (130, "saved by SIGINT")
    assert play("SIGTERM", (0.5, "SIGINT"), (0.55, "SIGTERM"), slow=0.9) == (143, "saved by SIGTERM")


def test_the_grace_is_two_seconds_of_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(signals.os, "_exit", left.append)
    monkeypatch.setattr(signals.time, "time", lambda: pytest.fail("the wall clock may jump"))
    with Stop() as stop:
        for now in (10.0, 10.1, 12.0):
            monkeypatch.setattr(signals.time, "monotonic", lambda now=now: now)
            signal.raise_signal(signal.SIGINT)
        assert (stop.requested, left) == ("SIGINT", [])
        monkeypatch.setattr(signals.time, "monotonic", lambda: 12.01)
        signal.raise_signal(signal.SIGINT)
        assert left == [130]


def test_usr2_asks_for_a_save_and_not_for_a_stop() -> None:
    with Stop() as stop:
        signal.raise_signal(signal.SIGUSR2)
        assert (stop.save_now, stop.requested, stop.exit_code) == (True, None, 0)


def test_handlers_are_put_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(n) for n in numbers]
    with pytest.raises(ZeroDivisionError), Stop():
        assert all(signal.getsignal(n) not in before for n in numbers)
        raise ZeroDivisionError
    assert [signal.getsignal(n) for n in numbers] == before


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert stop.requested is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_it_does_nothing() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with Stop() as stop:
            seen.append((signal.getsignal(signal.SIGTERM), stop.requested, stop.exit_code))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, None, 0)]
