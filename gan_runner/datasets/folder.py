"""Any tree of images as a data set."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from gan_runner.datasets.cache import Writer, cached
from gan_runner.datasets.files import absolute, choose, progress, read, require, within
from gan_runner.datasets.pixels import RESIZING, Unreadable, picture
from gan_runner.datasets.spec import Source
from gan_runner.errors import DataError, MissingInput, UsageError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def folder(
    root: str,
    path: str | None,
    size: int = 32,
    channels: int = 3,
    policy: str = "fail",
    labels: str = "auto",
    megapixels: float = 64,
) -> Source:
    """All images under a folder, each cut to its centre square and resized (see `pixels.picture`).

    Args:
        root: the data directory, for the cache of decoded images.
        path: the folder; searched in sorted order, without hidden files. Links must stay inside it.
        size: height and width of the samples in pixels.
        channels: 1 for grey, 3 for RGB.
        policy: "fail" names files that cannot be decoded and stops; "skip" leaves them out and counts them in `notes`.
        labels: "folders" makes each first-level folder a class, "none" makes none, "auto" makes them if every
            image lies in a folder and there are at least two.
        megapixels: larger images are not decoded.

    Returns:
        Images (n, channels, size, size).

    Raises:
        UsageError: an argument is out of range.
        MissingInput: there is no such folder.
        DataError: it holds no images, or broken ones under "fail".
        Unsafe: a link leads out of the folder.
    """
    require(size > 0, "size", size, "choose a number above 0")
    require(channels in (1, 3), "channels", channels, "choose 1 for grey or 3 for RGB")
    require(megapixels > 0, "megapixels", megapixels, "choose a number above 0")
    choose("policy", policy, ("fail", "skip"))
    choose("labels", labels, ("auto", "folders", "none"))
    if path is None:
        raise UsageError("dataset.path is not set", "set it to a folder of images", id="F50")
    top = absolute(path)
    files = search(top)
    names = [file.relative_to(top).parts for file in files]
    classes = first_folders(names, labels, top)
    numbers = [classes.index(parts[0]) for parts in names] if classes else None
    decoder = Decoder(size, channels, megapixels=megapixels, policy=policy)

    def decode(writer: Writer) -> None:
        if classes:
            writer.notes.append(f"classes: {', '.join(classes)}")
        decoder.decode(files, numbers, writer)

    stats = [(parts, (stat := file.stat()).st_size, stat.st_mtime_ns) for parts, file in zip(names, files, strict=True)]
    facts = asdict(decoder) | {"classes": classes, "files": sha256(repr(stats).encode()).hexdigest()}
    return cached(root, top.name or "folder", facts, decode, len(classes))


def search(top: Path) -> list[Path]:
    """The images under `top`, sorted by their names.

    Raises:
        MissingInput: there is no such folder.
        DataError: there are no images in it.
        Unsafe: a link leads out of it.
    """
    if not os.path.isdir(top):  # unlike Path.is_dir, it takes any name
        raise MissingInput(f"there is no folder {top}", "set dataset.path to a folder of images", id="F50")
    found = []
    for place, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [name for name in files if not name.startswith(".") and name.lower().endswith(EXTENSIONS)]
        for link in filter(Path.is_symlink, (Path(place, name) for name in (*folders, *files))):
            within(link, top)
        found += [Path(place, name) for name in files]
    if not found:
        raise DataError(f"there are no images under {top}", f"put files there named {' '.join(EXTENSIONS)}", id="F50")
    return sorted(found)


def first_folders(names: Sequence[tuple[str, ...]], labels: str, top: Path) -> list[str]:
    """The sorted first-level folders as classes; empty where `labels` wants none.

    Raises:
        DataError: `labels` is "folders" and some image lies in none.
    """
    loose = [parts[0] for parts in names if len(parts) == 1]
    classes = sorted({parts[0] for parts in names})
    if labels == "folders" and loose:
        raise DataError(f"{top / loose[0]} is in no class folder", "move it, or set dataset.labels=none", id="F50")
    wanted = labels == "folders" or (labels == "auto" and not loose and len(classes) > 1)
    return classes if wanted else []


@dataclass(frozen=True)
class Decoder:
    """How image files become rows: all that the rows depend on but the files themselves."""

    size: int
    channels: int
    crop: int | None = None
    megapixels: float = 64
    policy: str = "fail"

    def decode(self, files: Sequence[Path], labels: Sequence[int] | None, writer: Writer) -> None:
        """Decode files in their order and add them, with their labels, to `writer`.

        Raises:
            DataError: a file is broken and the policy is "fail", or all of them are.
        """
        broken = []
        for i, result in enumerate(progress(self.pictures(files), len(files), "decoding images")):
            if isinstance(result, np.ndarray):
                writer.add(result[None], None if labels is None else np.array([labels[i]]))
                continue
            broken.append(f"{files[i]} {result}")
            if self.policy == "fail" and len(broken) == 5:
                break
        if broken and (self.policy == "fail" or not writer.rows):
            fix = "repair or replace them; dataset=folder can leave them out: dataset.policy=skip"
            raise DataError("; ".join(broken[:5]), fix, id="F55")
        cut = f"centre {self.crop} px" if self.crop else "centre square"
        writer.notes.append(f"{cut}, {RESIZING} to {self.size} px")
        if broken:
            writer.notes.append(f"skipped {len(broken)} broken files, the first: {broken[0]}")

    def pictures(self, files: Sequence[Path], block: int = 256) -> Iterator[np.ndarray | Unreadable]:
        """Each file's picture (C, size, size) or why there is none; a block at a time, to bound the memory."""
        with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for start in range(0, len(files), block):
                yield from pool.map(self.attempt, files[start : start + block])

    def attempt(self, file: Path) -> np.ndarray | Unreadable:
        """The picture in a file, or why there is none."""
        data = read(file)
        try:
            return picture(data, self.size, self.channels, self.crop, self.megapixels)
        except Unreadable as why:
            return why
