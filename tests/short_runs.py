"""A run of twelve steps in the folder r, saved at 6 and 12: what the tests of faults disturb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from gan_runner import checkpoint, train
from gan_runner.errors import Fault
from tests.conftest import compose

TOY = ("dataset=ring8", "dataset.n=300", "train.batch_size=16", "probes=none", "model.generator.hidden=[8]")
TIMES = ("model.discriminator.hidden=[8]", "train.steps=12", "train.log_every=5", "train.checkpoint_every=6")


def configured(*overrides: str) -> dict[str, Any]:
    return compose(*TOY, *TIMES, "run.dir=r", *overrides)


def run(*overrides: str) -> int:
    """The exit code of a run in the folder r."""
    return train.train(configured(*overrides), [])[0]


def refusal(*overrides: str) -> Fault:
    with pytest.raises(Fault) as caught:
        run(*overrides)
    line = str(caught.value)
    assert line.startswith(f"gan_runner: error[{caught.value.id}]: ") and "\n" not in line
    return caught.value


def status() -> dict[str, Any]:
    return json.loads(Path("r/status.json").read_text())


def saved() -> list[int]:
    return [int(p.name[5:]) for p in checkpoint.steps(Path("r/ckpt"))]


def bits(place: str = "r") -> list[Any]:
    """Every number of the newest checkpoint."""
    state = checkpoint.newest(Path(place) / "ckpt")[1]
    return [x.tolist() if isinstance(x, torch.Tensor) else x for x in tree_leaves(state)]


def whole(*overrides: str) -> list[Any]:
    """The bits that an undisturbed run ends with."""
    assert run("run.dir=whole", *overrides) == 0
    return bits("whole")


def every_file() -> set[tuple[Path, int]]:
    return {(p, p.stat().st_mtime_ns) for p in Path("r").rglob("*") if p.is_file() and p.name != "run.lock"}
