"""Bad input files: no traceback, the right code, the file and the remedy named, nothing created but empty caches."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import struct
import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gan_runner import checkpoint, restore, train, usage
from gan_runner.build import build
from gan_runner.construct import construct
from gan_runner.errors import Fault
from tests import data_fixtures as make
from tests.conftest import compose


def refused(work: Callable[[], Any], code: int, *words: str) -> None:
    """`work` ends in one line that holds the words and a remedy."""
    with pytest.raises(Fault) as caught:
        work()
    line = str(caught.value)
    assert caught.value.code == code and caught.value.fix and "\n" not in line, line
    for word in words:
        assert word in line


def remains(place: Path, before: set[Path]) -> list[str]:
    """What was created since, but for locks of caches."""
    new = set(place.rglob("*")) - before
    return [str(p) for p in new if p.is_file() and p.suffix != ".lock"]


def dataset(name: str, place: Path, *overrides: str) -> Any:
    """The data set as the command line would make it."""
    return construct(compose(f"dataset={name}", f"data_dir={place}", *overrides)["dataset"], "dataset")


# -- prices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", make.BAD_PRICES)
def test_prices(name: str, tmp_path: Path) -> None:
    content, words = make.BAD_PRICES[name]
    file = tmp_path / "prices.csv"
    file.write_bytes(content)
    refused(lambda: dataset("stocks", tmp_path, f"dataset.path={file}"), 65, str(file), *words)
    assert remains(tmp_path, {file}) == []


# -- tables ----------------------------------------------------------------------------------------


@cache
def defaults() -> dict[str, Any]:
    return compose("dataset=table")["dataset"]


def table(**settings: Any) -> Any:
    """The table as the command line would make it, with these settings."""
    return construct(defaults() | settings, "dataset")


@pytest.mark.parametrize("name", make.BAD_TABLES)
def test_tables(name: str, tmp_path: Path) -> None:
    content, settings, words = make.BAD_TABLES[name]
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    refused(lambda: table(path=str(file), **settings), 65, str(file), *words)
    assert remains(tmp_path, {file}) == []


def parquet(frame: Any) -> bytes:
    to = io.BytesIO()
    frame.to_parquet(to)
    return to.getvalue()


PARQUET: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "empty": (lambda: b"", ("no Parquet file",)),
    "text": (lambda: make.ROWS.encode(), ("no Parquet file",)),
    "half a file": (lambda: parquet(pd.DataFrame({"a": [1.5, 2.5]}))[:-20], ("no Parquet file",)),
    "no rows": (lambda: parquet(pd.DataFrame({"a": [1.5]})[:0]), ("empty",)),
    "lists": (lambda: parquet(pd.DataFrame({"a": [1.5, 2.5], "b": [[1], [2]]})), ("row 1", "'b'", "ndarray")),
    "bytes": (lambda: parquet(pd.DataFrame({"a": [1.5, 2.5], "b": [b"1", b"2"]})), ("row 1", "'b'", "bytes")),
    "a gap": (lambda: parquet(pd.DataFrame({"a": [1.5, None, 2.5]})), ("row 2", "'a'", "gap", "missing=drop")),
    "infinite": (lambda: parquet(pd.DataFrame({"a": [1.5, 2.5, math.inf]})), ("row 3", "'a'", "'inf'")),
    "dates": (
        lambda: parquet(pd.DataFrame({"a": [1.5, 2.5], "b": pd.to_datetime(["2020-01-01", "2020-02-01"])})),
        ("row 1", "'b'", "dates"),
    ),
}


@pytest.mark.parametrize("name", PARQUET)
def test_parquet(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    content, words = PARQUET[name]
    file = tmp_path / "table.parquet"
    file.write_bytes(content())
    refused(lambda: table(path=str(file)), 65, str(file), *words)
    assert remains(tmp_path, {file}) == []


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    refused(lambda: table(path=f"{tmp_path}/table.parquet"), 69, "pip install pyarrow")


@pytest.mark.parametrize(
    "setting",
    [{"path": None}, {"missing": "guess"}, {"levels": 1}, {"held_out": 1.0}, {"held_out": -0.1}, {"seed": -1}],
)
def test_settings_of_tables_are_judged_before_the_file(setting: dict[str, Any]) -> None:
    refused(lambda: table(**{"path": "nowhere", **setting}), 2, f"dataset.{next(iter(setting))}")
    refused(
        lambda: table(path="nowhere", numeric=["a", "b"], categorical=["b"]), 2, "b cannot be in dataset.categorical"
    )


def test_text_that_is_to_be_numbers_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(make.ROWS)
    refused(lambda: table(path=f"{tmp_path}/t.csv", numeric=["colour"]), 65, "out of dataset.numeric")


# -- images ----------------------------------------------------------------------------------------


def encoded(kind: str, tmp_path: Path) -> bytes:
    """A good picture of random pixels in a format."""
    file = tmp_path / f"good.{kind}"
    Image.fromarray(make.pixels(np.random.default_rng(0), 64, 64, 3)).save(file)
    data = file.read_bytes()
    file.unlink()
    return data


def flat(tmp_path: Path) -> bytes:
    make.bomb(tmp_path / "bomb")
    data = (tmp_path / "bomb").read_bytes()
    (tmp_path / "bomb").unlink()
    return data


PICTURES: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "empty": ("a.png", lambda _: b"", "is empty"),
    "text": ("a.jpg", lambda _: b"hello", "is no image"),
    "a web page": ("a.png", lambda _: b"<html><body>404</body></html>", "is no image"),
    "a drawing": ("a.png", lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no image"),
    "a video": ("a.webp", lambda _: b"\0\0\0\x18ftypmp42" + bytes(100), "is no image"),
    "half a png": ("a.png", lambda p: encoded("png", p)[:5000], "is damaged"),
    "half a jpeg": ("a.jpeg", lambda p: encoded("jpeg", p)[:1000], "is damaged"),
    "half a bmp": ("a.bmp", lambda p: encoded("bmp", p)[:1000], "is damaged"),
    "half a webp": ("a.webp", lambda p: encoded("webp", p)[:1000], "a.webp is"),
    "a header alone": ("a.png", lambda p: encoded("png", p)[:33], "is no image"),
    "a flipped byte": ("a.png", lambda p: (d := encoded("png", p))[:20] + b"\xff" + d[21:], "a.png "),
    "a bomb": ("a.png", flat, "claims to be too large"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str, tmp_path: Path) -> None:
    file, content, words = PICTURES[name]
    place = tmp_path / "pictures"
    place.mkdir()
    (place / file).write_bytes(content(tmp_path))
    Image.new("L", (6, 9), 100).save(place / "good.png")
    before = set(tmp_path.rglob("*"))
    work = lambda: dataset("folder", tmp_path, f"dataset.path={place}")  # noqa: E731
    refused(work, 65, str(place / file), words, "dataset.policy=skip")
    assert remains(tmp_path, before) == []


def test_a_path_that_cannot_be_a_path(tmp_path: Path) -> None:
    for name in ("folder", "stocks", "table"):
        refused(lambda name=name: dataset(name, tmp_path, f"dataset.path={'x' * 300}"), 66, "x" * 300)
        (tmp_path / "loop").unlink(missing_ok=True)
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        refused(lambda name=name: dataset(name, tmp_path, f"dataset.path={tmp_path}/loop"), 66, "loop")


# -- published sets --------------------------------------------------------------------------------


def idx(shape: tuple[int, ...], magic: bytes = b"\0\0\x08", spare: int = 0) -> bytes:
    header = magic + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return header + bytes(min(int(np.prod(shape)), 1 << 20) + spare)


IDX: dict[str, bytes] = {
    "empty": b"",
    "three bytes": b"\0\0\x08",
    "a web page": b"<html>",
    "floats": idx((20, 28, 28), magic=b"\0\0\x0d"),
    "a byte too few": idx((20, 28, 28), spare=-1),
    "a byte too many": idx((20, 28, 28), spare=1),
    "no images": idx((0, 28, 28)),
    "other sizes": idx((20, 32, 32)),
    "a matrix": idx((20, 784)),
    "claims four billion": idx((2**32 - 1, 28, 28)),
    "not gzip inside": gzip.compress(b"hello"),
    "half a gzip": gzip.compress(idx((20, 28, 28)))[:-9],
}


@pytest.mark.parametrize("name", IDX)
def test_idx(name: str, tmp_path: Path) -> None:
    make.make_idx(tmp_path, "MNIST")
    file = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(IDX[name])
    before = set(tmp_path.rglob("*"))
    refused(lambda: dataset("mnist", tmp_path), 65, str(file), "fetch")
    assert remains(tmp_path, before) == []


def test_idx_of_no_images(tmp_path: Path) -> None:
    make.make_idx(tmp_path, "MNIST", n=0)
    refused(lambda: build(compose("dataset=mnist", f"data_dir={tmp_path}")), 65, "mnist has 0 rows", "train.batch_size")


def test_cifar10(tmp_path: Path) -> None:
    make.make_cifar10(tmp_path)
    before = set(tmp_path.rglob("*"))
    refused(lambda: dataset("cifar10", tmp_path), 65, "cifar-10-batches-py", "md5", "dataset.download=true")
    assert remains(tmp_path, before) == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0binary", b"000001.jpg zero\n"])
def test_celeba(content: bytes, tmp_path: Path) -> None:
    make.make_celeba(tmp_path)
    (tmp_path / "celeba/list_eval_partition.txt").write_bytes(content)
    before = set(tmp_path.rglob("*"))
    refused(lambda: dataset("celeba", tmp_path), 65, "list_eval_partition.txt", "split 0")
    assert remains(tmp_path, before) == []


# -- run folders -----------------------------------------------------------------------------------

TOY = ("dataset=ring8", "dataset.n=100", "train.batch_size=8", "probes=none", "train.steps=2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with one checkpoint."""
    monkeypatch.chdir(tmp_path)
    assert train.train(compose(*TOY, "run.dir=r"), [])[0] == 0
    return tmp_path / "r"


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi"))
PAPERS = [b"", b"[", b"- a\n- b\n", b"\xff\xfe\0", b"a: !!python/object/apply:os.system [ls]\n", BOMB.encode()]


@pytest.mark.parametrize("content", [*PAPERS, b"x" * 1_000_001])
def test_config_yaml(content: bytes, folder: Path) -> None:
    (folder / "config.yaml").write_bytes(content)
    resumed = compose(*TOY, f"resume={folder}", "train.steps=4")
    refused(lambda: train.train(resumed, []), 66, f"{folder}/config.yaml is damaged", "restore")
    refused(lambda: restore.restore(folder, "newest", 0, "cpu"), 66, "config.yaml is damaged")


@pytest.mark.parametrize("content", [b"[", b"a: 1\n", b"\xff\xfe\0", b"- " + b"x" * 1_000_001])
def test_overrides_yaml(content: bytes, folder: Path) -> None:
    (folder / "overrides.yaml").write_bytes(content)
    refused(lambda: usage.recall([f"resume={folder}"]), 66, f"{folder}/overrides.yaml is damaged", "restore")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"spec": 1', b"\xff\xfe\0"])
def test_manifest_json(content: bytes, folder: Path) -> None:
    (folder / "manifest.json").write_bytes(content)
    refused(lambda: restore.restore(folder, "newest", 0, "cpu"), 66, f"{folder}/manifest.json is damaged", "restore")


HARM: dict[str, Callable[[Path], Any]] = {
    "empty state": lambda path: os.truncate(path / "state.pt", 0),
    "half a state": lambda path: os.truncate(path / "state.pt", 1000),
    "no state": lambda path: (path / "state.pt").unlink(),
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "a list as manifest": lambda path: (path / "manifest.json").write_text("[]"),
    "a manifest that was edited": lambda path: (path / "manifest.json").write_text(
        json.dumps(json.loads((path / "manifest.json").read_text()) | {"step": 3})
    ),
}


@pytest.mark.filterwarnings("ignore:.* is damaged")
@pytest.mark.parametrize("name", HARM)
def test_checkpoints(name: str, folder: Path) -> None:
    (path,) = checkpoint.steps(folder / "ckpt")
    HARM[name](path)
    resumed = compose(*TOY, f"resume={folder}", "train.steps=4")
    refused(lambda: train.train(resumed, []), 66, str(folder / "ckpt"), "start a new run")


# -- through the command line ----------------------------------------------------------------------


def test_the_command_line_says_it_in_one_line(cli: Any, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "prices.csv").write_bytes(make.BAD_PRICES["text among numbers"][0])
    (tmp_path / "table.csv").write_bytes(make.BAD_TABLES["text among numbers"][0])
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_text("hello")
    (tmp_path / "r").mkdir()
    (tmp_path / "r/config.yaml").write_text("[")
    (tmp_path / "r/overrides.yaml").write_text("[]")
    before = set(tmp_path.rglob("*"))
    for args, code, word in (
        (("dataset=stocks", "dataset.path=prices.csv"), 65, "line 3"),
        (("dataset=table", "dataset.path=table.csv"), 65, "line 4, column 'price'"),
        (("dataset=folder", "dataset.path=pictures"), 65, "a.png is no image"),
        (("resume=r",), 66, "config.yaml is damaged"),
    ):
        done = cli(*args)
        assert done.returncode == code and word in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert remains(tmp_path, before) == []
