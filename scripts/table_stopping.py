"""docs/stopping.md: what a run that ends early saves, and what it loses. `make table-stopping` trains the runs first.

python scripts/table_stopping.py SWEEP [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from plot_runs import read

from gan_runner import checkpoint, config
from gan_runner.compare import runs
from gan_runner.evaluate import SCORES, Settings, evaluate, last
from gan_runner.folder import read_json
from gan_runner.pictures import png
from gan_runner.pictures.curves import curves

N = 10_000
"""Samples, and rows of the test split, for each reported figure."""
PAGE = """# Ending a run in time

A discriminator that sees few images learns them by heart, its gradients then tell the generator little, and samples
grow worse again (Karras et al. 2020, "Training generative adversarial networks with limited data").
`experiment=few_fashion` shows it on {rows:,} garments of 16x16 pixels, the non-saturating loss and fully connected
networks. With `train.patience={patience}` the run ends once the Fréchet distance, which is looked at every {every:,}
steps on {selection:,} rows of the training split kept for that, has not been better for so many steps.

`make table-stopping`: {steps:,} steps without patience, and the same runs with it. Fréchet distances below are of {n:,}
samples from the {n:,} rows of the test split, which neither trained the networks nor chose a checkpoint, by
`python -m gan_runner.evaluate run=DIR metrics=frechet n={n}` for the last and with `checkpoint=best` for the best one.
The training rows score {floor:.2g}.

{table}

Saved: {saved} % of the steps. Lost, against the best checkpoint of the run without patience: {lost}. The last
checkpoint without patience is {worse} times as far from real rows.

The features are of a classifier that learned from the same {rows:,} rows and is right about {accuracy:.0%} of unseen
garments, so these distances compare with none of other pages.

![Fréchet distance on rows kept for choosing, with and without patience](stopping.png)
"""
HEAD = ("seed", "steps", "last", "best", "of step", "steps with patience", "best", "of step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="its folder")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/stopping.md", help="the page (%(default)s)")
    args = parser.parse_args()
    places = [place for place in runs([args.sweep]) if (place / "result.json").exists()]
    args.out.write_text(page([outcome(place) for place in places]))
    png.write(args.out.with_suffix(".png"), picture(places))
    print(args.out)


def outcome(place: Path) -> dict[str, Any]:
    """What a run took, and what its last and its best checkpoint score on rows that chose nothing."""
    cfg, result, marked = config.read(place), read_json(place / "result.json"), checkpoint.best(place / "ckpt")
    assert marked is not None
    newest, best = (reported(place, which) for which in ("newest", "best"))
    return {
        "seed": cfg["seed"],
        "patience": cfg["train"]["patience"],
        "every": cfg["probes"]["quality"]["every"],
        "selection": cfg["train"]["selection"],
        "steps": result["step"],
        "best_step": marked[0],
        "last": newest["value"],
        "best": best["value"],
        "floor": best["floor"],
        "accuracy": result["metrics"]["feature_accuracy"],
    }


def reported(place: Path, which: str) -> dict[str, Any]:
    """The Fréchet distance of a checkpoint, as `gan_runner.evaluate` records it."""
    evaluate(Settings(run=str(place), metrics="frechet", n=N, checkpoint=which))
    return last(place / SCORES)["figures"]["frechet"]


def page(found: Sequence[dict[str, Any]]) -> str:
    """The page, from outcomes of runs with patience and without, a pair for each seed."""
    pairs = [
        (full, early)
        for full in found
        for early in found
        if full["seed"] == early["seed"] and full["patience"] is None and early["patience"] is not None
    ]
    pairs.sort(key=lambda pair: pair[0]["seed"])
    lines = [HEAD, ["---"] * len(HEAD)]
    for full, early in pairs:
        cells = [f"{full['seed']}", f"{full['steps']:,}", f"{full['last']:.1f}", f"{full['best']:.1f}"]
        cells += [f"{full['best_step']:,}", f"{early['steps']:,}", f"{early['best']:.1f}", f"{early['best_step']:,}"]
        lines.append(cells)
    first = pairs[0][1]
    share = first["selection"]
    return PAGE.format(
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
        rows=round(60_000 * (1 - share)),
        selection=round(60_000 * share),
        patience=first["patience"],
        every=first["every"],
        steps=pairs[0][0]["steps"],
        n=N,
        floor=fmean(row["floor"] for row in found),
        accuracy=first["accuracy"],
        saved=spread([100 * (1 - early["steps"] / full["steps"]) for full, early in pairs]),
        lost=spread([early["best"] - full["best"] for full, early in pairs]),
        worse=spread([full["last"] / early["best"] for full, early in pairs]),
    )


def spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2g} ± {stdev(values):.2g}"


def picture(places: Sequence[Path]) -> Any:
    """A panel a seed: what looks found, with patience over without."""
    panels: dict[str, dict[str, Any]] = {}
    for place in sorted(places, key=lambda place: config.read(place)["train"]["patience"] or 0):
        cfg = config.read(place)
        name = "with patience" if cfg["train"]["patience"] else "without"
        panels.setdefault(f"Fréchet distance, seed {cfg['seed']}", {})[name] = read(place, "eval/frechet")
    return curves(dict(sorted(panels.items())), "step")


if __name__ == "__main__":
    main()
