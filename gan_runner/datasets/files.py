"""Reading what the user points at: absolute names in every message, patience with network file systems."""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from gan_runner.errors import MissingInput, StorageError, Unsafe, UsageError

T = TypeVar("T")

HOPELESS = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)
"""What a second attempt to read would not change."""


def absolute(path: str | Path) -> Path:
    """`path` with ~ expanded and links resolved."""
    return Path(os.path.realpath(Path(path).expanduser()))  # unlike Path.resolve, it takes links that form a circle


def read(path: Path, attempts: int = 3, wait: float = 0.1) -> bytes:
    """The bytes of a file; a failing disk or network file system is asked again, after a wait that grows fourfold.

    Raises:
        MissingInput: there is no such file, or it may not be read.
        StorageError: the last attempt failed, too.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in HOPELESS:
            raise MissingInput(f"{path}: {error.strerror}", "name an existing, readable file", id="F50") from error
        if attempts == 1:
            raise StorageError(f"cannot read {path}: {error.strerror}", "check the disk", id="F66") from error
    time.sleep(wait)
    return read(path, attempts - 1, 4 * wait)


def within(link: Path, root: Path) -> None:
    """Refuse a link that leads out of `root`.

    Raises:
        Unsafe: it does.
        MissingInput: it leads nowhere.
    """
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # the latter where links form a circle
        raise MissingInput(f"{link} is a link to nothing", "repair or remove it", id="F50") from error
    if not target.is_relative_to(root):
        raise Unsafe(f"{link} is a link to {target}, outside {root}", "copy the file into the folder", id="F65")


def require(holds: bool, name: str, value: Any, remedy: str) -> None:
    """Refuse an argument of a data set unless a condition holds.

    Raises:
        UsageError: naming its configuration key.
    """
    if not holds:
        raise UsageError(f"dataset.{name}={value} is out of range", remedy, id="F61")


def choose(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse an argument of a data set that is none of the allowed words.

    Raises:
        UsageError: naming its configuration key and the nearest word.
    """
    words = list(allowed)
    if value not in words:
        raise UsageError(f"dataset.{name}={value} is unknown", nearest(value, words), id="F60")


def nearest(name: str, names: Iterable[str]) -> str:
    """Advice for an unknown name: the most similar ones, or all of them."""
    known = {str(n).lower(): str(n) for n in names}
    close = [known[n] for n in difflib.get_close_matches(str(name).lower(), known)]
    return f"did you mean {' or '.join(close)}?" if close else f"choose from {', '.join(known.values())}"


def digest(tensor: Tensor) -> str:
    """Hex sha256 of a tensor's values in row-major order."""
    return hashlib.sha256(np.ascontiguousarray(tensor.numpy()).data).hexdigest()


def progress(items: Iterable[T], total: int, doing: str, every: float = 2.0) -> Iterator[T]:
    """`items`, with a line on stderr every couple of seconds."""
    due = time.monotonic() + every
    for done, item in enumerate(items):
        if time.monotonic() >= due:
            print(f"{doing}: {done:,} of {total:,}", file=sys.stderr, flush=True)
            due = time.monotonic() + every
        yield item
