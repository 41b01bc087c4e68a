"""`python scripts/table_tables.py [--seeds N]`: docs/tables.md, how good generated rows of tables are.

One named sweep runs all of it, a thread each; repeated, it does only what is not done. Every seed divides the
rows anew.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner.compare import runs
from gan_runner.config import read_yaml
from gan_runner.folder import read_json

SEEDS = 3
ROWS = {"table": "wgan_gp", "table_ns": "ns", "table_r3gan": "r3gan"}
RIVALS = {"_copula": "Gaussian copula", "_independent": "independent columns", "_floor": "training rows"}
SETS = {
    "wine": "wine: 178 rows, 13 numbers, 3 classes",
    "breast_cancer": "breast_cancer: 569 rows, 30 numbers, 2 classes",
}
METRICS = {
    "tstr_accuracy": "TSTR, %",
    "tstr_forest": "forest, %",
    "tstr_logistic": "logistic, %",
    "ks_mean": "KS",
    "tv_mean": "TV",
    "association_error": "association",
    "detection_auroc": "detection",
    "neighbour_ratio": "neighbour ratio",
}
PERCENT = ("tstr_accuracy", "tstr_forest", "tstr_logistic")
PAGE = """# How good are generated rows?

Made by `make table-tables`: mean ± standard deviation over seeds 1 to {seeds}, each of which divides the rows anew into
70 % for training and 30 % that nothing below has learnt from, and of as many samples as there are training rows. Rows
of the tables are experiments, two rivals made from the same training rows, and the training rows themselves, the floor
of every distance (for the neighbour ratio the held-out rows, whose ratio is 1). TSTR: accuracy on held-out rows of a
random forest and of logistic regression that learnt the class from samples, and their mean; that of the training rows
is train on real, test on real. KS and TV: mean distance of single columns from the held-out rows, of numbers and of
categories. Association: mean error of the associations of pairs of columns. Detection: AUROC of gradient boosting that
tells samples from held-out rows, at best 0.5. Neighbour ratio: distance from the nearest training row over that of
held-out rows; far below 1 is copying. The settings were chosen on divisions by seeds 101 and 102.

{tables}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="1, 2, ..., so many (%(default)s)")
    parser.add_argument("--root", type=Path, default=Path("outputs"), help="where runs go (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/tables.md", help="the page (%(default)s)")
    args = parser.parse_args()
    done = subprocess.run(command(args.seeds, args.root), env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit("a run failed: its line is above; repair it and repeat this")
    args.out.write_text(page(results([args.root / "sweeps/tables"]), args.seeds))
    print(args.out)


def command(seeds: int, root: Path) -> list[str]:
    """The sweep over all experiments, data sets and seeds."""
    words = [
        f"experiment={','.join(ROWS)}",
        f"dataset={','.join(SETS)}",
        f"seed={','.join(map(str, range(1, seeds + 1)))}",
    ]
    rest = ["dataset.seed=${seed}", "train.threads=1", "probes.fidelity.every=0", "sweep=tables", f"run.root={root}"]
    return [sys.executable, "-m", "gan_runner", "-m", *words, *rest]


def results(sweeps: Sequence[Path]) -> Any:
    """Final metrics of runs, with the columns experiment and dataset."""
    found = []
    for place in runs(sweeps):
        words = dict(word.split("=", 1) for word in read_yaml(place / "overrides.yaml") if "=" in word)
        row = {"experiment": words["experiment"], "dataset": words["dataset"]}
        found.append(row | read_json(place / "result.json")["metrics"])
    return pd.DataFrame(found)


def page(frame: Any, seeds: int) -> str:
    """The page of `docs/tables.md` for `results`."""
    tables = [f"## {title}\n\n{table(frame[frame.dataset == name])}" for name, title in SETS.items()]
    return PAGE.format(seeds=seeds, tables="\n\n".join(tables))


def table(frame: Any) -> str:
    """The table of one data set; the rivals, which every run meets, from the runs of the first experiment."""
    first = frame[frame.experiment == next(iter(ROWS))]
    lines = [["", *METRICS.values()], ["---"] * (len(METRICS) + 1)]
    lines += [[title, *cells(frame[frame.experiment == name])] for name, title in ROWS.items()]
    lines += [[title, *cells(first, end)] for end, title in RIVALS.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(frame: Mapping[str, Any], end: str = "") -> list[str]:
    """Mean and standard deviation of each metric."""
    scaled = {name: frame[f"{name}{end}"] * (100 if name in PERCENT else 1) for name in METRICS}
    return [f"{column.mean():.3g} ± {column.std():.2g}" for column in scaled.values()]


if __name__ == "__main__":
    main()
