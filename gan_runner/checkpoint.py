"""Checkpoints: built aside, flushed, named, read back. What stands under its final name is whole.

A commit is one folder, `step-00012000/`: `state.pt`, and `manifest.json` with the sha256 of `state.pt` and of itself.
The zip inside `state.pt` would notice none of its flipped bits, and its CRC costs more than the sha256.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import pickle
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BufferedReader, BufferedWriter, FileIO
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import torch
from torch.serialization import get_crc32_options, set_crc32_options

from gan_runner.errors import MissingInput, StorageError, Unsafe
from gan_runner.folder import sync, write_json

SCHEMA = 1
STATE, MANIFEST, BEST = "state.pt", "manifest.json", "best.json"
ABSENT = "(absent)"

T = TypeVar("T")
Saved = tuple[Path, dict[str, Any], dict[str, Any]]
"""(folder of the checkpoint, state, manifest)."""


class Damaged(MissingInput):
    """A checkpoint that is there but is not what was written."""

    def __init__(self, path: Path, why: str):
        super().__init__(f"{path} is damaged: {why}", "use another checkpoint", kept="the other checkpoints", id="F04")


# -- writing ---------------------------------------------------------------------------------------


def save(folder: Path, state: Mapping[str, Any], *, step: int, facts: Mapping[str, Any], keep: int = 2) -> Path:
    """Commit `state` as the checkpoint of `step`; when this returns, it survives a kill and a power failure.

    Only then are older checkpoints deleted, all but the newest `keep` and the best. A good checkpoint of the same
    step is left as it is.

    Args:
        folder: where the checkpoints of a run are; made if missing.
        state: tensors and plain types, as `torch.load(weights_only=True)` takes them back.
        facts: plain JSON data about the run, for the manifest.
        keep: at least 2, since the newest may turn out damaged.

    Raises:
        StorageError: the disk is full, read-only or failing; the older checkpoints are untouched.
    """
    assert keep >= 2
    path, draft = _place(folder, step), folder / f".tmp-{uuid4().hex}"
    try:
        if _stands(path):
            return path
        draft.mkdir(parents=True)
        sync(folder.parent)
        _write(draft, state, {"schema": SCHEMA, "step": step, "torch": str(torch.__version__), "facts": dict(facts)})
        for part in (draft / STATE, draft / MANIFEST, draft):
            sync(part)
        os.rename(draft, path)
        sync(folder)
        if not _stands(path):
            raise OSError(errno.EIO, "the disk gave back other bytes than were written")
    except (OSError, RuntimeError) as error:
        if (why := _disk_error(error)) is None:
            raise
        kept = next((str(p) for p in reversed(steps(folder))), "no checkpoint yet")
        what = f"cannot save step {step:,} in {folder}: {why}"
        raise StorageError(what, "free or repair the disk, then resume", kept=kept, id="F02") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _prune(folder, keep)
    return path


def mark_best(folder: Path, step: int, value: float) -> None:
    """Remember the checkpoint of `step` as the best, by a metric that is `value` there; it is never pruned."""
    write_json(folder / BEST, {"step": step, "metric": value})


def sweep(folder: Path) -> None:
    """Delete what a killed process left behind. Call it under the run's lock: drafts of a live one look the same."""
    for pattern in (".tmp-*", ".trash-*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def go_back(folder: Path, step: int) -> int | None:
    """Put aside, as `.bad-*`, all checkpoints newer than `step`; returns that of the newest left.

    Where none would be left, nothing is done, and the answer is None.
    """
    left = [path for path in steps(folder) if _number(path) <= step]
    for path in steps(folder)[len(left) :] if left else []:
        os.rename(path, path.with_name(f".bad-{path.name}-{uuid4().hex[:8]}"))
    return _number(left[-1]) if left else None


def _write(draft: Path, state: Mapping[str, Any], body: dict[str, Any]) -> None:
    crc = get_crc32_options()
    set_crc32_options(False)
    try:
        with _Hashing(draft / STATE) as file:  # given a name, torch hides the errno of a full disk
            torch.save(dict(state), file)
    finally:
        set_crc32_options(crc)
    body |= {"bytes": (draft / STATE).stat().st_size, "sha256": file.sha256.hexdigest()}
    (draft / MANIFEST).write_text(json.dumps(body | {"seal": _seal(body)}, indent=1), encoding="utf-8")


class _Hashing(BufferedWriter):
    """A new file, and the sha256 of what was meant to be in it."""

    def __init__(self, path: Path):
        super().__init__(FileIO(path, "w"))
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self.sha256.update(data)
        return super().write(data)


def _seal(body: Mapping[str, Any]) -> str:
    """The manifest's own sha256; every schema keeps this rule, so that damage never looks like a newer schema."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _stands(path: Path) -> bool:
    """Whether a good checkpoint is at `path`; a damaged one is put aside, since a name is never overwritten."""
    if path.exists():
        try:
            verify(path)
            return True
        except Damaged as damage:
            _put_aside(path, damage)
    return False


def _prune(folder: Path, keep: int) -> None:
    """Delete all but the newest and the best; what cannot be deleted stays, and training goes on."""
    marked = _marked(folder)
    for path in steps(folder)[:-keep]:
        if not marked or path != marked[0]:
            trash = folder / f".trash-{uuid4().hex}"
            with suppress(OSError):
                os.rename(path, trash)
                shutil.rmtree(trash)


def _disk_error(error: BaseException | None) -> str | None:
    """What the disk said, if it is behind an error: `torch.save` raises a RuntimeError on top of the OSError."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error and (error.strerror or str(error))


# -- reading ---------------------------------------------------------------------------------------


def steps(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first, unverified."""
    return sorted((p for p in folder.glob("step-*") if p.name[5:].isdecimal()), key=_number)


def _patient(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """Ask a failing disk or network file system three times."""

    @functools.wraps(read)
    def again(path: Path, waits: tuple[float, ...] = (0.1, 0.4)) -> T:
        try:
            return read(path)
        except FileNotFoundError as error:
            raise Damaged(path, f"no {Path(error.filename).name}") from error
        except OSError as error:
            if not waits:
                what = f"cannot read {path}: {error.strerror or error}"
                raise StorageError(what, "check the disk", kept="the checkpoints as they are", id="F66") from error
        time.sleep(waits[0])
        return again(path, waits[1:])

    return again


@_patient
def verify(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, after checking every byte against it.

    Raises:
        Damaged: a byte differs, or a file is missing.
        MissingInput: a newer gan_runner wrote it.
        StorageError: the disk cannot be read.
    """
    with open(path / STATE, "rb") as file:
        return _check(path, file)


@_patient
def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(state on the CPU, manifest) of a checkpoint, verified; no code in it is ever run.

    Raises:
        Unsafe: it holds more than tensors and plain types.
        Damaged, MissingInput, StorageError: as `verify`.
    """
    with open(path / STATE, "rb") as file:
        manifest = _check(path, file)
        file.seek(0)
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            what = f"{path / STATE} holds more than tensors and plain types"
            raise Unsafe(what, "use checkpoints of gan_runner only", kept="nothing in it was run", id="F63") from error
    if manifest["torch"] != str(torch.__version__):
        warnings.warn(f"{path} was saved by torch {manifest['torch']}: bits may differ", stacklevel=3)
    return state, manifest


def newest(folder: Path) -> Saved:
    """The newest good checkpoint; damaged ones on the way to it are renamed `.bad-*`, with a warning each.

    Raises:
        MissingInput: there is none.
        Unsafe, StorageError: as `load`.
    """
    for path in reversed(steps(folder)):
        try:
            return path, *load(path)
        except Damaged as damage:
            if not path.exists():  # pruned meanwhile by the run itself
                return newest(folder)
            _put_aside(path, damage)
    raise MissingInput(f"no good checkpoint in {folder}", "start a new run", kept="the folder", id="F04")


def best(folder: Path) -> tuple[int, float] | None:
    """Step and metric of the best checkpoint, if one was marked and is still there."""
    marked = _marked(folder)
    return (_number(marked[0]), marked[1]) if marked else None


def best_saved(folder: Path) -> Saved:
    """The best checkpoint.

    Raises:
        MissingInput: none was marked, or it is gone or damaged.
        Unsafe, StorageError: as `load`.
    """
    marked = _marked(folder)
    if not marked:
        raise MissingInput(f"no best checkpoint in {folder}", "use the newest", kept="the folder", id="F04")
    return marked[0], *load(marked[0])


def _check(path: Path, file: BufferedReader) -> dict[str, Any]:
    """The manifest, once it and the open `state.pt` are known to be what was written."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        sealed = manifest.pop("seal") == _seal(manifest)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Damaged(path, f"{MANIFEST} cannot be read") from error
    if not sealed:
        raise Damaged(path, f"{MANIFEST} was changed")
    if manifest["schema"] > SCHEMA:
        what = f"{path} has format {manifest['schema']}, this gan_runner reads up to {SCHEMA}"
        raise MissingInput(what, "install a newer gan_runner", kept="the checkpoint", id="F09")
    if hashlib.file_digest(file, "sha256").hexdigest() != manifest["sha256"]:
        raise Damaged(path, f"{STATE} has another sha256 than its manifest")
    return manifest


def _put_aside(path: Path, damage: Damaged) -> None:
    warnings.warn(f"{damage.what}; it is renamed .bad-{path.name}-* and not used", stacklevel=3)
    with suppress(OSError):  # a folder that can only be read
        os.rename(path, path.with_name(f".bad-{path.name}-{uuid4().hex[:8]}"))


def _marked(folder: Path) -> tuple[Path, float] | None:
    """The best checkpoint and its metric, if one was marked and is still there."""
    try:
        marked = json.loads((folder / BEST).read_text(encoding="utf-8"))
        path, value = _place(folder, marked["step"]), marked["metric"]
    except (OSError, ValueError, KeyError):
        return None
    return (path, value) if path.exists() else None


def _place(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08}"


def _number(path: Path) -> int:
    return int(path.name[5:])
