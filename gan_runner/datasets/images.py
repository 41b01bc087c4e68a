"""The image sets of the literature: digits, MNIST, Fashion-MNIST, CIFAR-10, CelebA."""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_runner.datasets.cache import Writer, cached
from gan_runner.datasets.fetch import locate
from gan_runner.datasets.files import absolute, digest, read, require
from gan_runner.datasets.folder import Decoder
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError, Unavailable

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""


def digits(root: str, size: int = 16) -> Source:
    """The 1,797 handwritten digits that come with scikit-learn (Alpaydin & Kaynak 1998): 8x8 pixels of 0 to 16.

    They are too few to hold any back: there is no `held_out`.

    Args:
        root: not used; here because every image set has it.
        size: height and width, a multiple of 8: pixels are repeated, so averaging gives the originals back.

    Raises:
        UsageError: `size` is not a positive multiple of 8.
        Unavailable: scikit-learn is not installed.
    """
    require(size > 0 and size % 8 == 0, "size", size, "choose a multiple of 8 such as 8, 16 or 32")
    package = importlib.util.find_spec("sklearn")  # importing it takes a second, reading its file four milliseconds
    if package is None or package.origin is None:
        raise Unavailable("the digits come with scikit-learn, which is missing", "pip install scikit-learn", id="F50")
    table = np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",", dtype=np.uint8)
    small = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    data = torch.from_numpy(small.repeat(size // 8, axis=2).repeat(size // 8, axis=3))
    return Source(
        Spec((1, size, size), "image", classes=10),
        data,
        name="digits",
        labels=torch.from_numpy(table[:, 64].astype(np.int64)),
        digest=digest(data),
        notes=("intensity 0..16 scaled to 0..255", f"each of 8x8 pixels repeated to fill {size}x{size}"),
    )


def mnist(root: str, size: int = 32, download: bool = False) -> Source:
    """Handwritten digits (LeCun et al. 1998): 60,000 of 28x28 pixels, 10,000 held out.

    Args:
        root: the data directory; the files are in `<root>/MNIST/raw`, plain or gzipped.
        size: 28 as they are, 32 with a black frame of two pixels, 16, 8 or 4 averaged from 32.
        download: fetch them if they are not there.

    Raises:
        UsageError: `size` is another.
        MissingInput: the files are not there.
        DataError: they are not what they should be.
    """
    return idx("mnist", "MNIST", root, size, download)


def fashion(root: str, size: int = 32, download: bool = False) -> Source:
    """Photographs of clothes (Xiao et al. 2017): 60,000 of 28x28 pixels, 10,000 held out; otherwise like `mnist`.

    The files are in `<root>/FashionMNIST/raw`, or come with Debian's package dataset-fashion-mnist.
    """
    return idx("fashion", "FashionMNIST", root, size, download, DEBIAN_FASHION)


def cifar10(root: str, size: int = 32, download: bool = False) -> Source:
    """Colour photographs of ten kinds of things (Krizhevsky 2009): 50,000 of 32x32 pixels, 10,000 held out.

    The files are pickles, which can hold code: they are opened only once their md5 is the published one.

    Args:
        root: the data directory; the files are in `<root>/cifar-10-batches-py`.
        size: 32, or 16, 8 or 4 averaged from it.
        download: fetch them if they are not there.

    Raises:
        UsageError: `size` is another.
        MissingInput: the files are not there.
        DataError: they are not the published ones.
    """
    require(size in (32, 16, 8, 4), "size", size, "choose 32, 16, 8 or 4")
    home = absolute(root)
    place = home / "cifar-10-batches-py"
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    files = locate("CIFAR10", home, names, [place], download)

    def decode(writer: Writer, train: bool) -> None:
        from torchvision.datasets import CIFAR10  # takes a second, and the cache spares it

        try:
            batches = CIFAR10(str(home), train=train)
        except RuntimeError as error:
            raise DataError(
                f"the files in {place} do not have the published md5, so they are not opened",
                "delete them and set dataset.download=true",
                id="F52",
            ) from error
        writer.add(shrink(batches.data.transpose(0, 3, 1, 2), size), np.array(batches.targets))

    return two_splits("cifar10", home, {"size": size}, files, decode, classes=10)


def celeba(root: str, size: int = 64, crop: int = 148, download: bool = False) -> Source:
    """Aligned faces of celebrities (Liu et al. 2015): 162,770 of 178x218 pixels, the test split's 19,962 held out.

    Args:
        root: the data directory; `<root>/celeba` holds `img_align_celeba/` and `list_eval_partition.txt`.
        size: height and width in pixels, by Pillow's antialiased bicubic.
        crop: side of the centre square that is kept, in pixels of the original. Published FIDs depend on it.
        download: fetch them if they are not there; needs the package gdown.

    Raises:
        UsageError: `size` or `crop` is out of range.
        MissingInput: the files are not there.
        DataError: a file is broken.
    """
    require(size > 0, "size", size, "choose a number above 0")
    require(0 < crop <= 178, "crop", crop, "choose 1 to 178; the literature has 148, 140 and 108")
    home = absolute(root)
    names = ["list_eval_partition.txt", "img_align_celeba"]
    partition, images = locate("CelebA", home, names, [home / "celeba"], download)
    decoder = Decoder(size, channels=3, crop=crop)

    def decode(writer: Writer, train: bool) -> None:
        split = "0" if train else "2"
        lines = [line.split() for line in read(partition).decode(errors="replace").splitlines()]
        chosen = [images / line[0] for line in lines if line[1:] == [split]]
        if not chosen:
            raise DataError(f"{partition} names no image of split {split}", "fetch it again", id="F50")
        decoder.decode(chosen, None, writer)

    return two_splits("celeba", home, asdict(decoder), [partition, images], decode)


def idx(name: str, official: str, root: str, size: int, download: bool, *elsewhere: Path) -> Source:
    """MNIST or a set in its format."""
    require(size in (32, 28, 16, 8, 4), "size", size, "choose 32, 28, 16, 8 or 4")
    home = absolute(root)
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    places = [home / official / "raw", *elsewhere]
    files = locate(official, home, [f"{part}-ubyte" for part in parts], places, download)

    def decode(writer: Writer, train: bool) -> None:
        pair = files[:2] if train else files[2:]
        images, labels = map(read_idx, pair)
        if images.shape != (len(labels), 28, 28):
            raise DataError(f"{pair[0]} of shape {images.shape} does not fit {pair[1]}", "fetch them again", id="F52")
        if size != 28:
            images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
            writer.notes.append("28x28 framed with 0 to 32x32")
        writer.add(shrink(images[:, None], size), labels)

    return two_splits(name, home, {"size": size}, files, decode, classes=10)


def two_splits(
    name: str,
    root: Path,
    facts: Mapping[str, Any],
    files: Sequence[Path],
    decode: Callable[[Writer, bool], None],
    classes: int = 0,
) -> Source:
    """The training rows, and held out the test rows, each from its own cache; new files make a new one."""
    stats = [[file.name, (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files]
    facts = {**facts, "files": stats}
    train = cached(root, name, facts, lambda writer: decode(writer, True), classes)
    return replace(train, held_out=cached(root, f"{name}-test", facts, lambda writer: decode(writer, False), classes))


def shrink(images: np.ndarray, size: int) -> np.ndarray:
    """Images (n, C, H, H) at (n, C, size, size): the mean of blocks of pixels, rounded; H must be a multiple."""
    n, channels, height, _ = images.shape
    if size == height:
        return images
    k = height // size
    return np.rint(images.reshape(n, channels, size, k, size, k).mean((3, 5))).astype(np.uint8)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an IDX file, plain or gzipped (LeCun's format: magic, sizes, values).

    Raises:
        DataError: it is no such file, or its values are too few or too many.
    """
    data = read(path)
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        if data[:3] != b"\0\0\x08":
            raise ValueError("its first bytes are not those of IDX")
        shape = np.frombuffer(data, ">u4", count=data[3], offset=4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is no whole IDX file ({error})", "delete it and fetch it again", id="F52") from error
