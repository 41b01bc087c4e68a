"""`python scripts/plot_runs.py NAME[,NAME...] RUN...`: runs.png, numbers of metrics.jsonl against the step, by run.

For instance `game/wasserstein_estimate` of two WGANs, `game/discriminator_loss,game/generator_loss`,
`eval/class_entropy` with and without minibatch discrimination, or `eval/chamfer` of the four flows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from gan_runner.pictures import png
from gan_runner.pictures.curves import Curve, curves


def read(run: Path, name: str) -> Curve:
    """Steps (k,) at which a run wrote a number down, and the number (k,).

    Raises:
        ValueError: it never did; the message says what it wrote.
    """
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    if not found:
        known = sorted({key for row in rows for key in row} - {"step", "time"})
        raise ValueError(f"{run} has no {name}: choose from {', '.join(known)}")
    return torch.tensor([step for step, _ in found]).double(), torch.tensor([value for _, value in found]).double()


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    names, runs = sys.argv[1].split(","), [Path(word) for word in sys.argv[2:]]
    try:
        panels = {name: {run.name: read(run, name) for run in runs} for name in names}
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    png.write("runs.png", curves(panels, "step"))
    print("runs.png")


if __name__ == "__main__":
    main()
