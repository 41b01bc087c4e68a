"""Processes that train together: they see other rows and other noise, and end with the same networks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.test_contract import LOSSES


def together(world: int, folder: Path, losses: list[str]) -> list[dict[str, Any]]:
    """What each rank found."""
    ranks = range(world)
    command = [sys.executable, "-m", "tests.ranks"]
    running = [subprocess.Popen([*command, str(r), str(world), str(folder), *losses], cwd=ROOT) for r in ranks]
    assert [process.wait() for process in running] == [0] * world
    return [json.loads((folder / f"{rank}of{world}.json").read_text()) for rank in ranks]


def test_two_ranks_share_the_rows_of_one_and_agree_on_every_loss(tmp_path: Path) -> None:
    first, second = together(2, tmp_path, LOSSES)
    assert [loss for loss in LOSSES if first[loss][1] != second[loss][1]] == []
    assert len({first[loss][1] for loss in LOSSES}) > len(LOSSES) / 2  # they did train
    losses = ["ns", "wgan_gp", "adagan"]
    (alone,) = together(1, tmp_path, losses)
    for loss in losses:
        assert first[loss][0] != second[loss][0]
        assert first[loss][0] == alone[loss][0][::2] and second[loss][0] == alone[loss][0][1::2]
