"""docs/stocks.md: the game on days of stocks, read as Huber's model. `make table-stocks` trains the runs first.

python scripts/table_stocks.py RUN... [--out FILE]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from plot_losses import NAMES, by_epochs, picture

from gan_runner.folder import read_json
from gan_runner.pictures import png

EPOCHS = (250, 500, 1000)
SCORES = {
    "its logit": "logit",
    "Mahalanobis": "mahalanobis",
    "IsolationForest": "forest",
    "MinCovDet": "mcd",
    "LOF": "lof",
}
HEAD = """# Days that stand apart

The restricted generator x = z W + b, which makes Gaussian days only, against a p-200-25-1 discriminator, minimax: what
remains for D are the days that no Gaussian explains. If a share eps of them stands apart and the rest is matched, then
L_G = -log(2 - eps), which gives eps, and L_D is what the last columns say. `experiment=stocks` has 20 American stocks
from 1990 to 2016, `experiment=stocks_market` a simulated market with 5 % planted days. Mean ± standard deviation over
seeds {seeds}; settings were chosen on seeds 0 and 100. `make table-stocks` trains the runs and writes this page.

![Losses of the 20 stocks](stocks.png)
"""
FOOT = """
How well scores tell the planted days, as areas under ROC curves:

{detection}

Planted days lie 4 standard deviations of each stock away, all up or all down: their distance from the mean alone tells
them (IsolationForest), so that the last table says what the game sees, not that it was needed.

`python scripts/plot_losses.py RUN` prints a run's own line as the deck has it, `Epoch: 250, LossD/G: 1.3859/-0.6930`.

D goes on to learn days by heart: L_D keeps falling long after 1,000 epochs, and faster with larger rates.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run folders")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/stocks.md", help="the page (%(default)s)")
    args = parser.parse_args()
    groups = defaultdict(list)
    for run in sorted(args.runs):
        groups[read_json(run / "manifest.json")["data"]["name"]].append(run)
    args.out.write_text(page(groups), encoding="utf-8")
    png.write(args.out.with_suffix(".png"), picture(by_epochs(next(g for n, g in groups.items() if n != "market")[0])))
    print(args.out)


def page(groups: dict[str, list[Path]]) -> str:
    """Markdown of both tables."""
    names = {"sp500_dataset": "20 stocks", "market": "simulated market"}
    losses, found = [], {}
    for name, runs in groups.items():
        curves = [by_epochs(run) for run in runs]
        line = [names.get(name, name)]
        for epoch in EPOCHS:
            at = [int((c[NAMES[0]][0] - epoch).abs().argmin()) for c in curves]
            pair = ([float(c[side][1][i]) for c, i in zip(curves, at, strict=True)] for side in NAMES[:2])
            line.append(" / ".join(map(cell, pair)))
        last = {key: [float(c[key][1][-1]) for c in curves] for key in NAMES}
        apart = [abs(d - theory) for d, theory in zip(last[NAMES[0]], last[NAMES[2]], strict=True)]
        losses.append([*line, cell(last[NAMES[3]]), cell(last[NAMES[2]]), f"{max(apart):.4f}"])
        found[name] = [read_json(run / "result.json")["metrics"] for run in runs]
    head = ["data", *(f"L_D / L_G, epoch {e}" for e in EPOCHS), "eps", "L_D by eps", "off by at most"]
    seeds = ", ".join(str(1 + k) for k in range(len(groups["market"])))
    known = {title: [m[f"auroc_{score}"] for m in found["market"]] for title, score in SCORES.items()}
    detection = table([list(known), list(map(cell, known.values()))])
    return HEAD.format(seeds=seeds) + "\n" + table([head, *losses]) + "\n" + FOOT.format(detection=detection)


def table(lines: Sequence[Sequence[str]]) -> str:
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


if __name__ == "__main__":
    main()
