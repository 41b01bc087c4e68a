"""Laws of the data: the stream of rows, the cache of decoded images, the simulators."""

from __future__ import annotations

import errno
import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_runner.datasets import draws, files, folder, images
from gan_runner.datasets.cache import Writer, cached
from gan_runner.datasets.huber import huber
from gan_runner.datasets.toys import SHAPES, gmm, toy2d
from gan_runner.errors import DataError, Fault, StorageError
from tests import data_fixtures as make

# -- the stream of rows --------------------------------------------------------------------------


def test_every_epoch_is_another_permutation_and_seeds_differ():
    epochs = draws.rows(7, 0, 7 * 50, seed=3).view(50, 7)
    assert torch.equal(epochs.sort(1).values, torch.arange(7).expand(50, 7))
    assert len({tuple(e.tolist()) for e in epochs}) > 45
    assert not torch.equal(draws.rows(100, 0, 100, 0), draws.rows(100, 0, 100, 1))


def test_any_cut_of_the_stream_gives_the_same_stream():
    whole = draws.rows(10, 0, 95, seed=1)
    rng = np.random.default_rng(0)
    for _ in range(50):
        start, end = sorted(rng.integers(0, 96, 2).tolist())
        assert torch.equal(draws.rows(10, start, end - start, seed=1), whole[start:end])


def test_ranks_together_see_each_update_of_a_single_process():
    batch = draws.rows(1000, 0, 5 * 64, seed=0)
    shares = [draws.share(batch, rank, 4) for rank in range(4)]
    for update, whole in enumerate(batch.chunk(5)):
        assert set(torch.cat([s.chunk(5)[update] for s in shares]).tolist()) == set(whole.tolist())
    with pytest.raises(ValueError, match="multiple of 3"):
        draws.share(batch, 0, 3)


def test_weighted_draws_follow_the_weights_and_the_position():
    weights = torch.tensor([0.0, 1.0, 3.0, 0.0])
    index = draws.weighted(weights, 40_000, seed=0, start=64)
    share = torch.bincount(index, minlength=4) / 40_000
    assert torch.allclose(share, weights / 4, atol=0.011)  # five standard errors
    assert share[0] == share[3] == 0
    assert torch.equal(index, draws.weighted(weights, 40_000, seed=0, start=64))
    assert not torch.equal(index, draws.weighted(weights, 40_000, seed=0, start=128))


def test_draws_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    draws.rows(1000, 0, 10, seed=77), draws.weighted(torch.ones(3), 5, 0, 0), huber(n=10), toy2d(n=10)
    assert torch.equal(before, torch.get_rng_state())


# -- the cache -----------------------------------------------------------------------------------


def write_noise(writer: Writer) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        writer.add(make.pixels(rng, 8, 3, 4, 4), np.arange(8))
    writer.notes.append("noise")


def test_cache_gives_the_rows_back_and_decodes_once(tmp_path):
    first = cached(tmp_path, "noise", {"a": 1}, write_noise, classes=8)
    again = cached(tmp_path, "noise", {"a": 1}, lambda _: pytest.fail("decoded twice"), classes=8)
    expected = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4), dtype=np.uint8)
    for source in (first, again):
        assert np.array_equal(source.data.numpy(), expected)
        assert source.labels is not None and source.labels.tolist() == list(range(8)) * 5
        assert (source.spec.shape, source.spec.classes, source.notes) == ((3, 4, 4), 8, ("noise",))
        assert source.digest == files.digest(source.data)
    decoded = []
    cached(tmp_path, "noise", {"a": 2}, lambda w: (decoded.append(1), write_noise(w))[1])
    assert decoded, "other facts must be decoded anew"


@pytest.mark.parametrize("name", ["rows.u8", "labels.i64", "manifest.json"])
@pytest.mark.parametrize("harm", ["flip", "truncate"])
def test_damaged_cache_is_made_anew_with_a_warning(tmp_path, name, harm):
    whole = cached(tmp_path, "noise", {}, write_noise).data.clone()
    (file,) = tmp_path.glob(f"cache/noise-*/{name}")
    data = bytearray(file.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 0xFF
    file.write_bytes(data if harm == "flip" else data[:-5])
    with pytest.warns(UserWarning, match="damaged"):
        mended = cached(tmp_path, "noise", {}, write_noise)
    assert torch.equal(mended.data, whole)
    assert mended.digest == files.digest(whole)


def test_failed_decoding_leaves_nothing_behind(tmp_path):
    def fail(writer: Writer) -> None:
        write_noise(writer)
        raise DataError("broken", "mend")

    with pytest.raises(DataError):
        cached(tmp_path, "noise", {}, fail)
    assert [p.name for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")] == []


def test_cache_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(StorageError, match=str(tmp_path)):
        cached(tmp_path, "noise", {}, write_noise)


def decode_shared(root: Path, pause: float) -> None:
    """What each of several processes does: note in "decoded" that it decodes, in "digests" what it got."""

    def decode(writer: Writer) -> None:
        with open(root / "decoded", "a") as log:
            log.write("x")
        time.sleep(pause)
        write_noise(writer)

    source = cached(root, "shared", {}, decode)
    with open(root / "digests", "a") as log:
        log.write(f"{source.digest}\n")


def start(root: Path, pause: float) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=decode_shared, args=(root, pause))
    process.start()
    return process


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_of_six_processes_one_decodes_and_a_killed_one_blocks_nobody(tmp_path):
    victim = start(tmp_path, pause=600)
    while not (tmp_path / "decoded").exists():
        assert victim.is_alive()
        time.sleep(0.01)
    six = [start(tmp_path, pause=0.5) for _ in range(6)]
    time.sleep(0.2)
    victim.kill()
    for process in six:
        process.join(30)
    digests = (tmp_path / "digests").read_text().split()
    assert len(digests) == 6 and len(set(digests)) == 1
    assert (tmp_path / "decoded").read_text() == "xx", "the killed one and one other"
    assert len(list(tmp_path.glob("cache/*"))) == 2, "the cache and its lock, no draft"


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("failures", "fine"), [(2, True), (3, False)])
def test_stale_file_handles_are_tried_three_times(tmp_path, monkeypatch, failures, fine):
    path, left = tmp_path / "x", [failures]
    path.write_bytes(b"hello")

    def flaky(self: Path) -> bytes:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, "Stale file handle")
        with open(self, "rb") as stream:
            return stream.read()

    monkeypatch.setattr(Path, "read_bytes", flaky)
    if fine:
        assert files.read(path, wait=0.001) == b"hello"
    else:
        with pytest.raises(StorageError, match="Stale") as refusal:
            files.read(path, wait=0.001)
        assert refusal.value.code == 74


# -- simulators ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "sd", "scale"), [("ring8", 0.01, 1.0), ("ring8", 0.01, 2.0), ("grid25", 0.05, 1.0)])
def test_modes_are_where_the_truth_says(shape, sd, scale):
    source = toy2d(shape, n=50_000, scale=scale)
    points = source.decode(source.take(torch.arange(len(source))))
    residual = points - source.truth["modes"][source.labels]
    assert abs(residual.std() / (scale * sd) - 1) < 0.02 and abs(source.truth["sd"] - scale * sd) < 1e-6
    near = torch.cdist(points, source.truth["modes"]).min(1).values < 3 * scale * sd
    assert abs(near.float().mean() - (1 - np.exp(-4.5))) < 0.003  # the 98.9 % that true samples reach
    counts = torch.bincount(source.labels).float()
    assert (counts / counts.mean() - 1).abs().max() < 0.12


def test_shapes_have_their_published_radii():
    ring = toy2d("ring8", scale=2).truth["modes"]
    assert torch.allclose(ring.norm(dim=1), torch.tensor(2.0))
    assert torch.pdist(ring).min().item() == pytest.approx(4 * np.sin(np.pi / 8)), (
        "neighbours an eighth of a turn apart"
    )
    assert set(toy2d("grid25").truth["modes"].flatten().tolist()) == {-4, -2, 0, 2, 4}
    assert gmm(modes=10).truth["sd"].item() == pytest.approx((15 / 300) ** 0.5)
    assert torch.equal(gmm(modes=5, seed=0).truth["modes"], gmm(modes=5, seed=1).truth["modes"])
    source = toy2d("circles")
    radius = source.decode(source.data).norm(dim=1)
    for inner, (r, share) in enumerate([(15, 0.67), (5, 0.33)]):
        mine = source.labels == inner
        assert abs(radius[mine].mean() - r) < 0.05 and abs(mine.float().mean() - share) < 0.01
    for shape in SHAPES:
        assert 0.7 < toy2d(shape).data.abs().max() < 1.3, "training sees numbers around 1"


def test_huber_is_the_mixture_it_says():
    source = huber(n=50_000)
    clean, dirty = source.data[source.labels == 0], source.data[source.labels == 1]
    assert len(dirty) == 10_000 and torch.equal(source.truth["outlier"], source.labels.bool())
    assert clean.mean(0).norm() < 0.05 and (dirty.mean() - 5).abs() < 0.02
    assert (clean.var() - 1).abs() < 0.01 and (dirty.var(0).mean() - 2).abs() < 0.03
    assert (source.data.mean(0).norm() - 50**0.5).abs() < 0.1  # eps * shift * sqrt(p) = 7.07
    runs = (source.labels[1:] != source.labels[:-1]).sum()
    assert abs(runs - 2 * 0.2 * 0.8 * 50_000) < 500, "rows are shuffled"


def test_huber_membership_by_count_or_by_chance():
    def counts(membership: str) -> list[float]:
        return [huber(0.3, 2, 1000, membership=membership, seed=s).labels.sum().item() for s in range(20)]

    assert set(counts("exact")) == {300}
    assert 8 < np.std(counts("bernoulli")) < 25  # sqrt(1000 * .3 * .7) = 14.5
    assert huber(eps=0.0, n=10).labels.sum() == 0


@pytest.mark.parametrize("make_source", [lambda seed: huber(n=100, seed=seed), lambda seed: toy2d(n=100, seed=seed)])
def test_simulators_are_functions_of_their_seed(make_source):
    assert make_source(1).digest == make_source(1).digest != make_source(2).digest


@pytest.mark.parametrize(
    ("call", "mentions"),
    [
        (lambda: huber(eps=0.5), ["dataset.eps=0.5", "[0, 0.5)"]),
        (lambda: huber(eps=-0.1), ["dataset.eps"]),
        (lambda: huber(n=0), ["dataset.n=0"]),
        (lambda: huber(p=0), ["dataset.p=0"]),
        (lambda: huber(covariance=0.0), ["dataset.covariance"]),
        (lambda: huber(membership="exactly"), ["dataset.membership=exactly", "did you mean exact?"]),
        (lambda: toy2d("ring"), ["dataset.shape=ring", "did you mean ring8?"]),
        (lambda: toy2d(n=-1), ["dataset.n=-1"]),
        (lambda: gmm(modes=0), ["dataset.modes=0"]),
        (lambda: images.digits("", size=12), ["dataset.size=12", "multiple of 8"]),
        (lambda: images.mnist("/nowhere", size=40), ["dataset.size=40", "28"]),
        (lambda: images.cifar10("/nowhere", size=0), ["dataset.size=0"]),
        (lambda: images.celeba("/nowhere", crop=200), ["dataset.crop=200"]),
        (lambda: folder.folder("", "/nowhere", size=0), ["dataset.size=0"]),
        (lambda: folder.folder("", "/nowhere", channels=4), ["dataset.channels=4"]),
        (lambda: folder.folder("", "/nowhere", policy="skp"), ["dataset.policy=skp", "did you mean skip?"]),
    ],
)
def test_arguments_are_judged_before_any_file(call, mentions):
    with pytest.raises(Fault) as refusal:
        call()
    assert refusal.value.code == 2 and all(m in str(refusal.value) for m in mentions)
