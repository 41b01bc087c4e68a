"""Does a loss mean anything? One number of a run against the step, and above it grids of samples from on the way.

python scripts/plot_progress.py RUN [--name game/wasserstein_estimate] [--beside eval/frechet] [--out FILE]

As Arjovsky et al. (2017), Figure 3. Prints Spearman's rank correlation of the number with the one named by --beside
where the run has both.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from plot_runs import read

from gan_runner.pictures import png
from gan_runner.pictures.curves import Curve
from gan_runner.pictures.figure import INK, RULE, label, panels, render

SHOWN = 5
"""Grids above the curve."""


def grids(run: Path) -> dict[int, Tensor]:
    """Step -> grid uint8 RGB (height, width, 3) of SHOWN of the samples that a run folder keeps, evenly chosen.

    Raises:
        ValueError: it keeps none.
    """
    found = {int(p.stem[8:]): p for p in (run / "pictures").glob("samples-*.png") if re.fullmatch(r"\d+", p.stem[8:])}
    if not found:
        raise ValueError(f"{run} keeps no pictures of samples at single steps")
    steps = sorted(found)
    chosen = [steps[int(i)] for i in torch.linspace(0, len(steps) - 1, min(SHOWN, len(steps))).round()]
    return {step: png.read(found[step]) for step in chosen}


def progress(name: str, curve: Curve, pictures: Mapping[int, Tensor]) -> Tensor:
    """The picture, uint8 RGB (height, width, 3): each grid stands above its step, in order, and is numbered there."""
    figure, (ax,) = panels(1, 1, 880, 260)
    ax.plot(*(values.numpy() for values in curve), color=INK, linewidth=1.4)
    for number, step in enumerate(pictures, 1):
        ax.axvline(step, color=RULE, linewidth=0.8, linestyle=":")
        ax.annotate(f"{number}", (step, 1), xycoords=("data", "axes fraction"), ha="right", va="top", color=INK)
    label(ax, "", "step", name)
    plot = render(figure)
    size = plot.shape[1] // len(pictures) - 6
    small = [F.interpolate(p.permute(2, 0, 1)[None].float(), size=(size, size), mode="area") for p in pictures.values()]
    strip = torch.cat([F.pad(p, (3, 3, 6, 6), value=255) for p in small], 3)[0].permute(1, 2, 0).round().byte()
    strip = F.pad(strip, (0, 0, 0, plot.shape[1] - strip.shape[1]), value=255)
    return torch.cat([strip, plot])


def spearman(a: Curve, b: Curve) -> float:
    """Rank correlation of two numbers at the steps they share; NaN where these are fewer than three."""
    first, second = ({int(at): float(value) for at, value in zip(*curve, strict=True)} for curve in (a, b))
    shared = sorted(first.keys() & second.keys())
    if len(shared) < 3:
        return float("nan")
    ranks = [torch.tensor([known[at] for at in shared]).argsort().argsort().double() for known in (first, second)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--name", default="game/wasserstein_estimate", help="the number (%(default)s)")
    parser.add_argument("--beside", default="eval/frechet", help="what it should go with (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("progress.png"), help="the picture (%(default)s)")
    args = parser.parse_args()
    try:
        curve = read(args.run, args.name)
        png.write(args.out, progress(args.name, curve, grids(args.run)))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print(args.out)
    try:
        rank = spearman(curve, read(args.run, args.beside))
        print(f"Spearman's rank correlation of {args.name} with {args.beside}: {rank:.2f}")
    except ValueError as error:
        print(error)


if __name__ == "__main__":
    main()
