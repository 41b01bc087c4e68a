"""The run folder: nobody else's name, one owner at a time, files that are whole or not there."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gan_runner import folder
from gan_runner.errors import CannotCreate, StorageError, Unsafe

fork = multiprocessing.get_context("fork")


def everything(path: Path) -> set[Path]:
    return set(path.rglob("*"))


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


# -- names -----------------------------------------------------------------------------------------


def test_twenty_processes_at_once_make_twenty_folders(tmp_path: Path) -> None:
    gate, made = fork.Barrier(20), fork.Queue()

    def start() -> None:
        gate.wait()
        made.put(folder.create(tmp_path, "digits"))

    children = [fork.Process(target=start) for _ in range(20)]
    for child in children:
        child.start()
    paths = {made.get(timeout=10) for _ in children}
    for child in children:
        child.join()
    assert len(paths) == 20 and all(p.is_dir() and p.parent == tmp_path / "digits" for p in paths)


def test_a_name_that_exists_is_never_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(folder.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(2026, 1, 2, 3, 4, 5, 6)

    words = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(folder, "datetime", Stopped)
    monkeypatch.setattr(folder.secrets, "token_hex", lambda _: next(words))
    flushed: list[Path] = []
    monkeypatch.setattr(folder, "sync", flushed.append)
    names = [folder.create(tmp_path, "run").name for _ in range(2)]
    assert flushed == [tmp_path / "run"] * 2
    assert names == ["2026-01-02_03-04-05-000006-aaaa", "2026-01-02_03-04-05-000006-bbbb"]


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "a/..", "/x", "a\0b", "link", "link/x"])
def test_a_name_cannot_lead_out_of_its_root(tmp_path: Path, name: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir(), outside.mkdir()
    (root / "link").symlink_to(outside)
    before = everything(tmp_path)
    with pytest.raises(Unsafe, match="F65") as refusal:
        folder.create(root, name)
    assert refusal.value.code == 77 and everything(tmp_path) == before


@pytest.mark.parametrize("name", ["digits", "a/b/c", "", "with space=1,b", "x" * 255, "x" * 300, "ü" * 200])
def test_any_other_name_is_taken(tmp_path: Path, name: str) -> None:
    path = folder.create(tmp_path, name)
    assert path.is_dir() and path.parent.is_relative_to(tmp_path)
    short = all(len(part.encode()) <= 255 for part in name.split("/"))
    assert (path.parent == tmp_path / name) == short


def test_long_names_that_differ_stay_different(tmp_path: Path) -> None:
    assert folder.inside(tmp_path, "x" * 300 + "a") != folder.inside(tmp_path, "x" * 300 + "b")


def test_an_explicit_folder_is_made_and_never_shared_with_an_older_run(tmp_path: Path) -> None:
    path = folder.explicit(tmp_path / "a" / "b")
    assert path.is_dir() and folder.explicit(path) == path
    (path / "ckpt" / "step-00000001").mkdir(parents=True)
    with pytest.raises(CannotCreate, match="holds a run already"):
        folder.explicit(path)
    with pytest.raises(Unsafe, match="F65"):
        folder.explicit(Path("a\0b"))


# -- which run to go on with -----------------------------------------------------------------------


def run_folder(path: Path, state: str = "running", fingerprint: str = "f", checkpoint: bool = True) -> Path:
    path.mkdir(parents=True)
    folder.Status(path).write(state, step=1, fingerprint=fingerprint)
    if checkpoint:
        (path / "ckpt" / "step-00000001").mkdir(parents=True)
    run_folder.clock = getattr(run_folder, "clock", 10**18) + 1  # type: ignore[attr-defined]
    os.utime(path / "status.json", ns=(run_folder.clock, run_folder.clock))  # type: ignore[attr-defined]
    return path


def test_the_unfinished_run_active_last_is_found(tmp_path: Path) -> None:
    assert folder.unfinished(tmp_path / "nowhere", "f") is None
    deepest = run_folder(tmp_path / "a" / "b" / "c", "interrupted")
    run_folder(tmp_path / "a" / "b" / "c" / "d")
    run_folder(tmp_path / "x1", "completed")
    run_folder(tmp_path / "x2", fingerprint="g")
    run_folder(tmp_path / "x3", checkpoint=False)
    broken = run_folder(tmp_path / "x4")
    (broken / "status.json").write_text('{"state": "runn')
    assert folder.unfinished(tmp_path, "f") == deepest
    newer = run_folder(tmp_path / "y", "preempted")
    assert folder.unfinished(tmp_path, "f") == newer
    with folder.Lock(newer):
        assert folder.unfinished(tmp_path, "f") == deepest
    assert folder.unfinished(tmp_path, "f") == newer


# -- the lock --------------------------------------------------------------------------------------


def hold(path: Path, ready: Any, done: Any) -> None:
    with folder.Lock(path):
        ready.set()
        done.wait()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Any]:
    """A process that holds the lock of `tmp_path`."""
    ready, done = fork.Event(), fork.Event()
    child = fork.Process(target=hold, args=(tmp_path, ready, done))
    child.start()
    assert ready.wait(10)
    yield child
    child.kill()
    child.join()


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path, holder: Any) -> None:
    with pytest.raises(CannotCreate, match="F42") as refusal, folder.Lock(tmp_path):
        pass
    start = json.loads((tmp_path / "run.lock").read_text())["start"]
    assert refusal.value.code == 73 and folder.locked(tmp_path)
    assert f"process {holder.pid} on {socket.gethostname()} since {start}" in str(refusal.value)


def test_a_killed_process_holds_nothing(tmp_path: Path, holder: Any) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert not folder.locked(tmp_path)
    with folder.Lock(tmp_path):
        assert folder.locked(tmp_path)
    with folder.Lock(tmp_path):
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()


@pytest.mark.filterwarnings("ignore:.*stands in")
def test_a_lease_stands_in_where_nothing_can_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder.fcntl, "flock", failing(errno.ENOLCK))
    with pytest.warns(UserWarning, match="stands in"), folder.Lock(tmp_path):
        assert folder.locked(tmp_path)
        with pytest.raises(CannotCreate, match=f"process {os.getpid()} "), folder.Lock(tmp_path):
            pass
        assert folder.locked(tmp_path)  # the refused one has not taken it away
    assert not folder.locked(tmp_path)

    gone = fork.Process(target=int)
    gone.start(), gone.join()
    here = {"pid": gone.pid, "host": socket.gethostname()}
    (tmp_path / "run.lease").write_text(json.dumps(here))
    with folder.Lock(tmp_path):
        assert json.loads((tmp_path / "run.lease").read_text())["pid"] == os.getpid()
    (tmp_path / "run.lease").write_text(json.dumps(here | {"host": "another"}))
    with pytest.raises(CannotCreate, match="on another"), folder.Lock(tmp_path):
        pass


# -- room and rights -------------------------------------------------------------------------------


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    folder.probe(tmp_path)
    folder.probe(tmp_path / "not" / "yet")
    assert everything(tmp_path) == set()


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(folder.os, call, failing(errno.EROFS))
        with pytest.raises(CannotCreate, match=r"F03.*Read-only") as refusal:
            folder.probe(tmp_path / "run")
    assert refusal.value.code == 73 and everything(tmp_path) == set()


def test_a_file_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for make in (folder.probe, folder.explicit, lambda p: folder.create(p, "x"), lambda p: folder.Lock(p).__enter__()):
        with pytest.raises(CannotCreate):
            make(tmp_path / "file" / "run")


@pytest.mark.root
def test_a_read_only_disk_is_refused(tmpfs: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    with pytest.raises(CannotCreate, match=r"F03.*Read-only"):
        folder.probe(tmpfs / "outputs")


def test_a_small_disk_is_refused_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 5 << 20})
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: usage)
    folder.room(tmp_path / "run", 5 << 20)
    with pytest.raises(StorageError, match=r"F62.* has 5 MiB of room and this run needs 6 MiB") as refusal:
        folder.room(tmp_path / "run", (5 << 20) + 1)
    assert refusal.value.code == 74


# -- files -----------------------------------------------------------------------------------------


def test_a_file_reaches_the_disk_before_its_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, fsync, replace = [], os.fsync, os.replace

    def spy_fsync(descriptor: int) -> None:
        told.append("folder" if os.readlink(f"/proc/self/fd/{descriptor}") == str(tmp_path) else "file")
        fsync(descriptor)

    def spy_replace(old: Any, new: Any, **_: Any) -> None:
        told.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    folder.write_json(tmp_path / "a.json", {"x": [1]})
    assert told == ["file", "rename", "folder"] and json.loads((tmp_path / "a.json").read_text()) == {"x": [1]}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    folder.write_text(tmp_path / "a", "old")
    monkeypatch.setattr(folder.os, call, failing(errno.ENOSPC))
    with pytest.raises(StorageError, match=r"F02.*cannot write .*/a: No space left"):
        folder.write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old" and everything(tmp_path) == {tmp_path / "a"}


def rewrite(path: Path) -> None:
    for n in range(10**9):
        folder.write_json(path, {"n": n, "padding": "x" * 20_000})


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    folder.write_json(path, {"n": -1})
    writer = fork.Process(target=rewrite, args=(path,))
    writer.start()
    until, seen = time.monotonic() + 1, set()
    while time.monotonic() < until:
        seen.add(json.loads(path.read_text())["n"])
    writer.kill()
    writer.join()
    assert len(seen) > 10


# -- the status ------------------------------------------------------------------------------------


def test_a_status_says_what_it_was_told(tmp_path: Path) -> None:
    status = folder.Status(tmp_path)
    assert status.read() == {}
    status.write("failed", step=7, exit_code=74, error="F02", fingerprint="f")
    told = {"state": "failed", "step": 7, "exit_code": 74, "error": "F02", "resumable": True, "fingerprint": "f"}
    assert told.items() <= folder.Status(tmp_path).read().items()
    for garbage in (b"", b"{", b"[1]", b"\xff\xfe"):
        (tmp_path / "status.json").write_bytes(garbage)
        assert status.read() == {}


def test_durations_do_not_follow_the_wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 142.5])
    monkeypatch.setattr(folder.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(folder.time, "time", lambda: pytest.fail("the wall clock may jump"))
    status = folder.Status(tmp_path)
    status.write("running", step=1)
    assert status.read()["seconds"] == 42.5


def test_a_full_disk_does_not_hide_what_the_status_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder.os, "fsync", failing(errno.ENOSPC))
    with pytest.warns(UserWarning, match="No space left.* failed at step 7"):
        folder.Status(tmp_path).write("failed", step=7)
