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

`experiment=ebm_fashion`: samples are ends of chains from uniform noise. `E gap` is the largest difference, in absolute
value, between the mean energies of real rows and of chains' ends in any interval of training; `AUROC` how often a
handwritten digit of scikit-learn has more energy than an unseen garment: 0.5 by chance. Digits fill the image, or
stand small in black as MNIST's do: plain images have little energy, so these are harder to tell.

| seed | size | steps | minutes | E gap | E of unseen garments | E of samples | AUROC, digits | small digits |
|---|---|---|---|---|---|---|---|---|
{images}
"""
PICTURES = {"learned_density": "ebm-density", "chains": "ebm-chains", "energies": "ebm-energies"}
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
    images = sorted((run for run in found if "auroc_digits" in run), key=lambda run: run["seed"])
    lines = []
    for steps in sorted({run["steps"] for run in plane}):
        values = [run["density_kl"] for run in plane if run["steps"] == steps]
        spread = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
        lines.append(f"| {steps:,} | {mean(values):.3f}{spread} | {', '.join(f'{v:.3f}' for v in values)} |")
    shown = [
        f"| {run['seed']} | {run['size']} | {run['steps']:,} | {run['minutes']:.0f} | {run['gap']:.3g} | "
        f"{run['energy_real']:.3g} | {run['energy_generated']:.3g} | {run['auroc_digits']:.3f} | "
        f"{run['auroc_digits_framed']:.3f} |"
        for run in images
    ]
    seeds = ", ".join(str(run["seed"]) for run in plane)
    text = PAGE.format(seeds=seeds, plane="\n".join(lines))
    return text + IMAGES.format(images="\n".join(shown)) if shown else text


if __name__ == "__main__":
    main()
