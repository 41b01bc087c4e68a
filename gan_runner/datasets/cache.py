"""Images decoded once: a folder of raw uint8 rows that is memory-mapped, verified and shared between processes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from gan_runner.datasets.files import absolute
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import StorageError
from gan_runner.folder import sync

ROWS, LABELS, MANIFEST = "rows.u8", "labels.i64", "manifest.json"


class Damaged(Exception):
    """A cache that is there but is not what was written."""


class Writer:
    """Takes the rows of one data set as they are decoded; nothing is held in memory but the labels.

    Attributes:
        shape: (channels, height, width) of the rows, known once the first has come.
        notes: one-line facts about the decoding, for the run's manifest.
    """

    def __init__(self, file: BufferedWriter):
        self.shape: tuple[int, ...] = ()
        self.notes: list[str] = []
        self.labels: list[np.ndarray] = []
        self.rows = 0
        self.digest = hashlib.sha256()
        self._file = file

    def add(self, images: np.ndarray, labels: np.ndarray | None = None) -> None:
        """Append images (k, C, H, W) uint8 and, unless the data has none, their labels (k,)."""
        assert images.dtype == np.uint8 and self.shape in ((), images.shape[1:])
        block = np.ascontiguousarray(images)
        self._file.write(block.data)
        self.digest.update(block.data)
        self.shape = images.shape[1:]
        self.rows += len(images)
        if labels is not None:
            self.labels.append(np.asarray(labels, dtype=np.int64))


def cached(
    root: str | Path, name: str, facts: Mapping[str, Any], decode: Callable[[Writer], None], classes: int = 0
) -> Source:
    """The image source that `decode` writes, decoded at most once per `facts` under `<root>/cache`.

    Of several processes one decodes and the others wait; a killed one blocks nobody. A cache whose digest
    does not match is made anew with a warning.

    Args:
        root: the data directory; ~ is expanded.
        name: what to call the source; also the beginning of the folder's name.
        facts: everything the rows depend on, as JSON: sizes, crops, names and dates of the original files.
        decode: adds all rows to a `Writer`.
        classes: number of labels.

    Raises:
        StorageError: the cache cannot be written.
    """
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = absolute(root) / "cache" / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:60]}-{key}"
    try:
        with suppress(FileNotFoundError, Damaged):
            return load(folder, name, classes)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            try:
                return load(folder, name, classes)
            except FileNotFoundError:
                pass
            except Damaged as damage:
                warnings.warn(f"{folder} is damaged ({damage}) and is decoded again", stacklevel=2)
            write(folder, decode, facts)
            return load(folder, name, classes)
    except OSError as error:
        raise StorageError(
            f"cannot keep decoded images in {folder.parent}: {error.strerror or error}",
            "free some space or set data_dir to a folder that can be written",
            id="F02",
        ) from error


def load(folder: Path, name: str, classes: int) -> Source:
    """Map a cache into memory after checking every byte (sha256: about 0.1 s for CIFAR-10).

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is not what was written.
    """
    text = (folder / MANIFEST).read_bytes()
    try:
        manifest = json.loads(text)
        files, shape, notes = manifest["sha256"], tuple(manifest["shape"]), tuple(manifest["notes"])
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{MANIFEST} cannot be read") from error
    for file, expected in files.items():
        with open(folder / file, "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
                raise Damaged(f"{file} has another sha256 than its manifest")
    size = math.prod(shape)
    if size != (folder / ROWS).stat().st_size:
        raise Damaged(f"{ROWS} has another size than its manifest")
    data = torch.from_file(str(folder / ROWS), shared=False, size=size, dtype=torch.uint8).view(shape)
    labels = torch.from_numpy(np.fromfile(folder / LABELS, dtype=np.int64)) if LABELS in files else None
    return Source(
        Spec(shape[1:], "image", classes),
        data,
        name=name,
        labels=labels,
        digest=files[ROWS],
        notes=notes,
    )


def write(folder: Path, decode: Callable[[Writer], None], facts: Mapping[str, Any]) -> None:
    """Decode beside `folder`, make the bytes durable, then give them their name: whole or not there at all."""
    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)  # what a killed process left
    draft.mkdir()
    try:
        with open(draft / ROWS, "wb") as stream:
            rows = Writer(stream)
            decode(rows)
        sha256 = {ROWS: rows.digest.hexdigest()}
        if rows.labels:
            labels = np.concatenate(rows.labels)
            labels.tofile(draft / LABELS)
            sha256[LABELS] = hashlib.sha256(labels.data).hexdigest()
        manifest = {
            "shape": [rows.rows, *rows.shape],
            "sha256": sha256,
            "notes": rows.notes,
            "facts": dict(facts),
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1))
        for path in (*draft.iterdir(), draft):
            sync(path)
        shutil.rmtree(folder, ignore_errors=True)  # only ever a damaged one
        os.rename(draft, folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
