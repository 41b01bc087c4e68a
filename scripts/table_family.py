"""`python scripts/table_family.py SWEEP`: docs/family.md, GANs and their relatives under one budget of time.

The sweep is that of `python -m gan_runner +experiment=family_fashion`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner import compare, config

NAMES = {
    "ns": "DCGAN, non-saturating",
    "wgan_gp": "DCGAN, WGAN-GP",
    "elbo": "VAE",
    "pcd": "Boltzmann machine, PCD",
    "ebm": "energy-based model",
}
METRICS = ("frechet", "precision", "recall", "density", "coverage")

PAGE = """# GANs and their relatives under one budget of time

Made by `make table-family`: `experiment=family_fashion` gives each method {minutes:g} minutes of training itself on one
core, on Fashion-MNIST at {size}x{size}. Networks and rates are what each loss brings, the rates constant; nothing was
tuned for this table. One seed ({seed}); {n:,} samples from the moving average of the weights against unseen rows, in
the features of a classifier that is right about {accuracy:.0%} of unseen garments. The last line is what real rows
score.

| | steps | minutes | Fréchet | precision | recall | density | coverage | ms a sample |
|---|---|---|---|---|---|---|---|---|
{lines}

What is fast at first need not be best at last: so short a time is early in a GAN's training and late in a Boltzmann
machine's. A sample of the latter is the end of 200 Gibbs steps, one of an energy-based model that of {moves} Langevin
moves; that model learns faster by its preset, `experiment=ebm_fashion`, whose rate is higher and falls.
`dataset.size=32 train.minutes=60` gives GPUs more to do, and

    python -m gan_runner.compare outputs/sweeps/family_fashion --figure family.png

draws this figure of any runs.

![Samples, and what they score and cost](family.png)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="its folder")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/family.md", help="the page (%(default)s)")
    args = parser.parse_args()
    places = compare.runs([args.sweep])
    rows = compare.table(places).set_index("loss").reindex([*NAMES]).dropna(subset=["run"])
    args.out.write_text(page(rows, {loss: config.read(Path(place)) for loss, place in rows["run"].items()}))
    compare.draw([Path(place) for place in rows["run"]], args.out.with_name("family.png"))
    print(args.out)


def page(rows: Any, settings: dict[Any, dict[str, Any]]) -> str:
    """Markdown of a table of runs by their loss, and the settings of each."""
    lines = []
    for loss, row in rows.iterrows():
        values = " | ".join(f"{row[name]:.3g}" for name in METRICS)
        lines.append(
            f"| {NAMES[loss]} | {int(row['step']):,} | {row['minutes']:.1f} | {values} | {row['ms_per_sample']:.3g} |"
        )
    first, one = rows.iloc[0], next(iter(settings.values()))
    floors = " | ".join(f"{first[f'{name}_floor']:.3g}" for name in METRICS)
    return PAGE.format(
        lines="\n".join([*lines, f"| real rows | | | {floors} | |"]),
        minutes=one["train"]["minutes"],
        size=one["dataset"]["size"],
        seed=one["seed"],
        n=one["probes"]["quality"]["n"],
        accuracy=first["feature_accuracy"],
        moves=settings["ebm"]["loss"]["moves"] if "ebm" in settings else "its",
    )


if __name__ == "__main__":
    main()
