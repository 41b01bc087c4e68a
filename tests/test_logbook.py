"""Laws of the record: every step once, whatever was cut off; nothing that fails to be written stops a run."""

import errno
import io
import json
import math
import os
import pty
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    SESSION_START_INFO_TAG,
    parse_experiment_plugin_data,
    parse_session_start_info_plugin_data,
)

from gan_runner import logbook as module
from gan_runner.console import Console
from gan_runner.logbook import Logbook

LOSS = "game/discriminator_loss"


@pytest.fixture
def open_book(tmp_path):
    """A function start -> the logbook of one run folder, all closed at the end."""
    books = []

    def opened(start=0):
        console = Console(100, start, log=tmp_path / "run.log", title="test", stream=io.StringIO())
        books.append(Logbook(tmp_path, start=start, console=console))
        return books[-1]

    yield opened
    for book in books:
        book.close()


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def board(folder):
    """What TensorBoard's own loader makes of the event files, without thinning out."""
    return EventAccumulator(str(folder / "tb"), size_guidance={"tensors": 0}).Reload()


def points(folder, tag=LOSS):
    return [(e.step, e.tensor_proto.float_val[0]) for e in board(folder).Tensors(tag)]


# -- pooling ---------------------------------------------------------------------------------------


def test_pool_returns_every_number_once_in_order(open_book):
    book = open_book()
    losses, scores = torch.randn(7), torch.randn(7, 5)
    for k in range(7):
        penalty = {"penalty": losses[k] * 2} if k % 3 == 0 else {}  # a lazy penalty is not there at every step
        book.add({"loss": losses[k], "score/real": scores[k]} | penalty)
    pooled = book.pool()
    assert list(pooled) == ["loss", "score/real", "penalty"]
    assert torch.equal(pooled["loss"], losses)
    assert torch.equal(pooled["score/real"], scores.flatten())
    assert torch.equal(pooled["penalty"], losses[[0, 3, 6]] * 2)
    assert book.pool() == {}


def test_pool_keeps_the_precision_of_the_finest_number(open_book):
    book = open_book()
    fine, coarse = torch.tensor(1 + 1e-12, dtype=torch.float64), torch.tensor(1.5, dtype=torch.bfloat16)
    book.add({"fine": fine, "coarse": coarse})
    pooled = book.pool()
    assert pooled["fine"].item() == fine.item() and pooled["coarse"].item() == 1.5


# -- the record ------------------------------------------------------------------------------------


def test_a_resumed_run_has_every_step_once(open_book, tmp_path):
    first = open_book()
    for step in range(10):
        first.scalars(step, {LOSS: step})
    first.scalars(6, {"eval/kid": 6})
    resumed = open_book(start=6)
    for step in range(7, 12):
        resumed.scalars(step, {LOSS: step + 0.5})
    expected = [(s, float(s)) for s in range(7)] + [(s, s + 0.5) for s in range(7, 12)]
    assert points(tmp_path) == expected
    assert [(r["step"], r[LOSS]) for r in rows(tmp_path) if LOSS in r] == expected
    assert points(tmp_path, "eval/kid") == [(6, 6.0)]


def test_a_run_restarted_before_its_first_checkpoint_starts_afresh(open_book, tmp_path):
    first = open_book()
    for step in range(3):
        first.scalars(step, {LOSS: step})
    open_book(start=0).scalars(0, {LOSS: 7.0})
    assert points(tmp_path) == [(0, 7.0)] and len(rows(tmp_path)) == 1


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_half_written_row_is_dropped_and_the_next_one_whole(open_book, tmp_path, cut):
    first = open_book()
    first.scalars(1, {LOSS: 1.0})
    first.scalars(2, {LOSS: 2.0})
    first.close()
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    open_book(start=2).scalars(3, {LOSS: 3.0})
    assert [r["step"] for r in rows(tmp_path)] in ([1, 2, 3], [1, 3], [3])
    assert rows(tmp_path)[-1][LOSS] == 3.0


def test_an_untouched_record_is_not_rewritten(open_book, tmp_path):
    open_book().scalars(4, {LOSS: 1.0})
    before = (tmp_path / "metrics.jsonl").stat()
    open_book(start=4)
    after = (tmp_path / "metrics.jsonl").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_numbers_that_are_not_finite_are_null_in_the_record_and_themselves_on_the_board(open_book, tmp_path):
    open_book().scalars(1, {LOSS: math.nan, "game/penalty": -math.inf, "eval/kid": 0.25})
    (row,) = rows(tmp_path)
    assert (row[LOSS], row["game/penalty"], row["eval/kid"]) == (None, None, 0.25)
    assert math.isnan(points(tmp_path)[0][1]) and points(tmp_path, "game/penalty") == [(1, -math.inf)]


def test_time_is_monotonic_and_goes_on_after_a_resume(open_book, tmp_path, monkeypatch):
    clock = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    book = open_book()
    clock[0] = 60.0
    book.scalars(1, {LOSS: 1.0})
    clock[0] = 1000.0  # another process, later
    book = open_book(start=1)
    clock[0] = 1003.0
    book.scalars(2, {LOSS: 1.0})
    assert [r["time"] for r in rows(tmp_path)] == [10.0, 13.0]


# -- TensorBoard -----------------------------------------------------------------------------------


def test_a_clock_set_back_hides_nothing(open_book, tmp_path, monkeypatch):
    first = open_book()
    for step in range(3):
        first.scalars(step, {LOSS: step})
    (file,) = (tmp_path / "tb").iterdir()
    last_written = file.stat().st_mtime + 100
    os.utime(file, (last_written, last_written))
    an_hour_ago = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)
    for start in (2, 3, 4):
        open_book(start=start).scalars(start + 1, {LOSS: start + 1})
    events = board(tmp_path).Tensors(LOSS)
    assert [e.step for e in events] == list(range(6))
    times = [e.wall_time for e in events]
    assert times == sorted(times) and times[2] < last_written <= times[3]


@pytest.mark.parametrize("damage", ["garbage", "empty"])
def test_an_unreadable_event_file_is_set_aside(open_book, tmp_path, damage):
    first = open_book()
    first.scalars(1, {LOSS: 1.0})
    first.close()
    bad = tmp_path / "tb" / "events.out.tfevents.0000000001.elsewhere"
    bad.write_bytes(b"no event" * 40 if damage == "garbage" else b"")
    open_book(start=1).scalars(2, {LOSS: 2.0})
    assert not bad.exists() and len(list((tmp_path / "tb" / ".bad").iterdir())) == 1
    assert points(tmp_path) == [(1, 1.0), (2, 2.0)]


def test_a_torn_event_file_keeps_its_good_part(open_book, tmp_path):
    first = open_book()
    for step in (1, 2, 3):
        first.scalars(step, {LOSS: step})
    first.close()
    (path,) = (tmp_path / "tb").glob("*tfevents*")
    path.write_bytes(path.read_bytes()[:-5])
    open_book(start=2).scalars(3, {LOSS: 3.5})
    assert points(tmp_path) == [(1, 1.0), (2, 2.0), (3, 3.5)]


def test_a_picture_is_the_same_on_disk_and_on_the_board(open_book, tmp_path):
    rgb = torch.randint(256, (5, 7, 3), dtype=torch.uint8)
    book = open_book()
    book.picture(20, "samples", torch.zeros_like(rgb))
    book.picture(300, "samples", rgb)
    folder = tmp_path / "pictures"
    assert sorted(p.name for p in folder.iterdir()) == ["samples-00000020.png", "samples-00000300.png", "samples.png"]
    event = board(tmp_path).Tensors("pictures/samples")[-1]
    width, height, png = event.tensor_proto.string_val
    assert (event.step, width, height) == (300, b"7", b"5")
    for file in (folder / "samples-00000300.png", folder / "samples.png", io.BytesIO(png)):
        assert Image.open(file).tobytes() == rgb.numpy().tobytes() and Image.open(file).size == (7, 5)


def test_a_histogram_counts_every_finite_value(open_book, tmp_path):
    values = torch.cat([torch.randn(1000), torch.tensor([math.nan, math.inf])])
    book = open_book()
    book.histogram(3, "logits/real", values)
    book.histogram(4, "logits/real", torch.tensor([math.nan]))
    (event,) = board(tmp_path).Tensors("logits/real")
    buckets = torch.frombuffer(bytearray(event.tensor_proto.tensor_content), dtype=torch.float32).view(-1, 3)
    assert event.step == 3 and buckets[:, 2].sum() == 1000


def test_hparams_belong_to_the_run_and_name_its_metrics(open_book, tmp_path):
    book = open_book()
    settings = {"optimizer.lr": 2e-4, "steps": 500, "ema": True, "resume": None, "betas": [0.5, 0.9]}
    book.hparams(settings, {})
    assert EXPERIMENT_TAG not in board(tmp_path).Tags()["tensors"]  # else the one with metrics would be ignored
    book.scalars(500, {"eval/frechet": 0.5})
    book.hparams(settings, {"frechet": 0.5})
    read = board(tmp_path)
    metadata = {tag: read.SummaryMetadata(tag).plugin_data.content for tag in (EXPERIMENT_TAG, SESSION_START_INFO_TAG)}
    experiment = parse_experiment_plugin_data(metadata[EXPERIMENT_TAG])
    assert [m.name.tag for m in experiment.metric_infos] == ["eval/frechet"]
    hparams = parse_session_start_info_plugin_data(metadata[SESSION_START_INFO_TAG]).hparams
    assert hparams["optimizer.lr"].number_value == 2e-4 and hparams["steps"].number_value == 500
    assert [hparams[k].string_value for k in ("ema", "resume", "betas")] == ["True", "None", "[0.5, 0.9]"]
    assert not [p for p in (tmp_path / "tb").iterdir() if p.is_dir()]


def test_the_layout_puts_each_metric_beside_its_floor(open_book, tmp_path):
    book = open_book()
    book.layout()
    book.scalars(10, {"eval/kid": 0.1, "reference/kid": 0.01, "eval/entropy": 2.3})
    layouts = board(tmp_path).Tensors("custom_scalars__config__")
    first, last = (e.tensor_proto.string_val[0].decode(errors="replace") for e in layouts)
    assert "Quality" not in first and "G against D" in last
    assert "(eval|reference)/kid$" in last and "entropy" not in last


# -- failures --------------------------------------------------------------------------------------


SINKS = [("Rows", "metrics.jsonl"), ("Events", "TensorBoard"), ("Album", "pictures")]


class Full:
    """A disk that is full as long as `full`; a file that met it stays broken."""

    full = True

    def __init__(self, make):
        self.make = make

    def __call__(self, *args):
        target = self.make(*args)
        target.broken = False
        for name in ("append", "add", "keep", "_write"):
            if hasattr(target, name):
                setattr(target, name, self.guard(target, getattr(target, name)))
        return target

    def guard(self, target, write):
        def guarded(*args, **kwargs):
            target.broken |= self.full
            if target.broken:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(*args, **kwargs)

        return guarded


@pytest.mark.parametrize(("kind", "name"), SINKS)
def test_a_full_disk_warns_once_spares_the_other_sinks_and_heals(open_book, tmp_path, monkeypatch, kind, name):
    book, disk = open_book(), Full(getattr(module, kind))
    book.scalars(0, {LOSS: 0.0})
    book.close()
    monkeypatch.setattr(module, kind, disk)
    with pytest.warns(UserWarning, match=f"{name} failed .*No space left.*training goes on") as caught:
        for step in (1, 2):
            book.scalars(step, {LOSS: step})
            book.picture(step, "samples", torch.zeros(2, 2, 3, dtype=torch.uint8))
    assert len(caught) == 1
    assert (tmp_path / "run.log").read_text().count(" OSError: ") == 1
    disk.full = False
    book.scalars(3, {LOSS: 3})
    book.picture(3, "samples", torch.zeros(2, 2, 3, dtype=torch.uint8))
    assert points(tmp_path) == [(s, float(s)) for s in ((0, 3) if kind == "Events" else range(4))]
    assert [r["step"] for r in rows(tmp_path)] == [*((0, 3) if kind == "Rows" else range(4))]
    assert len(list((tmp_path / "pictures").glob("samples-*"))) == (1 if kind == "Album" else 3)


def test_a_row_torn_by_a_full_disk_is_dropped(open_book, tmp_path):
    book = open_book()
    book.scalars(1, {LOSS: 1.0})

    class Torn:
        def __init__(self, file):
            self.file, self.close = file, file.close

        def write(self, text):
            self.file.write(text[:9])
            raise OSError(errno.ENOSPC, "No space left on device")

    book.rows.target.file = Torn(book.rows.target.file)
    with pytest.warns(UserWarning, match="metrics.jsonl"):
        book.scalars(2, {LOSS: 2.0})
    book.scalars(3, {LOSS: 3.0})
    assert [r["step"] for r in rows(tmp_path)] == [1, 3]
    assert [step for step, _ in points(tmp_path)] == [1, 2, 3]


def test_what_was_written_before_a_failure_in_the_same_step_stays(open_book, tmp_path):
    book = open_book()
    book.scalars(5, {LOSS: 5.0})
    with pytest.warns(UserWarning, match="TensorBoard"):
        book.text("notes", None)  # refused by TensorBoard
    book.scalars(6, {LOSS: 6.0})
    assert points(tmp_path) == [(5, 5.0), (6, 6.0)] and [r["step"] for r in rows(tmp_path)] == [5, 6]


def test_a_folder_that_cannot_be_written_never_raises(open_book, tmp_path):
    for name in ("tb", "pictures", "metrics.jsonl"):
        (tmp_path / name).mkdir() if name.endswith("l") else (tmp_path / name).write_text("in the way")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        book = open_book()
        book.layout()
        book.scalars(1, {LOSS: 1.0})
        book.picture(1, "samples", torch.zeros(2, 2, 3, dtype=torch.uint8))
    assert len([w for w in caught if "training goes on" in str(w.message)]) == 3


# -- the console -----------------------------------------------------------------------------------


def console(tmp_path, stream, **kwargs):
    return Console(5000, 0, log=tmp_path / "run.log", title="digits dcgan r3gan", stream=stream, **kwargs)


def on_terminal(tmp_path, columns, speak):
    """What `speak(console)` sends to a terminal of so many columns."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        speak(console(tmp_path, stream))
    sent = b""
    with suppress(OSError):  # how a terminal says that nothing more will come
        while part := os.read(ours, 4096):
            sent += part
    os.close(ours)
    return sent.decode()


@pytest.mark.parametrize("columns", [30, 60, 80, 120])
def test_the_live_line_fits_the_terminal(tmp_path, monkeypatch, columns):
    monkeypatch.setenv("TERM", "xterm")

    def speak(console):
        for step in (1200, 5000):
            console.next_draw = 0
            console.progress(step, 3210.4, {"discriminator": 1.21, "generator": 0.93})

    drawn = on_terminal(tmp_path, columns, speak).split("\r\x1b[K")[1:]
    assert len(drawn) == 2 and all("\n" not in line and len(line) < columns for line in drawn)
    assert drawn[0].startswith("digits dcgan r3gan  1,200/5,0")
    if columns == 120:
        assert "24% |#######" in drawn[0] and "3,210 img/s  ETA " in drawn[0] and drawn[0].endswith("D 1.21  G 0.93")
        assert " " not in drawn[1].split("|")[1]


def test_on_a_terminal_messages_stand_above_and_the_live_line_is_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")

    def speak(console):
        for step in range(1, 30):
            console.progress(step, 1.0, {})
        console.line("saved")
        console.finish(["the end"])

    sent = on_terminal(tmp_path, 100, speak)
    assert sent.count("img/s") <= 4  # the first, perhaps one a tenth of a second later, the last
    assert "\r\x1b[Ksaved\r\n" in sent
    assert sent.endswith("\r\x1b[Kthe end\r\n")


def test_a_pipe_gets_plain_lines_now_and_then_and_a_last_one(tmp_path, monkeypatch):
    clock, stream = [0.0], io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    talker = console(tmp_path, stream, unit="rows/s")
    for step in range(1, 251):
        clock[0] = step * 0.1
        talker.progress(step, 640.0, {"generator": 0.5})
    talker.finish(["run folder: x"])
    said = stream.getvalue().splitlines()
    assert [line.split("/")[0].split()[-1] for line in said[:3]] == ["100", "200", "250"]
    assert said[0] == "digits dcgan r3gan  100/5,000 2%  640 rows/s  ETA 08:10  G 0.5"
    assert said[3] == "run folder: x" and "\r" not in stream.getvalue()
    logged = (tmp_path / "run.log").read_text().splitlines()
    assert [line[20:] for line in logged] == said


def test_log_writes_to_the_file_alone(tmp_path):
    stream = io.StringIO()
    console(tmp_path, stream).log("two\nlines")
    assert stream.getvalue() == ""
    assert [line[20:] for line in (tmp_path / "run.log").read_text().splitlines()] == ["two", "lines"]


def test_a_lost_log_file_does_not_silence_the_console(tmp_path):
    stream = io.StringIO()
    console(tmp_path / "nowhere", stream).line("hello")
    assert stream.getvalue() == "hello\n"


def test_a_closed_stream_is_ignored_and_the_log_goes_on(tmp_path):
    stream = io.StringIO()
    talker = console(tmp_path, stream)
    stream.close()
    talker.line("one")
    talker.line("two")
    assert len((tmp_path / "run.log").read_text().splitlines()) == 2


def test_a_reader_that_leaves_does_not_change_the_exit_code(tmp_path):
    program = f"""
import time
from pathlib import Path
from gan_runner.console import Console
console = Console(100, 0, log=Path({str(tmp_path)!r}) / "run.log", title="t")
print("first", flush=True)
time.sleep(0.5)
for step in range(50):
    console.line("x" * 5000)
print("left over")
"""
    root = Path(module.__file__).parents[1]
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
    assert run.stdout and run.stderr and run.stdout.readline() == b"first\n"
    run.stdout.close()
    assert (run.wait(timeout=20), run.stderr.read()) == (0, b"")
    run.stderr.close()
    assert len((tmp_path / "run.log").read_text().splitlines()) == 50
