"""`python scripts/table_modes.py [--seeds N] [--images N]`: docs/modes.md, which loss finds all modes of a mixture.

Two named sweeps run side by side, one on each mixture, a thread each; repeated, they do only what is not done.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner.compare import runs
from gan_runner.config import read_yaml
from gan_runner.folder import read_json

ROWS = {
    "toy": "ns",
    "toy_wgan": "wgan",
    "toy_wgan_gp": "wgan_gp",
    "toy_r3gan": "r3gan",
    "toy_vgrow": "vgrow_kl",
    "toy_veegan": "veegan",
    "toy_adagan": "adagan(ns, T=5)",
    "toy_pacgan": "pacgan2",
}
SEEDS, IMAGES = 3, 1_536_000
MIXTURES = ("ring8", "grid25")
METRICS = {"modes": "modes", "high_quality": "high quality, %", "reverse_kl": "reverse KL, nats"}
PAGE = """# Which loss finds all modes?

Made by `make table-modes`: mean ± standard deviation over {seeds} seeds, of 2,500 samples of the averaged generator
(AdaGAN: of its generators as they are). Every row is an experiment: the hidden layers of `model=mlp_toy`, a rate that
falls to 0, and {images:,} rows of real data, so that all discriminators learn from equally many. A sample is of high
quality within three standard deviations of a mode; a mode is found if one such sample is nearest to it; the reverse KL
says how evenly they are spread, missing where there are none (Srivastava et al. 2017). The last row is that of as many
real points.

{table}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="1, 2, ..., so many (%(default)s)")
    parser.add_argument("--images", type=int, default=IMAGES, help="rows of real data a run (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/modes.md", help="the page (%(default)s)")
    args = parser.parse_args()
    sweeps = [subprocess.Popen(command(data, args.seeds, args.images), env=one_thread()) for data in MIXTURES]
    if any(sweep.wait() for sweep in sweeps):
        sys.exit("a run failed: its line is above; repair it and repeat this")
    frame = results([Path("outputs/sweeps") / f"modes-{data}" for data in MIXTURES])
    args.out.write_text(page(frame, args.seeds, args.images))
    print(args.out)


def command(data: str, seeds: int, images: int) -> list[str]:
    """The sweep over all rows and seeds on one mixture."""
    words = [f"experiment={','.join(ROWS)}", f"dataset={data}", f"seed={','.join(map(str, range(1, seeds + 1)))}"]
    rest = [
        f"train.images={images}",
        "~probes.chamfer",
        "~probes.quality",
        "probes.track=reverse_kl",
        f"sweep=modes-{data}",
    ]
    return [sys.executable, "-m", "gan_runner", "-m", *words, *rest]


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def results(sweeps: Sequence[Path]) -> Any:
    """Final metrics and floors of runs, with the columns row and mixture."""
    found = []
    for place in runs(sweeps):
        words = dict(word.split("=", 1) for word in read_yaml(place / "overrides.yaml") if "=" in word)
        row = {"row": ROWS[words["experiment"]], "mixture": words["dataset"]}
        found.append(row | read_json(place / "result.json")["metrics"])
    return pd.DataFrame(found)


def mean_and_sd(cell: Any) -> str:
    known = cell.dropna()
    return (
        f"{known.mean():.3g} ± {known.std():.2g}" if len(known) > 1 else "-" if known.empty else f"{known.mean():.3g}"
    )


def page(frame: Any, seeds: int, images: int) -> str:
    """The page of `docs/modes.md` for `results`."""
    frame = frame.assign(high_quality=100 * frame.high_quality, high_quality_floor=100 * frame.high_quality_floor)
    groups = frame.groupby(["row", "mixture"])
    floors = frame.groupby("mixture")[[f"{metric}_floor" for metric in METRICS]].mean()
    heads = [f"{title}: {data}" for data in MIXTURES for title in METRICS.values()]
    lines = [["", *heads], ["---"] * (len(heads) + 1)]
    for row in [row for row in ROWS.values() if row in set(frame.row)]:
        cells = [groups.get_group((row, data))[metric] for data in MIXTURES for metric in METRICS]
        lines.append([row, *map(mean_and_sd, cells)])
    real = (floors.loc[data, f"{metric}_floor"] for data in MIXTURES for metric in METRICS)
    lines.append(["real rows", *(f"{value:.3g}" for value in real)])
    return PAGE.format(seeds=seeds, images=images, table="\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
