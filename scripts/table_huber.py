"""`python scripts/table_huber.py [--all] [--root FOLDER]`: docs/huber.md, robust estimation and outlier detection.

Named sweeps, of which those beside `error against the share of outliers` run with --all only; repeated, they do only
what is not done. The page has a section for each sweep that there is.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner import config
from gan_runner.compare import runs
from gan_runner.construct import construct
from gan_runner.folder import read_json
from gan_runner.metrics.location import error
from gan_runner.metrics.outliers import covariance_determinant
from gan_runner.pictures import png
from gan_runner.pictures.curves import curves

SEEDS = "seed=1,2,3"
WHOLE = ["probes.scatter.n=50000", "probes.detection=null"]
HIDDEN = ["dataset.p=20", "dataset.n=20000", "dataset.shift=1", "dataset.covariance=0.4"]
SWEEPS = {
    "huber-eps": ["experiment=huber_small", "dataset.eps=0.05,0.1,0.2,0.3"],
    "huber-location": ["experiment=huber,huber_demo,huber_hard"],
    "huber-minimax": ["experiment=huber_minimax"],
    "huber-ns": ["experiment=huber_hard", "loss.payoff.power=1", "probes.detection.inversion=0"],
    "huber-cauchy": ["experiment=huber_cauchy", "probes.detection.inversion=0"],
    "huber-scatter": ["experiment=huber_scatter", *WHOLE],
    "huber-hidden": ["experiment=huber_scatter", *HIDDEN, *WHOLE],
}
EPOCHS = 25
"""Epochs over whose means losses are averaged."""

SCORES = ("logit", "mahalanobis", "density", "inversion", "mean", "median", "mcd", "forest", "lof")
HEAD = """# Robust estimation and outlier detection

Made by `make table-huber`, and with all sections by `make table-huber-all`: mean ± standard deviation over seeds 1, 2
and 3, each of which draws its own data. Settings were chosen on seed 101.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="run all sweeps")
    parser.add_argument("--root", type=Path, default=Path("outputs"), help="where runs are (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/huber.md", help="the page (%(default)s)")
    args = parser.parse_args()
    for name in SWEEPS if args.all else ("huber-eps",):
        words = [*SWEEPS[name], SEEDS, "train.threads=1", f"run.root={args.root}", f"sweep={name}"]
        if subprocess.run([sys.executable, "-m", "gan_runner", "-m", *words], check=False).returncode:
            sys.exit("a run failed: its line is above; repair it and repeat this")
    found = {name: results(args.root / "sweeps" / name) for name in SWEEPS if (args.root / "sweeps" / name).is_dir()}
    for name in found.keys() - {"huber-scatter", "huber-hidden"}:
        found[name]["location_error_mcd"] = [by_determinant(place) for place in found[name]["place"]]
    args.out.write_text(page(found), encoding="utf-8")
    png.write(args.out.with_suffix(".png"), against_eps(found["huber-eps"]))
    if "huber-location" in found:
        png.write(args.out.with_name(f"{args.out.stem}-epochs.png"), against_epochs(found["huber-location"]))
    print(args.out)


def results(sweep: Path) -> Any:
    """Final metrics and mean losses of runs, with the columns experiment, eps and place."""
    rows = []
    for place in runs([sweep]):
        words = dict(word.split("=", 1) for word in config.read_yaml(place / "overrides.yaml") if "=" in word)
        history: Any = pd.DataFrame(logged(place, "game/discriminator_loss")).tail(EPOCHS)
        losses = {side: history[f"game/{side}_loss"].mean() for side in ("discriminator", "generator")}
        row = {"experiment": words["experiment"], "eps": config.read(place)["dataset"]["eps"], "place": place}
        rows.append(row | losses | read_json(place / "result.json")["metrics"])
    return pd.DataFrame(rows)


def by_determinant(place: Path) -> float:
    """The error of MinCovDet's location of all rows of a run; half a minute for 50,000 of 50 columns."""
    return error_of_determinant(json.dumps(config.read(place)["dataset"], sort_keys=True))


@cache
def error_of_determinant(dataset: str) -> float:
    source = construct(json.loads(dataset), "dataset", [])
    return error(covariance_determinant(source.decode(source.data))[0], source)


def logged(place: Path, name: str) -> list[dict[str, Any]]:
    """The records of a run that have a number of this name."""
    records = map(json.loads, (place / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [record for record in records if name in record]


def best_losses(eps: float) -> tuple[float, float]:
    """L_D, and L_G without saturation, where D tells outliers from the rest and the rest is matched."""
    h = (1 - eps) / (2 - eps)
    return -(1 - eps) * math.log(h) + math.log(2 - eps), -math.log(h)


# -- the page --------------------------------------------------------------------------------------


def page(found: Mapping[str, Any]) -> str:
    """Markdown: a section for each sweep."""
    parts = [HEAD]
    for name, frame in found.items():
        parts += [SECTIONS[name], table(frame, COLUMNS[name], "eps" if name == "huber-eps" else "experiment")]
        if "auroc_logit" in frame and name != "huber-eps":
            columns = {score: f"auroc_{score}" for score in SCORES if f"auroc_{score}" in frame}
            parts += [AREAS + INVERSION * ("inversion" in columns), table(frame, columns, "experiment")]
    return "\n".join(parts)


def table(frame: Any, columns: Mapping[str, str], key: str) -> str:
    """Markdown: a line for each value of `key`, the mean and standard deviation of each column."""
    known = {title: name for title, name in columns.items() if name in frame}
    lines = [[key, *known], ["---"] * (len(known) + 1)]
    for value, group in frame.groupby(key, sort=key == "eps"):
        lines.append([str(value), *(cell(group[name]) for name in known.values())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cell(values: Any) -> str:
    mean, sd = values.mean(), values.std()
    digits = 2 if abs(mean) >= 2 else 4
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd >= 10**-digits / 2 else "")


LOCATION = {
    "error of b": "location_error",
    "mean of clean rows": "location_error_floor",
    "MinCovDet": "location_error_mcd",
    "medians": "location_error_median",
    "mean": "location_error_mean",
}
GAME = {"L_D": "discriminator", "L_G": "generator", "AUROC": "auroc_logit", "P@k": "precision_logit"}
SCATTER = {
    "error of W^T W": "scatter_error",
    "clean rows": "scatter_error_floor",
    "MinCovDet": "scatter_error_mcd",
    "covariance": "scatter_error_covariance",
    "operator norm": "scatter_error_operator",
    "of MinCovDet": "scatter_error_operator_mcd",
    "error of b": "location_error",
}
COLUMNS = {
    "huber-eps": LOCATION | GAME,
    "huber-location": LOCATION | GAME | {"clean logit": "logit_clean"},
    "huber-ns": LOCATION | GAME | {"clean logit": "logit_clean"},
    "huber-minimax": LOCATION | GAME | {"clean logit": "logit_clean"},
    "huber-cauchy": LOCATION | GAME,
    "huber-scatter": SCATTER,
    "huber-hidden": SCATTER,
}
AREAS = """Area under the ROC curve of each score, logit to inversion the run's own. Density, inversion, mcd and lof are
of 2,000 rows, too few for MinCovDet in 100 columns.
"""
INVERSION = "An affine generator makes every row, so inversion (AnoGAN) can tell nothing here.\n"
THEORY = ", ".join(f"{a:.4f}/{b:.4f}" for a, b in map(best_losses, (0.05, 0.1, 0.2, 0.3)))
SECTIONS = {
    "huber-eps": f"""## Error against the share of outliers

`experiment=huber_small`: 10,000 rows of 10 columns, N(0, I) but for the share eps from N(5, 2 I). L_D and L_G are means
over the last {EPOCHS} epochs; in theory they are {THEORY}.

![The same as curves](huber.png)
""",
    "huber-location": """## Location, and outliers

50,000 rows, a fifth of them outliers: `huber` has 50 columns and outliers from N(5, 2 I), `huber_demo` 100 and N(5, I),
`huber_hard` 50 and N(0.5, I). Where outliers are far, L_D and L_G are 1.2365 and 0.8109 in theory, and the logit of
clean rows is log 0.8 = -0.2231; L_G of `huber_hard` is that of another loss. P@k is the share of outliers among the k
rows with the highest logit, k being their number.

![Error and losses of the first seed](huber-epochs.png)
""",
    "huber-minimax": """The saturating loss, whose L_G is -0.5878 in theory: `experiment=huber_minimax`.
""",
    "huber-ns": """The hard data by the non-saturating loss in place of the redescending one, `experiment=huber_hard
loss.payoff.power=1`. Against the best D of endless data b comes to rest 0.086 from the truth, 0.169 if the loss
saturates, and 0.047 by the redescending loss of power 6.
""",
    "huber-cauchy": """## Heavy tails

`experiment=huber_cauchy`: as `huber`, but both parts are Cauchy's, at 0 and at 5. The clean rows' best is the location
of greatest likelihood.
""",
    "huber-scatter": """## Scatter

`experiment=huber_scatter`: clean rows with correlations 0.5^|i - j|, outliers from N(5, 2 I). Frobenius norms of what
is left of the true matrix, then operator norms; MinCovDet sees all rows. Outliers so far away it leaves out for good,
and does nearly as well as the clean rows' covariance.
""",
    "huber-hidden": """Where outliers are no further from the centre than clean rows, distances cannot find them:
`experiment=huber_scatter dataset.p=20 dataset.n=20000 dataset.shift=1 dataset.covariance=0.4`.
""",
}


# -- pictures --------------------------------------------------------------------------------------


def against_eps(frame: Any) -> torch.Tensor:
    means = frame.groupby("eps")[[*LOCATION.values()]].mean()
    where = torch.tensor(means.index.to_numpy())
    lines = {title: (where, torch.tensor(means[name].to_numpy())) for title, name in LOCATION.items()}
    return curves({"distance from the true location": lines}, "share of outliers", logarithmic=True)


def against_epochs(frame: Any) -> torch.Tensor:
    """Error and losses of the first run of each experiment; the game is over when b stands, long before the end."""
    panels: dict[str, dict[str, Any]] = {"error of b": {}, "L_D": {}, "L_G": {}}
    names = ("eval/location_error", "game/discriminator_loss", "game/generator_loss")
    for experiment, group in frame.groupby("experiment", sort=False):
        place = group.place.iloc[0]
        for panel, name in zip(panels, names, strict=True):
            records = logged(place, name)
            epochs = torch.tensor([record["step"] / 20 for record in records]).double()
            panels[panel][str(experiment)] = epochs, torch.tensor([record[name] for record in records]).double()
    return curves(panels, "epoch")


if __name__ == "__main__":
    main()
