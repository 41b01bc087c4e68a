"""Energy-based models: how near learned densities are to known ones, and what chains make of Fashion-MNIST.

python scripts/table_ebm.py RUN ... [--out FILE]     RUN: a folder that experiment=ebm_toy or ebm_fashion has trained
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner import config
from gan_runner.compare import runs
from gan_runner.folder import read_json

PAGE = """# Energy-based models

`make table-ebm` trains all runs and writes this page.

## The density of points in the plane

`experiment=ebm_toy`: five Gaussians of known places and width; persistent chains at temperature 1, MALA with jumps. The
learned density is exp(-E) / Z with Z summed over a mesh, and its divergence from the true one, KL(p || q) in nats, is 0
where they agree. Seeds {seeds} choose networks, the order of rows, and chains; settings were found by trial on seed 1.

| steps | KL(p \\|\\| q), nats: mean ± sd | each seed |
|---|---|---|
{plane}
"""
IMAGES = """
## Fashion-MNIST

`experiment=ebm_fashion`: samples are ends of chains from uniform noise. Recognised are those whose class a classifier,
trained on the real images, is as sure of as of nine in ten unseen garments. `E gap` is the largest difference, in
absolute value, between the mean energies of real rows and of chains' ends in any interval of training. Minutes are of
one core. The share of chains that restart, and the steps, are a compromise found on these seeds: 0.3 and 7,500 make
73 % recognised, but there the energy tells digits (below) by 0.88 alone. So what the energy has on digits is not
blind to them; what `neighbours` has is, 0.998 with either.

| seed | size | steps | minutes | recognised, % | Fréchet | E gap | E of unseen garments | E of samples |
|---|---|---|---|---|---|---|---|---|
{images}

## Handwritten digits among garments

AUROC: how often a handwritten digit of scikit-learn is stranger than an unseen garment; 0.5 by chance. Digits fill the
image, or stand small in black, 20 of 32 pixels, as MNIST's do in the frame that garments have. The last column is the
mean over unseen garments that were turned upside down, inverted, cut up (twice), shrunk, blurred, or made noisy.
Training sees neither. Scores and their settings were chosen by spoiled training images of other runs, and `{chosen}`
is the one to use: the distance from the nearest training image in the last hidden layer, which
`python -m gan_runner.score run=DIR data=FOLDER scores={chosen}` gives of your own images. Each cell has the mean over
seeds {seeds}, then each seed.

| score | digits | small digits | spoiled garments |
|---|---|---|---|
{scores}

Small digits have little energy, as all plain images have. `pixels`, the same distance without a network, tells them
better than any score of the network: that they are no garments is plain to see. It is spoiled garments that training
helps to tell.
"""
STRANGERS = ("digits", "digits_framed", "disguised")
CHOSEN = "neighbours"
PICTURES = {"learned_density": "ebm-density", "samples": "ebm-samples", "chains": "ebm-chains"} | {
    f"strangers_{score}": f"ebm-strangers-{score}" for score in ("energy", CHOSEN)
}
"""Picture of a run -> its name beside the page."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or folders that hold some")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/ebm.md", help="the page (%(default)s)")
    args = parser.parse_args()
    places = runs(args.runs)
    text = page([read(place) for place in places])
    for picture, name in PICTURES.items():
        found = [place / "pictures" / f"{picture}.png" for place in places]
        if found := [path for path in found if path.exists()]:
            shutil.copy(found[0], args.out.with_name(f"{name}.png"))
            text += f"\n![{picture.replace('_', ' ')} of the first run]({name}.png)\n"
    args.out.write_text(text, encoding="utf-8")
    print(args.out)


def read(place: Path) -> dict[str, Any]:
    """What the page says of a run: settings, final metrics, and the largest gap of energies on the way."""
    cfg, result = config.read(place), read_json(place / "result.json")
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    gaps = [abs(line["game/E_gap"]) for line in lines if "game/E_gap" in line]
    facts = {"seed": cfg["seed"], "size": cfg["dataset"].get("size"), "gap": max(gaps)}
    return facts | {"steps": lines[-1]["step"], "minutes": lines[-1]["time"] / 60} | result["metrics"]


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of the runs' facts: those of the plane in one line per length, those of images one by one."""
    plane = sorted((run for run in found if "density_kl" in run), key=lambda run: run["seed"])
    images = sorted((run for run in found if "energy_real" in run), key=lambda run: run["seed"])
    lines = []
    for steps in sorted({run["steps"] for run in plane}):
        values = [run["density_kl"] for run in plane if run["steps"] == steps]
        spread = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
        lines.append(f"| {steps:,} | {mean(values):.3f}{spread} | {', '.join(f'{v:.3f}' for v in values)} |")
    shown = [
        f"| {run['seed']} | {run['size']} | {run['steps']:,} | {run['minutes']:.0f} | {100 * run['recognised']:.0f} | "
        f"{run['frechet']:.3g} | {run['gap']:.3g} | {run['energy_real']:.3g} | {run['energy_generated']:.3g} |"
        for run in images
    ]
    text = PAGE.format(seeds=seeds(plane), plane="\n".join(lines))
    scores = "\n".join(ranks(images))
    return (
        text + IMAGES.format(images="\n".join(shown), seeds=seeds(images), chosen=CHOSEN, scores=scores)
        if shown
        else text
    )


def seeds(found: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(run["seed"]) for run in found)


def ranks(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each score of runs of images: how well it tells strangers, in the mean and by each run."""
    told = [key.split("_")[1] for key in (found[0] if found else {}) if key.startswith("auroc_")]
    lines = []
    for score in dict.fromkeys(told):
        columns = [[run[f"auroc_{score}_{name}"] for run in found] for name in STRANGERS]
        cells = [f"{mean(each):.3f}: {', '.join(f'{value:.3f}' for value in each)}" for each in columns]
        name = f"**{score}**" if score == CHOSEN else score
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
