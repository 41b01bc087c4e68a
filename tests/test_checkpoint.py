"""Checkpoints: damage is noticed, a kill or a full disk costs nothing that was saved, no code is ever run.

Each law is also put to a mutant of the module, a copy with one line changed, and must catch it.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import re
import resource
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.serialization import get_crc32_options

from gan_runner import checkpoint, folder
from gan_runner.errors import Fault, MissingInput, StorageError, Unsafe

fork = multiprocessing.get_context("fork")


def mutant(*swaps: tuple[str, str]) -> Any:
    """The module with pieces of its source exchanged."""
    source = Path(checkpoint.__file__).read_text()
    for old, new in swaps:
        assert source.count(old) == 1, f"{old!r} is no longer in checkpoint.py exactly once: mend the mutant"
        source = source.replace(old, new)
    made = ModuleType("mutant")
    exec(compile(source, "mutant", "exec"), made.__dict__)
    return made


def state(step: int, size: int = 100) -> dict[str, Any]:
    return {"net": {"weight": torch.arange(size) + float(step)}, "clock": {"step": step}}


def save(place: Path, *numbers: int, module: Any = checkpoint, **options: Any) -> Path:
    """The last of several checkpoints."""
    return [module.save(place, state(n), step=n, facts={"fingerprint": "f"}, **options) for n in numbers][-1]


def names(place: Path) -> list[str]:
    return sorted(p.name for p in place.iterdir())


def reseal(path: Path, **changes: Any) -> None:
    """Make a manifest say something else and agree with itself, as a stranger could."""
    body = json.loads((path / "manifest.json").read_text()) | changes
    del body["seal"]
    (path / "manifest.json").write_text(json.dumps(body | {"seal": checkpoint._seal(body)}))


# -- what is saved comes back ----------------------------------------------------------------------


def test_what_is_saved_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crc: list[bool] = []
    monkeypatch.setattr(torch, "save", lambda *a, do=torch.save: (crc.append(get_crc32_options()), do(*a)))
    tensors = {t: torch.ones(3, 0, 2).to(t) for t in (torch.bfloat16, torch.float64, torch.uint8, torch.bool)}
    told = {"tensors": list(tensors.values()), "scalar": torch.tensor(-0.0), "rate": 1e-300, "none": None, "name": "ü"}
    path = checkpoint.save(tmp_path / "ckpt", told, step=12_000, facts={"loss": {"beta": 0.5}})
    found, loaded, manifest = checkpoint.newest(tmp_path / "ckpt")
    assert path == found == tmp_path / "ckpt" / "step-00012000"
    pairs = zip([*told.pop("tensors"), told.pop("scalar")], [*loaded.pop("tensors"), loaded.pop("scalar")], strict=True)
    for old, new in pairs:
        assert old.dtype == new.dtype and old.shape == new.shape and torch.equal(old, new)
    assert loaded == told
    assert (manifest["step"], manifest["facts"], manifest["torch"]) == (
        12_000,
        {"loss": {"beta": 0.5}},
        torch.__version__,
    )
    assert manifest["bytes"] == (path / "state.pt").stat().st_size
    assert crc == [False] and get_crc32_options()  # off only while it saves


def test_a_name_is_never_given_twice(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    before = (path / "state.pt").stat()
    checkpoint.save(tmp_path, state(99), step=1, facts={})
    assert (path / "state.pt").stat() == before
    os.truncate(path / "state.pt", 10)
    with pytest.warns(UserWarning, match="damaged"):
        save(tmp_path, 1)
    assert torch.equal(checkpoint.load(path)[0]["net"]["weight"], state(1)["net"]["weight"])
    assert [n[:18] for n in names(tmp_path)] == [".bad-step-00000001", "step-00000001"]


# -- what is kept ----------------------------------------------------------------------------------


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    assert checkpoint.best(tmp_path) is None
    for step in (99_999_998, 99_999_999, 100_000_000, 100_000_001):  # one more digit is still newer
        save(tmp_path, step)
        if step == 99_999_998:
            checkpoint.mark_best(tmp_path, step, 1.5)
    kept = ["best.json", "step-100000000", "step-100000001", "step-99999998"]
    assert names(tmp_path) == kept and checkpoint.best(tmp_path) == (99_999_998, 1.5)
    assert checkpoint.best_saved(tmp_path)[1]["clock"] == {"step": 99_999_998}
    checkpoint.mark_best(tmp_path, 100_000_001, 1.25)
    save(tmp_path, 100_000_002, 100_000_003, keep=3)
    assert names(tmp_path) == ["best.json", "step-100000001", "step-100000002", "step-100000003"]


def test_a_best_that_is_lost_is_forgotten(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="F04"):
        checkpoint.best_saved(tmp_path)
    path = save(tmp_path, 1, 2)
    checkpoint.mark_best(tmp_path, 2, 1.5)
    os.truncate(path / "state.pt", 10)
    with pytest.raises(MissingInput, match=r"F04.*damaged"):
        checkpoint.best_saved(tmp_path)
    with pytest.warns(UserWarning, match="damaged"):
        checkpoint.newest(tmp_path)
    assert checkpoint.best(tmp_path) is None


def test_what_cannot_be_deleted_stays_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(old: Any, new: Any, do: Any = os.rename) -> None:
        if ".trash-" in str(new):
            raise PermissionError(errno.EPERM, "not permitted")
        do(old, new)

    monkeypatch.setattr(os, "rename", rename)
    save(tmp_path, 1, 2, 3)
    assert names(tmp_path) == ["step-00000001", "step-00000002", "step-00000003"]


def test_a_sweep_removes_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for name in (".tmp-1", ".trash-1", ".bad-step-00000002-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.pt").touch()
    checkpoint.sweep(tmp_path)
    assert names(tmp_path) == [".bad-step-00000002-1", "step-00000001"]


# -- damage ----------------------------------------------------------------------------------------


def damages(path: Path) -> Iterator[str]:
    """Damage a checkpoint in a hundred ways, one at a time: 60 truncations, 40 flipped bits."""
    rng = random.Random(0)
    for way in range(100):
        file = path / ("manifest.json" if way % 4 == 0 else "state.pt")
        whole = file.read_bytes()
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        flipped = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
        file.write_bytes(whole[:at] if way < 60 else flipped)
        yield f"{file.name} {'cut at' if way < 60 else f'bit {bit} flipped at'} {at}"
        file.write_bytes(whole)


def unnoticed(module: Any, place: Path) -> list[str]:
    """Damages of the newest checkpoint after which it is still used, or which were not told once."""
    path, missed = save(place, 1, 2), []
    for damage in damages(path):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                step = module.newest(place)[1]["clock"]["step"]
            except Exception as error:
                step = repr(error)
        if step != 1 or len(told) != 1:
            missed.append(f"{damage}: {step}")
        for bad in place.glob(".bad-step-00000002-*"):
            bad.rename(path)
    return missed


def test_every_damage_is_noticed_and_the_older_checkpoint_is_used(tmp_path: Path) -> None:
    assert unnoticed(checkpoint, tmp_path) == []


@pytest.mark.parametrize(
    "line",
    ['hashlib.file_digest(file, "sha256").hexdigest() != manifest["sha256"]', "not sealed"],
)
def test_the_damage_test_catches_a_load_that_does_not_look(tmp_path: Path, line: str) -> None:
    assert unnoticed(mutant((f"if {line}:", "if False:")), tmp_path)


def test_with_no_good_checkpoint_left_it_says_so(tmp_path: Path) -> None:
    for path in (save(tmp_path, 1), save(tmp_path, 2)):
        (path / "manifest.json").unlink()
    with pytest.warns(UserWarning, match="no manifest.json") as told, pytest.raises(MissingInput) as refusal:
        checkpoint.newest(tmp_path)
    assert len(told) == 2 and refusal.value.code == 66 and "F04" in str(refusal.value)
    assert all(n.startswith(".bad-step-0000000") for n in names(tmp_path))


def test_a_checkpoint_pruned_while_it_is_looked_at_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, 2)
    listed = checkpoint.steps

    def slow(place: Path) -> list[Path]:
        found = listed(place)
        monkeypatch.setattr(checkpoint, "steps", listed)
        save(place, 3, 4)  # meanwhile the run goes on
        return found

    monkeypatch.setattr(checkpoint, "steps", slow)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoint.newest(tmp_path)[0].name == "step-00000004"


# -- the disk --------------------------------------------------------------------------------------

COMMIT = """
    flush the run folder
    flush tmp/state.pt
    flush tmp/manifest.json
    flush tmp
    rename tmp to step-00000003
    flush the checkpoints
    read step-00000003/state.pt
    rename step-00000001 to trash
"""


def story(module: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a third save asks of the disk."""
    save(place, 1, 2)
    told: list[str] = []

    def short(path: Any) -> str:
        named = {place: "the checkpoints", place.parent: "the run folder"}.get(Path(path))
        return named or re.sub(r"^\.(tmp|trash)-\w{32}", r"\1", str(Path(path).relative_to(place)))

    def fsync(descriptor: int, do: Any = os.fsync) -> None:
        told.append(f"flush {short(os.readlink(f'/proc/self/fd/{descriptor}'))}")
        do(descriptor)

    def rename(old: Any, new: Any, do: Any = os.rename) -> None:
        told.append(f"rename {short(old)} to {short(new)}")
        do(old, new)

    def digest(file: Any, kind: str, do: Any = hashlib.file_digest) -> Any:
        told.append(f"read {short(file.name)}")
        return do(file, kind)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "rename", rename)
        patch.setattr(hashlib, "file_digest", digest)
        save(place, 3, module=module)
    return "".join(f"\n    {line}" for line in told) + "\n"


def test_a_commit_is_flushed_named_read_back_and_only_then_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert story(checkpoint, tmp_path / "ckpt", monkeypatch) == COMMIT


RENAME = "        os.rename(draft, path)\n"


@pytest.mark.parametrize(
    "swap",
    [
        ("        sync(folder)\n", ""),
        ("            sync(part)\n", "            pass\n"),
        (", draft / MANIFEST, draft)", ", draft)"),
        (f"{RENAME}        sync(folder)\n", f"        sync(folder)\n{RENAME}"),
        (RENAME, f"{RENAME}        _prune(folder, keep)\n"),
        ("if not _stands(path):", "if False:"),
    ],
    ids=[
        "no flush of the folder",
        "no flush of files",
        "one file not flushed",
        "named late",
        "prunes early",
        "no look",
    ],
)
def test_the_story_catches_a_save_that_skips_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: tuple[str, str]
) -> None:
    assert story(mutant(swap), tmp_path / "ckpt", monkeypatch) != COMMIT


def save_until_killed(module: Any, place: Path, told: Any) -> None:
    for step in itertools.count(1):
        module.save(place, state(step, 1 << 20), step=step, facts={})
        told.send(step)


def kill(module: Any, place: Path, after: float) -> str:
    """What a kill -9 in a loop of saves has destroyed; empty where nothing is."""
    module.save(place, state(0), step=0, facts={})
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=save_until_killed, args=(module, place, sender))
    child.start()
    sender.close()
    time.sleep(after)
    child.kill()
    child.join()
    last = 0
    with suppress(EOFError):
        while True:
            last = receiver.recv()
    try:
        for path in checkpoint.steps(place):
            checkpoint.verify(path)
        _, loaded, manifest = checkpoint.newest(place)
    except Fault as fault:
        return fault.what
    same = torch.equal(loaded["net"]["weight"], torch.arange(len(loaded["net"]["weight"])) + float(manifest["step"]))
    return "" if same and manifest["step"] >= last else f"step {last} was told saved, {manifest['step']} is there"


def test_fifteen_kills_destroy_nothing_that_was_saved(tmp_path: Path) -> None:
    rng, drafts = random.Random(1), 0
    for n in range(15):
        place = tmp_path / str(n)
        assert kill(checkpoint, place, rng.uniform(0.01, 0.2)) == ""
        drafts += len(list(place.glob(".tmp-*")))
        checkpoint.sweep(place)
        assert all(name.startswith("step-") for name in names(place))
    assert drafts > 0  # some kills did hit a save


def test_the_kills_catch_a_save_in_place(tmp_path: Path) -> None:
    in_place = mutant(
        ('path, draft = _place(folder, step), folder / f".tmp-{uuid4().hex}"', "path = draft = _place(folder, step)"),
        ("    finally:\n        shutil.rmtree(draft, ignore_errors=True)\n", ""),
    )
    rng = random.Random(2)
    assert any(kill(in_place, tmp_path / str(n), rng.uniform(0.01, 0.2)) for n in range(15))


@pytest.mark.parametrize("room", [0, 1, 600, 1500])
def test_a_full_disk_costs_nothing_that_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    save(tmp_path, 1, 2)
    before = names(tmp_path)

    class Full(checkpoint._Hashing):
        left = room

        def write(self, data: Any) -> int:
            self.left -= len(data)
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_Hashing", Full)
        with pytest.raises(StorageError) as refusal:
            save(tmp_path, 3)
    assert refusal.value.code == 74 and names(tmp_path) == before and get_crc32_options()
    for part in ("error[F02]", str(tmp_path), "step 3", "No space left on device", f"kept: {tmp_path}/step-00000002"):
        assert part in str(refusal.value)
    assert checkpoint.newest(tmp_path)[1]["clock"]["step"] == 2
    save(tmp_path, 3)  # once there is room again


def save_large(place: Path, told: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        checkpoint.save(place, state(2, 1 << 20), step=2, facts={})
    except StorageError as fault:
        told.send((fault.code, str(fault)))


def test_a_file_over_the_limit_costs_nothing_that_was_saved(tmp_path: Path) -> None:
    save(tmp_path, 1)
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=save_large, args=(tmp_path, sender))
    child.start()
    child.join()
    code, said = receiver.recv()
    assert code == 74 and "File too large" in said and names(tmp_path) == ["step-00000001"]


@pytest.mark.root
def test_a_disk_that_really_is_full(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        save(tmp_path, 1)
        with pytest.raises(StorageError, match="No space left"):
            checkpoint.save(tmp_path, state(2, 1 << 20), step=2, facts={})
        assert names(tmp_path) == ["step-00000001"]
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with pytest.raises(StorageError, match="Read-only"):
            save(tmp_path, 2)
        assert checkpoint.newest(tmp_path)[1]["clock"]["step"] == 1
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_error_that_is_not_the_disks_keeps_its_type(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path, state(1), step=1, facts={"device": torch.device("cpu")})
    assert names(tmp_path) == []


def test_a_disk_that_lies_is_found_out_before_anything_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, 2)

    def lie(path: Path) -> None:
        folder.sync(path)
        if path.name == "state.pt":
            os.truncate(path, path.stat().st_size - 1)

    monkeypatch.setattr(checkpoint, "sync", lie)
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(StorageError, match=r"other bytes.*step-00000002"):
        save(tmp_path, 3)
    assert [n for n in names(tmp_path) if n[0] != "."] == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_failing_read_is_tried_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    save(tmp_path, 1, 2)
    waits: list[float] = []
    answers = itertools.chain(itertools.repeat(errno.EIO, failures), itertools.repeat(0))

    def failing(*args: Any) -> Any:
        if code := next(answers):
            raise OSError(code, os.strerror(code))
        return open(*args)

    monkeypatch.setattr(checkpoint, "open", failing, raising=False)
    monkeypatch.setattr(checkpoint.time, "sleep", waits.append)
    if failures == 3:
        with pytest.raises(StorageError, match=r"F66.*cannot read .*step-00000002: Input/output error") as refusal:
            checkpoint.newest(tmp_path)
        assert refusal.value.code == 74
    else:
        assert checkpoint.newest(tmp_path)[1]["clock"]["step"] == 2
    assert waits == [0.1, 0.4][:failures] and names(tmp_path) == ["step-00000001", "step-00000002"]


# -- strangers -------------------------------------------------------------------------------------


class Malicious:
    """A pickle that makes a folder."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("force", ["0", "1"])
def test_no_code_in_a_checkpoint_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: str) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", force)
    trace, place = tmp_path / "trace", tmp_path / "ckpt"
    path = save(place, 1, 2)
    torch.save({"net": Malicious(trace)}, path / "state.pt")
    with pytest.warns(UserWarning, match="damaged"):
        assert checkpoint.newest(place)[1]["clock"]["step"] == 1
    path = place / "step-00000001"
    torch.save({"net": Malicious(trace)}, path / "state.pt")
    reseal(path, sha256=hashlib.sha256((path / "state.pt").read_bytes()).hexdigest())
    with pytest.raises(Unsafe, match="F63") as refusal:
        checkpoint.newest(place)
    assert refusal.value.code == 77 and not trace.exists() and path.exists()
    torch.load(path / "state.pt", weights_only=False)
    assert trace.exists()  # the file was armed


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    reseal(save(tmp_path, 1, 2), schema=2)
    with pytest.raises(MissingInput, match=r"F09.* format 2") as refusal:
        checkpoint.newest(tmp_path)
    assert refusal.value.code == 66 and names(tmp_path) == ["step-00000001", "step-00000002"]


def test_another_torch_is_told(tmp_path: Path) -> None:
    reseal(save(tmp_path, 1), torch="2.10.0")
    with pytest.warns(UserWarning, match=r"torch 2\.10\.0: bits may differ"):
        assert checkpoint.newest(tmp_path)[1]["clock"]["step"] == 1
