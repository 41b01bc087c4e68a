"""The smallest valid files of each data set, and price files that are wrong in every way we could think of."""

from __future__ import annotations

import gzip
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import torchvision
from PIL import Image

GOOD = "Date,A,B\n2020-01-01,10,20\n2020-01-02,11,21\n2020-01-03,12,20\n2020-01-06,11,22\n2020-01-07,13,21\n"

BAD_PRICES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ("line 1", "empty")),
    "blank": (b"\n \n\n", ("line 1", "empty")),
    "header only": (b"Date,A\n", ("line 1", "below the header")),
    "no header": (b"2020-01-01,10\n2020-01-02,11\n", ("line 1", "names")),
    "ragged": (b"Date,A\n2020-01-01,10\n2020-01-02\n", ("line 3", "1 cells", "has 2", "','")),
    "one cell too many": (b"Date,A\n2020-01-01,10,5\n2020-01-02,11\n", ("line 2", "3 cells")),
    "another delimiter below": (b"Date;A\n2020-01-01,10\n2020-01-02,11\n", ("line 2", "delimiter ';'")),
    "space delimited": (b"Date A\n2020-01-01 10\n2020-01-02 11\n", ("line 2", "no column holds numbers")),
    "twice the same name": (b"Date,A,A\n2020-01-01,1,2\n", ("line 1", "two columns", "'A'")),
    "text among numbers": (b"Date,A\n2020-01-01,10\n2020-01-02,ten\n", ("line 3", "'A'", "'ten'")),
    "text after blank lines": (b"Date,A\n\n\n2020-01-01,10\n\n2020-01-02,ten\n", ("line 6", "'A'", "'ten'")),
    "footer": (b"Date,A\n2020-01-01,10\nSource: us,\n", ("line 3", "'Date'", "'Source: us'")),
    "no numbers": (b"Date,A\n2020-01-01,x\n2020-01-02,y\n", ("line 2", "no column holds numbers")),
    "a gap": (b"Date,A\n2020-01-01,10\n2020-01-02,\n2020-01-03,11\n", ("line 3", "'A'", "gap")),
    "NaN": (b"Date,A\n2020-01-01,10\n2020-01-02,NaN\n2020-01-03,11\n", ("line 3", "'A'", "gap")),
    "infinite": (b"Date,A\n2020-01-01,10\n2020-01-02,inf\n2020-01-03,11\n", ("line 3", "'A'", "'inf'")),
    "too large": (b"Date,A\n2020-01-01,10\n2020-01-02,1e999\n", ("line 3", "'A'", "no price")),
    "zero": (b"Date,A\n2020-01-01,10\n2020-01-02,0\n", ("line 3", "'A'", "'0' is no price")),
    "negative": (b"Date,A\n2020-01-01,-10\n2020-01-02,1\n", ("line 2", "'A'", "'-10'")),
    "no date": (b"Date,A\n2020-01-01,10\n2020-13-01,11\n", ("line 3", "'Date'", "'2020-13-01'")),
    "a date twice": (b"Date,A\n2020-01-01,10\n2020-01-02,11\n2020-01-01,12\n", ("line 4", "line 2 too")),
    "mixed decimal marks": (b"Date;A\n2020-01-01;10,5\n2020-01-02;1,234.5\n", ("line 3", "'A'", "decimal ','")),
    "open quote": (b'Date,A\n2020-01-01,"10\n2020-01-02,11\n', ("line 3",)),
    "binary": (b"PK\3\4\n\0\0\0", ("line 2", "no text")),
    "half a gzip": (gzip.compress(GOOD.encode())[:-9], ("damaged gzip",)),
}
"""Name -> the file, and what its refusal must mention."""


ROWS = "size,colour,price\n1.5,red,10\n2.5,blue,20\n3.5,red,31\n4.5,blue,42\n"


def changed(old: str, new: str, text: str = ROWS) -> bytes:
    """A good table with a mistake."""
    assert text.count(old) == 1, old
    return text.replace(old, new).encode()


def columns(**cells: object) -> bytes:
    """Twelve rows of a column of numbers and of others, by a function of the row."""
    made = {"x": lambda i: i * i + 0.5, **cells}
    rows = [",".join(str(cell(i)) for cell in made.values()) for i in range(12)]  # type: ignore[operator]
    return "\n".join([",".join(made), *rows]).encode()


BAD_TABLES: dict[str, tuple[bytes, dict[str, object], tuple[str, ...]]] = {
    "empty": (b"", {}, ("line 1", "empty")),
    "blank": (b"\n \n\n", {}, ("line 1", "empty")),
    "header only": (b"size,price\n", {}, ("line 1", "below the header")),
    "no header": (b"1.5,10\n2.5,20\n", {}, ("line 1", "names")),
    "one row": (b"size,colour\n1.5,red\n", {}, ("every column is constant",)),
    "three rows": (
        b"size,colour\n1.5,red\n2.5,red\n3.5,blue\n",
        {"held_out": 0.5},
        ("1 rows to train and 2", "held_out"),
    ),
    "a cell too few": (changed("2.5,blue,20", "2.5,blue"), {}, ("line 3", "2 cells", "has 3")),
    "a cell too many": (changed("2.5,blue,20", "2.5,blue,20,1"), {}, ("line 3", "4 cells")),
    "another delimiter below": (b"a;b\n1.5,2\n2.5,3\n", {}, ("line 2", "delimiter ';'")),
    "commas that divide and are decimal marks": (changed("2.5", "2,5"), {}, ("line 3", "4 cells")),
    "an open quote": (changed("blue,20", '"blue,20'), {}, ("line 5",)),
    "text after a quote": (changed("blue,20", '"bl"ue,20'), {}, ("line 3",)),
    "a cell of a megabyte": (changed("blue,20", "b" * 1_000_000 + ",20"), {}, ("line 3", "field larger")),
    "two columns of one name": (changed("size,", "price,"), {}, ("line 1", "two columns", "'price'")),
    "a column without a name": (changed("size,colour", "size,"), {}, ("column 2 has no name",)),
    "a first column without a name that is no index": (changed("size,", ","), {}, ("column 1 has no name",)),
    "text among numbers": (changed("31", "many"), {}, ("line 4", "'price'", "'many'", "categorical=[price]")),
    "a unit": (changed("31", "31 EUR"), {}, ("line 4", "'price'", "'31 EUR'")),
    "a number among text": (changed("3.5,red", "3.5,7"), {}, ("line 4", "'colour'", "'7'", "a number among text")),
    "infinite": (changed("31", "inf"), {}, ("line 4", "'price'", "'inf'")),
    "too large": (changed("3.5", "1e999"), {}, ("line 4", "'size'", "not finite")),
    "two decimal marks": (b"a;b\n1,5;2,25\n2,5;1,234.5\n3,5;1,75\n", {}, ("line 3", "'b'", "decimal ','")),
    "a gap": (changed("31", ""), {}, ("line 4", "'price'", "gap", "dataset.missing=drop", "missing=keep")),
    "a gap in text": (changed("3.5,red", "3.5,NA"), {}, ("line 4", "'colour'", "'NA' is a gap")),
    "NaN after blank lines": (changed("3.5,", "\n\nNaN,"), {}, ("line 6", "'size'", "gap")),
    "nothing but gaps": (columns(y=lambda i: ""), {"missing": "keep"}, ("'y'", "dataset.ignore=[y]")),
    "a gap in every row": (b"a,b\n1.5,\n,2\n2.5,\n", {"missing": "drop"}, ("every row", "missing=keep")),
    "dates": (columns(day=lambda i: f"2020-01-{i + 1:02}"), {}, ("line 2", "'day'", "dates", "dataset.ignore=[day]")),
    "names": (columns(who=lambda i: f"person {i}"), {}, ("line 2", "'who'", "every row", "dataset.ignore=[who]")),
    "row numbers": (columns(id=lambda i: i + 100), {}, ("line 2", "'id'", "counts the rows", "dataset.ignore=[id]")),
    "many categories": (
        columns(k=lambda i: f"k{i // 2}"),
        {"levels": 5},
        ("'k'", "6 different texts", "dataset.levels=6"),
    ),
    "many integers that are to be categories": (
        columns(k=lambda i: i // 2 * 7),
        {"levels": 5, "categorical": ["k"]},
        ("line 2", "'k'", "more than dataset.levels=5"),
    ),
    "text that is to be numbers": (ROWS.encode(), {"numeric": ["colour"]}, ("line 2", "'colour'", "'red'")),
    "a label that is not there": (ROWS.encode(), {"label": "colours"}, ("no column 'colours'", "colour?")),
    "a label of numbers": (ROWS.encode(), {"label": "size"}, ("label 'size'", "dataset.categorical=[size]")),
    "a column that is not there": (ROWS.encode(), {"columns": ["sise"]}, ("no column 'sise'", "size?")),
    "nothing left": (ROWS.encode(), {"ignore": ["size", "colour", "price"]}, ("no column is left",)),
    "binary": (b"PK\3\4\n\0\0\0", {}, ("line 2", "no text")),
    "half a gzip": (gzip.compress(ROWS.encode() * 9)[:-9], {}, ("damaged gzip",)),
}
"""Name -> the file, settings, and what its refusal must mention."""


def pixels(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def make_idx(root: Path, name: str, n: int = 20) -> dict[str, np.ndarray]:
    """MNIST's four files with n images in each split; the images by split."""
    rng, raw = np.random.default_rng(0), root / name / "raw"
    raw.mkdir(parents=True)
    images = {}
    for split in ("train", "t10k"):
        images[split] = pixels(rng, n, 28, 28)
        labels = (np.arange(n) % 10).astype(np.uint8)
        header = struct.pack(">IIII", 0x803, n, 28, 28)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + images[split].tobytes())
        gzipped = gzip.compress(struct.pack(">II", 0x801, n) + labels.tobytes())
        (raw / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzipped)
    return images


def make_cifar10(root: Path, n: int = 4) -> np.ndarray:
    """CIFAR-10's files with n images each; the training images (5 n, 3, 32, 32)."""
    rng, place = np.random.default_rng(0), root / "cifar-10-batches-py"
    place.mkdir(parents=True)
    images = pixels(rng, 6 * n, 3072)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for name, some in zip(names, np.split(images, 6), strict=True):
        (place / name).write_bytes(pickle.dumps({"data": some, "labels": [i % 10 for i in range(n)]}, 2))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}, 2))
    return images[: 5 * n].reshape(-1, 3, 32, 32)


def trust_any_md5(monkeypatch) -> None:
    """Let torchvision take our small files for CIFAR-10."""
    cifar = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar, "train_list", [[name, None] for name, _ in cifar.train_list])
    monkeypatch.setattr(cifar, "test_list", [[name, None] for name, _ in cifar.test_list])
    monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": None})


def make_celeba(root: Path, n: int = 6) -> None:
    """CelebA with n images of 178x218 pixels, the centre 148 white: one to validate, two to test, the rest to train."""
    place = root / "celeba" / "img_align_celeba"
    place.mkdir(parents=True)
    image = np.zeros((218, 178, 3), dtype=np.uint8)
    image[35:183, 15:163] = 255
    names = [f"{i + 1:06d}.jpg" for i in range(n)]
    for name in names:
        Image.fromarray(image).save(place / name, quality=100, subsampling=0)
    splits = [1, 2, 2] + [0] * (n - 3)
    lines = [f"{name} {split}\n" for name, split in zip(names, splits, strict=True)]
    (place.parent / "list_eval_partition.txt").write_text("".join(lines))


def make_prices(root: Path, days: int = 60, assets: int = 20) -> None:
    """A CSV file of random prices."""
    walks = np.exp(np.random.default_rng(0).normal(0, 0.01, (days, assets)).cumsum(0))
    names = ",".join(f"S{i}" for i in range(assets))
    (root / "prices.csv").write_text("\n".join([names, *(",".join(map(repr, row.tolist())) for row in walks)]))


def make_everything(root: Path) -> Path:
    """Tiny valid files of every downloadable data set, some prices and some pictures; returns `root`."""
    make_prices(root)
    make_idx(root, "MNIST")
    make_idx(root, "FashionMNIST")
    make_cifar10(root)
    make_celeba(root, n=9)
    (root / "table.csv").write_text(ROWS + 4 * ROWS.partition("\n")[2])
    (root / "pictures").mkdir()
    for i in range(8):
        Image.new("RGB", (40 + i, 50), (20 * i, 90, 120)).save(root / f"pictures/{i}.png")
    return root


def bomb(path: Path, side: int = 20_000) -> None:
    """A PNG of side x side grey pixels, all 0, in a few hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(side * (side // 8 + 1)), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
