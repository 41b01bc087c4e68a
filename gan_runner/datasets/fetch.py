"""Where published data sets are found, and how they are fetched when the user asks for it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from gan_runner.errors import MissingInput

OFFLINE = "digits, toy2d, huber and stocks need no download"


def locate(name: str, root: Path, names: Sequence[str], places: Sequence[Path], download: bool) -> list[Path]:
    """The files of a data set, plain or gzipped, in the first of `places` that holds all of them.

    Args:
        name: its class in torchvision.datasets.
        root: the data directory, into which it is fetched.
        names: the files, without ".gz".
        places: the folders to look in.
        download: fetch them if no place has them all.

    Raises:
        MissingInput: they are not there, or could not be fetched.
    """
    files = search(names, places)
    if not files and download:
        fetch(name, root, names, places)
        files = search(names, places)
    if not files:
        raise MissingInput(
            f"{name} is not in {' nor in '.join(map(str, places))}, where {', '.join(names)} should be",
            f"put them there or set dataset.download=true; {OFFLINE}",
            id="F50",
        )
    return files


def search(names: Sequence[str], places: Sequence[Path]) -> list[Path]:
    """All of `names`, plain or gzipped, in the first place that has them; empty if none has."""
    for place in places:
        found = [path for n in names for path in (place / n, place / f"{n}.gz") if path.exists()]
        files = {path.name.removesuffix(".gz"): path for path in reversed(found)}
        if len(files) == len(names):
            return [files[n] for n in names]
    return []


def fetch(name: str, root: Path, names: Sequence[str], places: Sequence[Path], attempts: int = 3) -> None:
    """Download with torchvision, which checks digests, into a draft; then move each whole file to its place.

    Of several processes one downloads and the others wait.

    Raises:
        MissingInput: it failed `attempts` times.
    """
    import torchvision  # takes a second

    failure: Exception | None = None
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f"{name}.lock"):
        for attempt in range(attempts):
            if search(names, places):
                return
            try:
                with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as draft:
                    getattr(torchvision.datasets, name)(draft, download=True)
                    move(Path(draft), root)
            except (OSError, RuntimeError) as error:
                failure = error
                time.sleep(2**attempt)
    if not search(names, places):
        raise MissingInput(
            f"{name} could not be downloaded into {root}: {failure}",
            f"check the network, or put the files there by hand; {OFFLINE}",
            id="F52",
        )


def move(source: Path, target: Path) -> None:
    """Every file under `source` to the same place under `target`, each in one piece."""
    for file in [path for path in source.rglob("*") if path.is_file()]:
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
