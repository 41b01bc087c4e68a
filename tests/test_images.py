"""Laws of the images: published sets and any folder, from their files to samples and back."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_runner.datasets import fetch, folder, images
from gan_runner.errors import DataError, MissingInput, Unsafe, UsageError
from tests import data_fixtures as make

# -- image sets ----------------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    bunch, source = load_digits(), images.digits("unused", size=16)
    blocks = source.data.view(-1, 8, 2, 8, 2)
    assert torch.equal(blocks, blocks[:, :, :1, :, :1].expand_as(blocks)), "each pixel is repeated exactly"
    assert np.array_equal(blocks[:, :, 0, :, 0], np.round(bunch.images * 255 / 16))
    assert np.array_equal(source.labels, bunch.target)
    assert images.digits("unused", size=8).digest != source.digest


def test_uint8_images_survive_the_scale_of_training():
    source = images.digits("unused", size=8)
    everything = source.take(torch.arange(len(source)))
    assert everything.dtype == torch.float32 and everything.min() == -1 and everything.max() == 1
    assert torch.equal(source.decode(everything), source.data)
    ramp = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1)
    source = images.Source(images.Spec((1, 1, 1), "image"), ramp)
    assert torch.equal(source.decode(source.take(torch.arange(256))), ramp)


@pytest.mark.parametrize(("load", "name"), [(images.mnist, "MNIST"), (images.fashion, "FashionMNIST")])
def test_mnist_is_framed_kept_or_averaged(tmp_path, monkeypatch, load, name):
    monkeypatch.setattr(images, "DEBIAN_FASHION", tmp_path / "nowhere")
    original = make.make_idx(tmp_path, name)
    source = load(str(tmp_path))
    assert source.data.shape == (20, 1, 32, 32) and source.spec.classes == 10
    assert np.array_equal(source.data[:, 0, 2:-2, 2:-2], original["train"])
    assert np.array_equal(source.held_out.data[:, 0, 2:-2, 2:-2], original["t10k"])
    assert source.data.long().sum() == original["train"].sum(dtype=int), "the frame is 0"
    assert source.labels.tolist() == [i % 10 for i in range(20)]
    assert np.array_equal(load(str(tmp_path), size=28).data[:, 0], original["train"])
    means = source.data[:, 0].float().view(20, 16, 2, 16, 2).mean((2, 4))
    assert (load(str(tmp_path), size=16).data[:, 0] - means).abs().max() <= 0.5


def test_fashion_is_found_where_debian_puts_it(tmp_path, monkeypatch):
    make.make_idx(tmp_path / "usr", "FashionMNIST")
    monkeypatch.setattr(images, "DEBIAN_FASHION", tmp_path / "usr" / "FashionMNIST" / "raw")
    assert len(images.fashion(str(tmp_path / "data"))) == 20


@pytest.mark.parametrize("harm", ["truncated", "not idx", "half a gzip", "labels of another set"])
def test_broken_idx_files_are_named(tmp_path, harm):
    make.make_idx(tmp_path, "MNIST")
    raw = tmp_path / "MNIST" / "raw"
    victim = raw / ("train-images-idx3-ubyte" if harm in ("truncated", "not idx") else "train-labels-idx1-ubyte.gz")
    data = victim.read_bytes()
    if harm == "labels of another set":
        make.make_idx(tmp_path / "other", "MNIST", n=7)
        data = (tmp_path / "other/MNIST/raw" / victim.name).read_bytes()
    victim.write_bytes({"truncated": data[:-1], "not idx": b"<html>" + data, "half a gzip": data[:-9]}.get(harm, data))
    with pytest.raises(DataError, match=str(victim)):
        images.mnist(str(tmp_path))


def test_cifar10_is_decoded_once_and_then_needs_no_pickle(tmp_path, monkeypatch):
    original = make.make_cifar10(tmp_path)
    with monkeypatch.context() as trusting:
        make.trust_any_md5(trusting)
        source = images.cifar10(str(tmp_path))
    assert np.array_equal(source.data, original)
    assert len(source.held_out) == 4 and source.labels.tolist() == [0, 1, 2, 3] * 5
    assert images.cifar10(str(tmp_path)).digest == source.digest


def test_cifar10_with_another_md5_is_never_unpickled(tmp_path):
    make.make_cifar10(tmp_path)
    trap = tmp_path / "sprung"
    pickled = f"cos\nsystem\n(S'touch {trap}'\ntR."
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_text(pickled)
    with pytest.raises(DataError, match="md5"):
        images.cifar10(str(tmp_path))
    assert not trap.exists()


def test_celeba_is_cropped_then_resized_and_split(tmp_path):
    make.make_celeba(tmp_path)
    source = images.celeba(str(tmp_path))
    assert source.data.shape == (3, 3, 64, 64) and len(source.held_out) == 2
    assert source.data.min() >= 250, "the centre 148 px are white"
    assert "148" in source.notes[0]
    wider = images.celeba(str(tmp_path), crop=178)
    assert wider.data.min() < 5 and wider.digest != source.digest


@pytest.mark.parametrize("load", [images.mnist, images.fashion, images.cifar10, images.celeba])
def test_missing_sets_say_where_they_should_be(tmp_path, monkeypatch, load):
    monkeypatch.setattr(images, "DEBIAN_FASHION", tmp_path / "debian")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingInput) as refusal:
        load("data")
    assert refusal.value.code == 66
    for part in (str(tmp_path / "data"), "dataset.download=true", fetch.OFFLINE):
        assert part in str(refusal.value)
    assert not (tmp_path / "data").exists()


def test_a_failed_download_is_tried_again_and_leaves_no_half_files(tmp_path, monkeypatch):
    import torchvision

    tries = []

    def interrupted(root: str, download: bool) -> None:
        tries.append(root)
        (Path(root) / "MNIST/raw").mkdir(parents=True)
        (Path(root) / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"half")
        if len(tries) < working:
            raise OSError("network is unreachable")
        (Path(root) / "MNIST/raw/train-images-idx3-ubyte").unlink()
        (Path(root) / "MNIST/raw").rmdir()
        make.make_idx(Path(root), "MNIST")

    monkeypatch.setattr(torchvision.datasets, "MNIST", interrupted)
    monkeypatch.setattr(fetch.time, "sleep", lambda _: None)
    working = 9
    with pytest.raises(MissingInput, match="unreachable"):
        images.mnist(str(tmp_path), download=True)
    assert len(tries) == 3 and [p.name for p in tmp_path.iterdir()] == ["MNIST.lock"]
    working = 5
    assert len(images.mnist(str(tmp_path), download=True)) == 20


# -- folders of images ---------------------------------------------------------------------------


def load_one(tmp_path: Path, image: Image.Image, name: str, size: int = 4, channels: int = 3, **save) -> np.ndarray:
    (tmp_path / "in").mkdir()
    image.save(tmp_path / "in" / name, **save)
    return folder.folder(str(tmp_path), str(tmp_path / "in"), size=size, channels=channels).data[0].numpy()


GREY16 = Image.fromarray(np.full((8, 8), 200 * 257, dtype=np.uint16))
PALETTE = Image.new("P", (8, 8), 1)
PALETTE.putpalette([0, 0, 0, 200, 100, 50])


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("1", (8, 8), 1), "a.png", (255, 255, 255)),
        (Image.new("L", (8, 8), 200), "a.png", (200, 200, 200)),
        (Image.new("LA", (8, 8), (0, 0)), "a.png", (255, 255, 255)),
        (Image.new("LA", (8, 8), (0, 51)), "a.png", (204, 204, 204)),
        (PALETTE, "a.png", (200, 100, 50)),
        (PALETTE, "a.gif", (200, 100, 50)),
        (Image.new("RGB", (8, 8), (200, 100, 50)), "a.bmp", (200, 100, 50)),
        (Image.new("RGBA", (8, 8), (200, 100, 50, 0)), "a.png", (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (200, 100, 50, 255)), "a.webp", (200, 100, 50)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.tif", (255, 0, 0)),
        (GREY16, "a.png", (200, 200, 200)),
        (Image.new("I", (8, 8), 200 * 257), "a.tif", (200, 200, 200)),
        (Image.new("F", (8, 8), 200 / 255), "a.tiff", (200, 200, 200)),
    ],
)
def test_every_mode_becomes_the_same_colour(tmp_path, image, name, expected):
    save = {"lossless": True} if name.endswith("webp") else {}
    assert (load_one(tmp_path, image, name, **save) == np.reshape(expected, (3, 1, 1))).all()


def test_transparent_palettes_lie_on_white(tmp_path):
    assert (load_one(tmp_path, PALETTE, "a.png", transparency=1) == 255).all()


def test_centre_square_of_an_image_turned_by_exif(tmp_path):
    wide = np.zeros((4, 10, 3), dtype=np.uint8)
    wide[:, 3:7, 0] = 255  # the centre square is red; its left column green besides
    wide[:, 3, 1] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn a quarter clockwise": left becomes top
    turned = load_one(tmp_path, Image.fromarray(wide), "a.png", exif=exif)
    assert (turned[0] == 255).all() and (turned[1, 0] == 255).all() and (turned[1, 1:] == 0).all()


def test_grey_and_enlarged(tmp_path):
    grey = load_one(tmp_path, Image.new("RGB", (1, 3), (255, 0, 0)), "a.PPM", size=16, channels=1)
    assert grey.shape == (1, 16, 16) and (grey == 76).all()  # 0.299 * 255


def tree(tmp_path: Path) -> Path:
    top = tmp_path / "pets"
    for place, shade in (("cat/a", 10), ("cat/deep/b", 20), ("dog/c", 30), (".hidden/d", 40)):
        file = top / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 9), shade).save(file)
    (top / "readme.txt").write_text("no image")
    return top


def test_folders_are_classes_in_sorted_order(tmp_path):
    top = tree(tmp_path)
    source = folder.folder(str(tmp_path), str(top), size=2, channels=1)
    assert source.data[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert source.labels.tolist() == [0, 0, 1] and source.spec.classes == 2 and source.notes[0] == "classes: cat, dog"
    assert folder.folder(str(tmp_path), str(top), size=2, channels=1, labels="none").labels is None
    assert folder.folder(str(tmp_path), str(top / "cat"), labels="auto").labels is None, "a loose image, so no classes"
    with pytest.raises(DataError, match=r"a\.png is in no class folder"):
        folder.folder(str(tmp_path), str(top / "cat"), labels="folders")


def test_a_changed_file_is_decoded_again(tmp_path):
    top = tree(tmp_path)
    before = folder.folder(str(tmp_path), str(top), size=2, channels=1)
    Image.new("L", (6, 9), 99).save(top / "dog/c.png")
    os.utime(top / "dog/c.png", ns=(1, 1))
    assert folder.folder(str(tmp_path), str(top), size=2, channels=1).data[2].max() == 99
    assert before.data[2].max() == 30


def test_broken_files_fail_by_name_or_are_skipped_and_counted(tmp_path):
    top = tree(tmp_path)
    Image.fromarray(make.pixels(np.random.default_rng(0), 99, 99)).save(top / "cat/half.png")
    os.truncate(top / "cat/half.png", 5000)
    (top / "cat/empty.png").write_bytes(b"")
    (top / "cat/text.jpg").write_text("hello")
    with pytest.raises(DataError) as refusal:
        folder.folder(str(tmp_path), str(top), size=2, channels=1)
    assert refusal.value.code == 65 and "\n" not in str(refusal.value)
    for broken in ("empty.png is empty", "half.png is damaged", "text.jpg is no image"):
        assert broken in str(refusal.value)
    source = folder.folder(str(tmp_path), str(top), size=2, channels=1, policy="skip")
    assert source.data[:, 0, 0, 0].tolist() == [10, 20, 30] and source.labels.tolist() == [0, 0, 1]
    assert source.notes[-1].startswith("skipped 3 broken files")


@pytest.mark.parametrize(("side", "why"), [(20_000, "claims to be"), (9_600, "claims to be"), (8_500, "72 megapixels")])
def test_decompression_bombs_are_refused_by_their_header(tmp_path, side, why):
    top = tree(tmp_path)
    make.bomb(top / "dog/bomb.png", side)
    assert (top / "dog/bomb.png").stat().st_size < 60_000
    start = time.process_time()
    with pytest.raises(DataError, match=rf"bomb\.png .*{why}"):
        folder.folder(str(tmp_path), str(top))
    assert time.process_time() - start < 1


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    cases = [
        (MissingInput, str(tmp_path / "absent"), [str(tmp_path / "absent")]),
        (DataError, str(tmp_path / "empty"), [str(tmp_path / "empty"), ".png", ".webp"]),
        (UsageError, None, ["dataset.path"]),
    ]
    for fault, path, mentions in cases:
        with pytest.raises(fault) as refusal:
            folder.folder(str(tmp_path), path)
        assert all(m in str(refusal.value) for m in mentions)


@pytest.mark.parametrize("link", ["cat/out.png", "out"])
def test_links_out_of_the_folder_are_refused(tmp_path, link):
    top = tree(tmp_path)
    (tmp_path / "secret").mkdir()
    Image.new("L", (6, 9)).save(tmp_path / "secret/x.png")
    (top / link).symlink_to(tmp_path / ("secret/x.png" if link.endswith("png") else "secret"))
    with pytest.raises(Unsafe) as refusal:
        folder.folder(str(tmp_path), str(top))
    assert refusal.value.code == 77
    (top / link).unlink()
    (top / "dog/inside.png").symlink_to(top / "cat/a.png")
    assert len(folder.folder(str(tmp_path), str(top))) == 4
