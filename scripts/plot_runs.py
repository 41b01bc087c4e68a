"""Numbers of several runs in one picture: a panel a number, a curve a run.

python scripts/plot_runs.py NAME[,NAME...] RUN... [--against seconds] [--log] [--out FILE]

For instance `game/wasserstein_estimate` of two WGANs, `game/discriminator_loss,game/generator_loss`,
`eval/class_entropy` with and without minibatch discrimination, or `eval/chamfer` of the four flows.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner.pictures import png
from gan_runner.pictures.curves import Curve, curves


def read(run: Path, name: str, against: str = "step") -> Curve:
    """Where (k,) a run wrote a number down, in steps or in seconds since its start, and the number (k,).

    Raises:
        ValueError: it never did; the message says what it wrote.
    """
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [row for row in rows if row.get(name) is not None]
    if not found:
        known = sorted({key for row in rows for key in row} - {"step", "time"})
        raise ValueError(f"{run} has no {name}: choose from {', '.join(known)}")
    where = [row["step" if against == "step" else "time"] for row in found]
    return torch.tensor(where).double(), torch.tensor([row[name] for row in found]).double()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME[,NAME...]", help="numbers as metrics.jsonl calls them")
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run folders")
    parser.add_argument("--against", choices=("step", "seconds"), default="step", help="what the axis measures")
    parser.add_argument("--log", action="store_true", help="decades upwards")
    parser.add_argument("--out", type=Path, default=Path("runs.png"), help="the picture (%(default)s)")
    args = parser.parse_args()
    try:
        panels = {
            name: {run.name: read(run, name, args.against) for run in args.runs} for name in args.names.split(",")
        }
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    png.write(args.out, curves(panels, args.against, logarithmic=args.log))
    print(args.out)


if __name__ == "__main__":
    main()
