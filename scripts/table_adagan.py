"""AdaGAN's table: the median coverage of runs by the number of modes, for boosted mixtures, an ensemble and one GAN.

python scripts/table_adagan.py RUN ... [--out FILE]     RUN: a folder that experiment=adagan_gmm has trained
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner import config

ROWS = {
    "one GAN": ("TheoryStar", 1),
    "ensemble, T = 10": ("Uniform", 10),
    "boosted, T = 3": ("TheoryStar", 3),
    "boosted, T = 10": ("TheoryStar", 10),
    "other real points": ("", 1),
}
"""Name of a row: the weights it was trained with, and after how many rounds its coverage is read."""

HEAD = """# AdaGAN's coverage

The share of real points, Gaussians at random places of a square, where a mixture of T generators has more density than
at its own lowest 5 % of samples: the median of {runs} runs, seeds {seeds}, which also choose the places. Where model
and data are the same it is about 0.95 (the last row has real points instead of samples), with a standard error of 0.014
a run; above that a model is wider than the data, not better. The ensemble differs from the boosted mixtures in one
setting: all rows weigh alike in every round. `make table-adagan` trains all runs and writes this page. Its settings
were found by trial on seeds 0 and 1.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--out", type=Path, default=Path("adagan.md"), help="the page (%(default)s)")
    args = parser.parse_args()
    found: dict[tuple[str, int, int], dict[int, float]] = defaultdict(dict)
    for run in args.runs:
        cfg = config.read(run)
        weights = cfg["loss"]["weights"]["_target_"].rpartition(".")[2]
        for t, value in enumerate(curve(run), 1):
            found[weights, t, cfg["dataset"]["modes"]][cfg["seed"]] = value
        found["", 1, cfg["dataset"]["modes"]][cfg["seed"]] = curve(run, "reference/coverage")[-1]
    args.out.write_text(page(found), encoding="utf-8")
    print(args.out)


def curve(run: Path, name: str = "eval/coverage") -> list[float]:
    """Coverage after each round."""
    rows = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [row[name] for row in rows if name in row]


def page(found: dict[tuple[str, int, int], dict[int, float]]) -> str:
    """Markdown: the rows of ROWS by the number of modes, and boosted and ensemble round by round.

    Args:
        found: weights, round and number of modes -> seed -> coverage.
    """
    modes, last = sorted({k for _, _, k in found}), max(t for _, t, _ in found)
    seeds = sorted(set.intersection(*(set(values) for values in found.values())))

    def line(name: str, weights: str, t: int) -> str:
        return (
            f"| {name} | " + " | ".join(f"{median(found[weights, t, k][s] for s in seeds):.3f}" for k in modes) + " |"
        )

    header = ["| modes | " + " | ".join(map(str, modes)) + " |", "|---" * (1 + len(modes)) + "|"]
    lines = [*header, *(line(name, *key) for name, key in ROWS.items())]
    for title, weights in (("Boosted", "TheoryStar"), ("Ensemble", "Uniform")):
        lines += ["", f"## {title}, round by round", "", *header]
        lines += [line(f"T = {t}", weights, t) for t in range(1, last + 1)]
    return HEAD.format(runs=len(seeds), seeds=f"{seeds[0]} to {seeds[-1]}") + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
