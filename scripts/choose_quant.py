"""`python scripts/choose_quant.py`: docs/quant-choice.md, which settings of a Quant GAN unseen days prefer.

Each setting is trained on the first 80 % of the days and scored on the rest, over a GARCH(1,1) fitted to the same days
as the network. The setting with the lowest mean of these ratios is chosen. Repeated, it trains what is not done.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "scripts"))

import torch
from table_quant import DAYS, NAMES, PATHS, coded_paths, lines, mean_and_sd

from gan_runner import config
from gan_runner.compare import runs
from gan_runner.metrics.baselines import fit_garch
from gan_runner.metrics.quant import days_of
from gan_runner.metrics.stylised import compare

DECIDE = ("emd_1", "dy_1", "acf_abs", "leverage")
"""Scores that decide: those that docs/quant.md holds against GARCH."""
RATE, R1 = "optimizer.generator.lr", "loss.penalties.r1.weight"
SETTINGS = {RATE: "3e-4,5e-4", R1: "0.01,0.02"}
SEEDS = "201,202"

PAGE = """# Which settings unseen days prefer

Made by `make choose-quant`: `experiment=quant_gan_csvnn` trained on the first 80 % of the days of the S&P 500, May 2009
to December 2018, and scored on the {unseen} days after them, which no training and no GARCH has seen. Numbers are
scores of {paths} paths over those of a GARCH(1,1) fitted to the same 80 %: mean ± standard deviation over seeds
{seeds}. The setting with the lowest mean of the four is chosen; the settings, their seeds and this rule were fixed
before any of these runs was scored. Widths, batch and length are those of earlier trials on the same 80 %.

{table}

Chosen: {chosen}. [quant.md](quant.md) shows it on all days, by other seeds.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="outputs", help="where runs are (%(default)s)")
    parser.add_argument("--paths", type=int, default=PATHS, help="of 4,000 days, from each run (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/quant-choice.md", help="the page (%(default)s)")
    parser.add_argument("--trained", action="store_true", help="train nothing: score the runs that are complete")
    args = parser.parse_args()
    if not args.trained and subprocess.run(command(args.root), env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode:
        sys.exit("a run failed: its line is above; repair it and repeat this")
    torch.set_num_threads(1)
    places = [p for p in runs([Path(args.root) / "sweeps/quant_choice"]) if (p / "result.json").exists()]
    found = [row(place, args.paths) for place in places]
    args.out.write_text(page(found, args.paths))
    print(args.out)


def command(root: str) -> list[str]:
    """The sweep over all settings and seeds."""
    words = [f"{key}={values}" for key, values in SETTINGS.items()]
    run = ["experiment=quant_gan_csvnn", *words, f"seed={SEEDS}", "probes=none", "train.threads=1"]
    return [sys.executable, "-m", "gan_runner", "-m", *run, f"run.root={root}", "sweep=quant_choice"]


def row(place: Path, n: int) -> dict[str, Any]:
    """A run's setting, and its scores on unseen days over GARCH's."""
    source, coded = coded_paths(place, n, DAYS)
    assert source.held_out is not None
    unseen, paths = days_of(source.held_out), source.decode(coded)[:, 0].double()
    ours, garch = compare(unseen, paths), compare(unseen, fit_garch(days_of(source)).paths(n, DAYS))
    flat = config.flatten(config.read(place))
    setting = f"generator's rate {flat[RATE]:g}, R1 {flat[R1]:g}"
    return {"setting": setting, "seed": flat["seed"], "days": len(unseen)} | {k: ours[k] / garch[k] for k in ours}


def page(found: Sequence[Mapping[str, Any]], paths: int) -> str:
    """The page of `docs/quant-choice.md`."""
    groups = {f["setting"]: [g for g in found if g["setting"] == f["setting"]] for f in found}
    means = {setting: [fmean(f[name] for name in DECIDE) for f in mine] for setting, mine in groups.items()}
    cells = [["", *(NAMES[name] for name in DECIDE), "mean of the four"], ["---"] * (len(DECIDE) + 2)]
    for setting, mine in groups.items():
        values = [mean_and_sd([f[name] for f in mine]) for name in DECIDE]
        cells.append([setting, *values, mean_and_sd(means[setting])])
    return PAGE.format(
        table=lines(cells),
        chosen=min(means, key=lambda setting: fmean(means[setting])),
        unseen=found[0]["days"],
        seeds=", ".join(sorted({str(f["seed"]) for f in found})),
        paths=paths,
    )


if __name__ == "__main__":
    main()
