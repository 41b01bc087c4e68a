"""The run folder: a name nobody else has, a lock that dies with its process, files that are whole or not there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from gan_runner.errors import CannotCreate, StorageError, Unsafe

CHECKPOINTS = "ckpt"
"""Where a run folder keeps its checkpoints; see `gan_runner.checkpoint`."""

# -- names -----------------------------------------------------------------------------------------


def create(root: Path, name: str) -> Path:
    """A new folder `root/name/<date>_<time>-<µs>-<random>` that is nobody else's, however many start at once.

    Raises:
        Unsafe: `name` leads out of `root`.
        CannotCreate: the folder cannot be made.
    """
    parent = inside(root, name)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            path = parent / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}-{secrets.token_hex(2)}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            sync(parent)
            return path
    except OSError as error:
        raise _cannot_create(parent, error) from error


def explicit(path: Path) -> Path:
    """The folder that the user named as run.dir, made if missing.

    Raises:
        Unsafe: a NUL character in the name.
        CannotCreate: it cannot be made, or holds another run's checkpoints, which must not be mixed with new ones.
    """
    if "\0" in str(path):
        raise Unsafe(f"run.dir={str(path)!r} has a NUL character", "choose another name", id="F65")
    path = path.expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_create(path, error) from error
    if any(path.glob(f"{CHECKPOINTS}/step-*")):
        with Lock(path):  # whoever is at work there is named rather than what lies there
            pass
        raise CannotCreate(
            f"run.dir={path} holds a run already", "add resume=auto or choose another", kept="that run", id="F42"
        )
    return path


def inside(root: Path, name: str) -> Path:
    """`root/name`, resolved; parts of more than 255 bytes are shortened and end in a hash of the whole.

    Raises:
        Unsafe: `name` is absolute, has `..` or NUL, or follows a link out of `root`.
    """
    wanted, root = Path(name), root.expanduser().resolve()
    lost = "\0" in name or wanted.is_absolute() or ".." in wanted.parts
    path = root if lost else root.joinpath(*map(_short, wanted.parts)).resolve()
    if lost or not path.is_relative_to(root):
        raise Unsafe(f"run.name={name!r} leads out of {root}", "choose a relative name without '..'", id="F65")
    return path


def _short(part: str) -> str:
    data = part.encode(errors="surrogateescape")
    if len(data) <= 255:
        return part
    return f"{data[:200].decode(errors='ignore')}-{hashlib.sha256(data).hexdigest()[:16]}"


def unfinished(root: Path, fingerprint: str) -> Path | None:
    """The run of this fingerprint under `root` (three levels) that was active last and can be gone on with.

    That is one which is not completed, which no process has locked, and which holds a checkpoint.
    """
    found = [p for level in ("*", "*/*", "*/*/*") for p in root.expanduser().glob(f"{level}/status.json")]
    for path in sorted(found, key=lambda p: p.stat().st_mtime_ns, reverse=True):
        place, status = path.parent.resolve(), Status(path.parent).read()
        same = status.get("fingerprint") == fingerprint and status.get("state") != "completed"
        if same and any(place.glob(f"{CHECKPOINTS}/step-*")) and not locked(place):
            return place
    return None


# -- the lock --------------------------------------------------------------------------------------


class Lock:
    """An exclusive hold on a run folder while it is entered; the kernel lets go of it however the process ends.

    `run.lock` stays behind: removing it would let a third process lock a file that the second no longer sees.
    Where the file system knows no locks, a file made exclusively stands in, with a warning.

    Raises:
        CannotCreate: another process holds it; the message names its pid, host and start.
    """

    def __init__(self, folder: Path):
        self.path, self.lease = folder / "run.lock", folder / "run.lease"

    def __enter__(self) -> Lock:
        try:
            self._file = open(self.path, "a")
            self._take()
            self._file.truncate(0)
            self._file.write(_myself())
            self._file.flush()
        except OSError as error:
            raise _cannot_create(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with suppress(OSError):
            self.lease.unlink()

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise self._held(read_json(self.path)) from error
        except OSError as error:
            warnings.warn(f"{self.path} cannot be locked ({error.strerror}): {self.lease.name} stands in", stacklevel=3)
            self._take_lease()

    def _take_lease(self) -> None:
        try:
            with open(self.lease, "x") as file:
                file.write(_myself())
        except FileExistsError as error:
            holder = read_json(self.lease)
            if _alive(holder):
                raise self._held(holder) from error
            self.lease.unlink(missing_ok=True)
            self._take_lease()

    def _held(self, holder: Mapping[str, Any]) -> CannotCreate:
        pid, host, start = (holder.get(k, "?") for k in ("pid", "host", "start"))
        what = f"{self.path.parent} is in use by process {pid} on {host} since {start}"
        return CannotCreate(what, "wait for that run or choose another run.dir", kept="that run", id="F42")


def locked(folder: Path) -> bool:
    """Whether a live process holds the lock of a run folder."""
    try:
        with open(folder / "run.lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # never locked, or a file system without locks
        pass
    return _alive(read_json(folder / "run.lease"))


def _myself() -> str:
    start = datetime.now().astimezone().isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "start": start})


def _alive(holder: Mapping[str, Any]) -> bool:
    """Whether the process of a lease runs; one on another host is taken to."""
    if not holder or holder.get("host") != socket.gethostname():
        return bool(holder)
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        pass
    return True


# -- room and rights -------------------------------------------------------------------------------


def probe(path: Path) -> None:
    """Write, flush, rename and delete a file where `path` is or will be; nothing stays.

    Raises:
        CannotCreate: one of these failed.
    """
    place = _existing(path)
    trial = place / f".probe-{secrets.token_hex(4)}"
    try:
        _write(trial, "probe")
        trial.unlink()
    except OSError as error:
        raise _cannot_create(path, error) from error


def room(path: Path, needed: int) -> None:
    """Refuse a disk with fewer than `needed` bytes left for `path`.

    Raises:
        StorageError: it has fewer.
    """
    free = shutil.disk_usage(_existing(path)).free
    if free < needed:
        raise StorageError(
            f"{path} has {free >> 20:,} MiB of room and this run needs {-(-needed >> 20):,} MiB",
            "free some space, choose another run.root, or set run.preflight=false",
            kept="everything on the disk",
            id="F62",
        )


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    path = path.expanduser().absolute()
    return next(p for p in (path, *path.parents) if os.path.exists(p))  # unlike Path.exists, it takes any name


def _cannot_create(path: Path, error: OSError) -> CannotCreate:
    what = f"{path} cannot be written: {error.strerror or error}"
    return CannotCreate(what, "choose a run.root or run.dir that can be written", id="F03")


# -- files -----------------------------------------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    """Put `text` at `path`: whoever reads, whenever the power fails, finds the old text or the new.

    Raises:
        StorageError: it could not be written.
    """
    try:
        _write(path, text)
    except OSError as error:
        what = f"cannot write {path}: {error.strerror or error}"
        raise StorageError(what, "free or repair the disk", kept="what it said before", id="F02") from error


def write_json(path: Path, value: Any) -> None:
    """`write_text` of plain data."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none or it cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


class Status:
    """`status.json`: how a run is doing, for programs; launchers hide exit codes."""

    def __init__(self, folder: Path):
        self.path, self._start = folder / "status.json", time.monotonic()

    def write(
        self,
        state: str,
        *,
        step: int,
        exit_code: int | None = None,
        error: str | None = None,
        resumable: bool = True,
        **facts: Any,
    ) -> None:
        """Say how the run is doing; a disk that fails is a warning, for it must not hide what is being said.

        Args:
            state: running, completed, failed, diverged, preempted or interrupted.
            error: the fault's number.
            facts: plain data about the run, among it its "fingerprint".
        """
        said = {"state": state, "step": step, "exit_code": exit_code, "error": error, "resumable": resumable, **facts}
        try:
            write_json(self.path, said | {"seconds": round(time.monotonic() - self._start, 3)})
        except StorageError as fault:
            warnings.warn(f"{fault.what}; it should say {state} at step {step}", stacklevel=2)

    def read(self) -> dict[str, Any]:
        """What was said last; empty where nothing readable is."""
        return read_json(self.path)
