"""`python -m tests.ranks RANK WORLD FOLDER LOSS...`: trains each loss as one of several ranks; FOLDER/RANK.json tells.

For each loss the rows that this rank saw and a digest of its networks and averages.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from tests.test_contract import make, play

STEPS = 6


def trained(loss: str) -> tuple[list[int], str]:
    run = make(loss, "train.threads=1", f"train.steps={STEPS}")
    seen: list[int] = []
    take = type(run.source).take

    def watched(index: Tensor) -> Tensor:
        seen.extend(index.tolist())
        return take(run.source, index)

    object.__setattr__(run.source, "take", watched)
    play(run)
    nets = [p for net in (*run.state.nets.values(), *run.state.average.values()) for p in net.parameters()]
    return seen, hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in nets)).hexdigest()


def main() -> None:
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store{world}", rank=rank, world_size=world)
    found = {loss: trained(loss) for loss in sys.argv[4:]}
    (folder / f"{rank}of{world}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
