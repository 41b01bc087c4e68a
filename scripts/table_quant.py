"""`python scripts/table_quant.py [--seeds A,B] [--paths N]`: docs/quant.md, Quant GANs against GARCH on the S&P 500.

One named sweep trains; repeated, it does only what is not done. Each run is then scored on long paths.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

from gan_runner import config
from gan_runner.compare import runs
from gan_runner.construct import construct
from gan_runner.datasets.spec import Source
from gan_runner.folder import read_json
from gan_runner.metrics.baselines import fit_garch
from gan_runner.metrics.quant import beside, days_of
from gan_runner.metrics.stylised import Scale, compare, within
from gan_runner.pictures import png, stylised
from gan_runner.restore import restore

ROWS = {
    "experiment=quant_gan_long": "C-SVNN, 255 days, memory of 511",
    "experiment=quant_gan_long model.discriminator.hidden=0": "C-SVNN, 255 days, memory of 511, no hidden layer",
    "experiment=quant_gan": "TCN",
    "experiment=quant_gan_csvnn": "C-SVNN",
    "experiment=quant_gan_csvnn dataset.window=255": "C-SVNN, 255 days",
}
"""Words of a run -> its line."""
SEEDS, PATHS, DAYS = "31,32,33,41,42,43,51,52,53", 500, 4000
WORLDS = 60
"""Paths of a GARCH's own making by which it is judged, too."""
HORIZONS = (1, 5, 20, 100)
NAMES = {
    **{f"emd_{t}": f"EMD({t})" for t in HORIZONS},
    **{f"dy_{t}": f"DY({t})" for t in HORIZONS},
    **{"acf": "ACF(r)", "acf_abs": "ACF(\\|r\\|)", "acf_square": "ACF(r²)", "leverage": "leverage"},
}
PUBLISHED = {
    "TCN": ".0039 .0039 .0040 .0154 19.12 21.12 26.33 28.13 .0212 .0248 .0214 .3291",
    "C-SVNN": ".0040 .0040 .0069 .0464 19.85 21.24 25.05 25.81 .0220 .0287 .0245 .3351",
    "GARCH(1,1)": ".0199 .0145 .0276 .0935 32.71 27.48 39.38 46.48 .0223 .0291 .0253 .4636",
}
VARIANTS = {"": "", "_dropped": ", wild paths dropped", "_replication": ", rescaled and wild paths dropped"}


PAGE = """# Quant GANs against GARCH on the S&P 500

Made by `make table-quant`: mean ± standard deviation over seeds, of {paths} generated paths of {days:,} days from each
run's averaged generator. The data are the {count:,} daily log-returns of the S&P 500 from May 2009 to December 2018
(Wiese et al. 2020), windows of 127 days unless a line says 255. The generator has 16 channels and the discriminator 32
where the paper has 80 or 50; the discriminator looks at |x| beside x, and the generator brings its returns to mean 0
and variance 1. Each return is made of as many days of noise as a window has; with a memory of 511, of so many, and the
discriminator judges by means over its window through a hidden layer of 32 neurons (`experiment=quant_gan_long`). Lower
is better everywhere.

- EMD(t): first Wasserstein distance of sums over t days, in standard deviations of the real sums. DY(t): sum over bins
  of |log P_real - log P_generated|, {points} real values to a bin. ACF and leverage: Euclidean distance of the curves
  at lags 1 to 250, the generated one averaged over paths.
- GARCH(1,1), with Gaussian innovations, is fitted by `arch` to the same days and goes through the same functions. The
  bootstrap shows what chance does: single paths of the real one's length, made of its blocks of 100 days on average.
- A perfect model's line shows what chance does where the model is right: the same GARCH judged by {worlds} paths of its
  own making, each as long as the real one. Its ACF(|r|) is no better than what GARCH has on the real path, so scores of
  one path this short cannot tell a model that is right about |r| from this GARCH.
- The decade before, which no run below has seen, chose the first line among networks, windows, memories,
  discriminators, rates, lengths and weights of R1 ([quant-choice.md](quant-choice.md)). Its memory was built and chosen
  on that decade alone; its hidden layer, too, but after six runs without it had been scored on these days, which are
  the second line. The other lines stand beside it: the paper's two networks at its 127 days, of which the TCN is the
  nearer on these days alone, and what was chosen before there were longer memories. Widths and batch were chosen by
  rough trials on these days, no better. The runs below see all days, as the paper's and GARCH do; no checkpoint of
  theirs was chosen: each is judged by its last.
- Seeds differ in ACF(|r|): of seeds 31, 32, 33, 41, 42 and 43 of the first line, five are nearer to the real path than
  GARCH is, of the second line's six, four; the others remember volatility too long. The pictures are of the first.
- Paths of several C-SVNNs put together are no better: those of seeds 31 to 33, of 127 days, have 1.02 times GARCH's
  ACF(|r|), those of 41 to 43 1.06.
- `python -m gan_runner.sample run=DIR n=500 length=4000` makes such paths of a run, as returns and prices; with
  `riskless=0.0001` those of a C-SVNN follow the risk-neutral measure, by which options are priced.
- Paths are wild where a return exceeds twice the real extremes; a public replication drops those, and rescales coded
  paths. Both are shown, rescaled to mean 0 and variance 1; the first line of each network is without either.

{table}

{minutes}

## Over GARCH

Below 1 the network is closer to the real path than GARCH is; above 1 GARCH is still the better model of it.

{ratios}

## As published

Wiese et al. (2020), table 2, in scales that the paper leaves open (units of the EMD, bins of DY, norm of curves):
compare ratios between lines, not numbers with those above.

{published}

## Pictures

Of the first run of "{title}": real in grey, generated in orange, GARCH dotted or shaded.

![Densities of sums over 1, 5, 20 and 100 days](quant-horizons.png)
![Autocorrelations and leverage](quant-memory.png)
![Log-prices](quant-fan.png)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=SEEDS, help="of the runs of each network (%(default)s)")
    parser.add_argument("--paths", type=int, default=PATHS, help="of 4,000 days, from each run (%(default)s)")
    parser.add_argument("--root", default="outputs", help="where runs are (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/quant.md", help="the page (%(default)s)")
    parser.add_argument("--trained", action="store_true", help="train nothing: score the runs that are complete")
    args = parser.parse_args()
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    for row in () if args.trained else ROWS:
        if subprocess.run(command(row, args.seeds, args.root), env=alone).returncode:
            sys.exit("a run failed: its line is above; repair it and repeat this")
    torch.set_num_threads(1)
    places = [p for p in runs([Path(args.root) / "sweeps/quant"]) if (p / "result.json").exists()]
    found = [scores(place, args.paths) for place in places]
    real = days_of(source_of(places[0]))
    rivals = beside(real, args.paths, DAYS, Scale())
    args.out.write_text(page(found, rivals, perfect(real, args.paths, WORLDS), len(real), args.paths))
    draw_pictures(real, min(places, key=lambda place: [*ROWS].index(row_of(place))), args.out)
    print(args.out)


def command(row: str, seeds: str, root: str) -> list[str]:
    """The sweep of a row over all seeds, on all days."""
    words = [*row.split(), f"seed={seeds}"]
    return [
        sys.executable,
        "-m",
        "gan_runner",
        "-m",
        *words,
        "dataset.held_out=0.0",
        "probes=none",
        "train.threads=1",
        "train.program=compiled",
        f"run.root={root}",
        "sweep=quant",
    ]


def source_of(place: Path) -> Source:
    return construct(config.read(place)["dataset"], "dataset")


def coded_paths(place: Path, n: int, days: int) -> tuple[Source, Tensor]:
    """A run's data, and paths (n, columns, days) in the scale of training by its last weights' average."""
    _, draw, _ = restore(place, "newest", seed=0, device_name="cpu")
    paths = draw.paths(n, days)
    assert paths is not None
    return source_of(place), paths


def scores(place: Path, n: int) -> dict[str, Any]:
    """A run's row and minutes, and its scores with each treatment of wild paths."""
    source, coded = coded_paths(place, n, DAYS)
    real = days_of(source)
    plain, scaled = (source.decode(x)[:, 0].double() for x in (coded, (coded - coded.mean()) / coded.std()))
    status, cfg = read_json(place / "status.json"), config.read(place)
    row: dict[str, Any] = {"row": row_of(place), "seed": cfg["seed"], "steps": status["step"]}
    row["minutes"] = json.loads((place / "metrics.jsonl").read_text().splitlines()[-1])["time"] / 60
    for ending, paths in (("", plain), ("_dropped", plain), ("_replication", scaled)):
        kept = within(paths, real) if ending else torch.ones(n, dtype=torch.bool)
        found = compare(real, paths[kept]) if kept.any() else dict.fromkeys(NAMES, math.nan)
        row |= {f"{name}{ending}": value for name, value in found.items()}
        row[f"kept{ending}"] = float(kept.double().mean())
    return row


def row_of(place: Path) -> str:
    """The words by which a run has its line; none if it has no line."""
    own = ("experiment=", "dataset.window=", "model.")
    words = {word for word in config.read_yaml(place / "overrides.yaml") if word.startswith(own)}
    return next((row for row in ROWS if {*row.split()} == words), "")


def mean_and_sd(values: Sequence[float]) -> str:
    return f"{fmean(values):.3g} ± {stdev(values):.2g}" if len(values) > 1 else f"{values[0]:.3g}"


def of_rows(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Runs by experiment, in the order of the table; experiments without runs are left out."""
    groups = {row: [f for f in found if f["row"] == row] for row in ROWS}
    return {row: mine for row, mine in groups.items() if mine}


def lines(cells: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def perfect(real: Tensor, paths: int, worlds: int) -> dict[str, list[float]]:
    """Scores of the GARCH fitted to a path, each of as many paths of its own making in place of the real one."""
    garch = fit_garch(real)
    law = garch.paths(paths, DAYS)
    found = [compare(world, law) for world in garch.paths(worlds, len(real), seed=1)]
    return {name: [scores[name] for scores in found] for name in NAMES}


def table(
    found: Sequence[Mapping[str, Any]], rivals: Mapping[str, float], chance: Mapping[str, Sequence[float]]
) -> str:
    """Scores: networks, then GARCH, then what chance does."""
    cells = [["", *NAMES.values(), "paths kept, %"], ["---"] * (len(NAMES) + 2)]
    for row, mine in of_rows(found).items():
        for ending, treatment in VARIANTS.items():
            values = [mean_and_sd([f[name + ending] for f in mine]) for name in NAMES]
            cells.append([ROWS[row] + treatment, *values, f"{100 * fmean(f['kept' + ending] for f in mine):.3g}"])
    for ending, title in (("_garch", "GARCH(1,1)"), ("_floor", "bootstrap of the real path")):
        cells.append([title, *(f"{rivals[name + ending]:.3g}" for name in NAMES), ""])
    cells.append(["a perfect model", *(mean_and_sd(chance[name]) for name in NAMES), ""])
    return lines(cells)


def ratios(
    found: Sequence[Mapping[str, Any]], rivals: Mapping[str, float], chance: Mapping[str, Sequence[float]]
) -> str:
    """Scores over GARCH's."""
    cells = [["", *NAMES.values()], ["---"] * (len(NAMES) + 1)]
    for row, mine in of_rows(found).items():
        values = ([f[name] / rivals[name + "_garch"] for f in mine] for name in NAMES)
        cells.append([ROWS[row], *(mean_and_sd(value) for value in values)])
    right = (mean_and_sd([value / rivals[name + "_garch"] for value in chance[name]]) for name in NAMES)
    return lines([*cells, ["a perfect model", *right]])


def page(
    found: Sequence[Mapping[str, Any]],
    rivals: Mapping[str, float],
    chance: Mapping[str, Sequence[float]],
    count: int,
    paths: int,
) -> str:
    """The page of `docs/quant.md`."""
    published = [[title, *cells.split()] for title, cells in PUBLISHED.items()]
    return PAGE.format(
        table=table(found, rivals, chance),
        ratios=ratios(found, rivals, chance),
        published=lines([["", *NAMES.values()], ["---"] * (len(NAMES) + 1), *published]),
        minutes=training(found),
        points=Scale().points_per_bin,
        title=ROWS[next(iter(of_rows(found)))],
        count=count,
        paths=paths,
        days=DAYS,
        worlds=WORLDS,
    )


def training(found: Sequence[Mapping[str, Any]]) -> str:
    """How long runs took, and which seeds there are."""
    parts = []
    for row, mine in of_rows(found).items():
        minutes = mean_and_sd([f["minutes"] for f in mine])
        seeds = ", ".join(str(f["seed"]) for f in mine)
        parts.append(f"{ROWS[row]}, seeds {seeds}: {mine[0]['steps']:,} steps in {minutes} minutes")
    return f"Training on one thread: {'; '.join(parts)}."


def draw_pictures(real: Tensor, place: Path, out: Path) -> None:
    """The three pictures of a run, beside the page."""
    source, coded = coded_paths(place, 100, len(real))
    fake, garch = source.decode(coded)[:, 0].double(), fit_garch(real).paths(100, len(real))
    for name, picture in (("horizons", stylised.horizons), ("memory", stylised.memory), ("fan", stylised.fan)):
        png.write(out.with_name(f"quant-{name}.png"), picture(real, fake, garch))


if __name__ == "__main__":
    main()
