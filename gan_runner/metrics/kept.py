"""What was costly to find, kept in the data directory: a file for each, its own sha256 in its name."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from gan_runner.errors import StorageError


def kept(root: str, recipe: bytes, what: str, make: Callable[[], bytes]) -> bytes:
    """What `make` returns, made once for each recipe; of several processes one makes it and the others wait.

    Args:
        root: the data directory; the files are in its folder `features`.
        recipe: all that decides the content.
        what: what it is, for messages.

    Raises:
        StorageError: `root` cannot be written.
    """
    folder, key = Path(root).expanduser() / "features", hashlib.sha256(recipe).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):
            return find(folder, key) or keep(folder, key, make())
    except OSError as error:
        why = f"cannot keep {what} in {folder}: {error.strerror or error}"
        raise StorageError(why, "set data_dir to a folder that can be written", id="F02") from error


def find(folder: Path, key: str) -> bytes | None:
    """The file kept under `key`, if its bytes are what was written; otherwise it is removed."""
    for path in folder.glob(f"{key}-*.pt"):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == path.stem.removeprefix(f"{key}-"):
            return content
        warnings.warn(f"{path} is damaged; its content is made again", stacklevel=3)
        path.unlink()
    return None


def keep(folder: Path, key: str, content: bytes) -> bytes:
    """Write a file under `key` and its own sha256, whole or not at all; returns its content."""
    path = folder / f"{key}-{hashlib.sha256(content).hexdigest()}.pt"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
    return content
