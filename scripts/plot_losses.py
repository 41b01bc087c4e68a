"""Both losses of a run by epochs, beside the loss that the outliers it implies would leave the discriminator.

python scripts/plot_losses.py RUN [--every 250] [--out FILE]

Prints a line each so many epochs, or at the next one that was logged, with the mean of what was logged in it.
The picture reads a logistic game as Huber's model: where D isolates a share eps of the real rows and the generator
matches the rest, the generator's scores tell eps and eps tells the discriminator's loss.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner import config
from gan_runner.errors import Fault
from gan_runner.pictures import png
from gan_runner.pictures.curves import Curve, curves

NAMES = ("game/discriminator_loss", "game/generator_loss", "game/loss_at_eps_hat", "game/eps_hat")


def by_epochs(run: Path) -> dict[str, Curve]:
    """Each number of `NAMES` that a run wrote down: where (k,) in epochs, and its mean (k,) over each epoch.

    Raises:
        ValueError: it logged no losses.
    """
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    logged = [row for row in rows if NAMES[0] in row and NAMES[1] in row]
    if not logged:
        raise ValueError(f"{run} has no losses of two players in metrics.jsonl")
    settings = config.read(run)
    rows_per_step = settings["train"]["batch_size"] * settings["loss"].get("n_critic", 1)
    epochs = (
        torch.tensor([row["step"] for row in logged], dtype=torch.float64) * rows_per_step / manifest["data"]["rows"]
    )
    whole = (epochs - 1e-9).ceil()
    found = {}
    for name in (name for name in NAMES if name in logged[0]):
        values = torch.tensor([row[name] for row in logged], dtype=torch.float64)
        ends = whole.unique()
        found[name] = ends, torch.stack([values[whole == end].mean() for end in ends])
    return found


def picture(found: Mapping[str, Curve]) -> Tensor:
    """The losses of both, and what the generator's implies, by epochs."""
    first = {"of D": found[NAMES[0]]}
    if NAMES[2] not in found:
        return curves({"loss of D": first, "loss of G": {"of G": found[NAMES[1]]}}, "epoch")
    first["of D, if a share eps stands apart"] = found[NAMES[2]]
    lines = {
        "loss of D": first,
        "loss of G": {"of G": found[NAMES[1]]},
        "the share that this implies": {"eps": found[NAMES[3]]},
    }
    return curves(lines, "epoch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder")
    parser.add_argument("--every", type=int, default=250, help="epochs between two lines (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("losses.png"), help="the picture (%(default)s)")
    args = parser.parse_args()
    try:
        found = by_epochs(args.run)
    except (OSError, ValueError, Fault) as error:
        sys.exit(str(error))
    epochs, discriminator = found[NAMES[0]]
    due = args.every
    for epoch, of_d, of_g in zip(epochs.int().tolist(), discriminator, found[NAMES[1]][1], strict=True):
        if epoch >= due or epoch == int(epochs[-1]):
            print(f"Epoch: {epoch}, LossD/G: {of_d:.4f}/{of_g:.4f}")
            due = (epoch // args.every + 1) * args.every
    png.write(args.out, picture(found))
    print(args.out)


if __name__ == "__main__":
    main()
