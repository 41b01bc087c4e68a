"""`python scripts/table_quant.py [--seeds N] [--paths N]`: docs/quant.md, Quant GANs against GARCH on the S&P 500.

One named sweep trains; repeated, it does only what is not done. Each run is then scored on long paths.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

from gan_runner import config
from gan_runner.compare import runs
from gan_runner.construct import construct
from gan_runner.datasets.spec import Source
from gan_runner.folder import read_json
from gan_runner.metrics.quant import beside, days_of
from gan_runner.metrics.rivals import fit_garch
from gan_runner.metrics.stylised import Scale, compare, within
from gan_runner.pictures import png, stylised
from gan_runner.restore import restore

ROWS = {"quant_gan": "TCN", "quant_gan_csvnn": "C-SVNN"}
SEEDS, PATHS, DAYS = 3, 500, 4000
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="1, 2, ..., so many (%(default)s)")
    parser.add_argument("--paths", type=int, default=PATHS, help="of 4,000 days, from each run (%(default)s)")
    parser.add_argument("--root", default="outputs", help="where runs are (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/quant.md", help="the page (%(default)s)")
    args = parser.parse_args()
    if subprocess.run(command(args.seeds, args.root), env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode:
        sys.exit("a run failed: its line is above; repair it and repeat this")
    torch.set_num_threads(1)
    places = list(runs([Path(args.root) / "sweeps/quant"]))
    found = [scores(place, args.paths) for place in places]
    source, rivals = rivals_of(places[0], args.paths)
    args.out.write_text(page(found, rivals, args.seeds, args.paths))
    draw_pictures(source, places, args.out)
    print(args.out)


def command(seeds: int, root: str) -> list[str]:
    """The sweep over all rows and seeds, on all days."""
    words = [f"experiment={','.join(ROWS)}", f"seed={','.join(map(str, range(1, seeds + 1)))}", "dataset.held_out=0.0"]
    return [
        sys.executable,
        "-m",
        "gan_runner",
        "-m",
        *words,
        "probes=none",
        "train.threads=1",
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


def scores(place: Path, n: int) -> dict[str, float | str]:
    """A run's row and minutes, and its scores with each treatment of wild paths."""
    source, coded = coded_paths(place, n, DAYS)
    real = days_of(source)
    plain, scaled = (source.decode(x)[:, 0].double() for x in (coded, (coded - coded.mean()) / coded.std()))
    words = dict(word.split("=", 1) for word in config.read_yaml(place / "overrides.yaml") if "=" in word)
    row = {"row": words["experiment"], "minutes": read_json(place / "status.json")["seconds"] / 60}
    for ending, paths in (("", plain), ("_dropped", plain), ("_replication", scaled)):
        kept = within(paths, real) if ending else torch.ones(n, dtype=torch.bool)
        row |= {f"{name}{ending}": value for name, value in compare(real, paths[kept]).items()}
        row[f"kept{ending}"] = float(kept.double().mean())
    return row


def rivals_of(place: Path, n: int) -> tuple[Source, dict[str, float]]:
    source = source_of(place)
    return source, beside(days_of(source), n, DAYS, Scale())


def mean_and_sd(values: Sequence[float]) -> str:
    return f"{fmean(values):.3g} ± {stdev(values):.1g}" if len(values) > 1 else f"{values[0]:.3g}"


def table(found: Sequence[Mapping], rivals: Mapping[str, float]) -> str:
    """Lines of scores: networks, then GARCH, then the floor."""
    lines = [["", *NAMES.values(), "paths kept, %"], ["---"] * (len(NAMES) + 2)]
    for row, title in ROWS.items():
        for ending, treatment in VARIANTS.items():
            mine = [f for f in found if f["row"] == row]
            cells = [mean_and_sd([f[name + ending] for f in mine]) for name in NAMES]
            lines.append([title + treatment, *cells, f"{100 * fmean(f['kept' + ending] for f in mine):.3g}"])
    for ending, title in (("_garch", "GARCH(1,1)"), ("_floor", "bootstrap of the real path")):
        lines.append([title, *(f"{rivals[name + ending]:.3g}" for name in NAMES), ""])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios(found: Sequence[Mapping], rivals: Mapping[str, float]) -> str:
    """Lines of scores over GARCH's."""
    lines = [["", *NAMES.values()], ["---"] * (len(NAMES) + 1)]
    for row, title in ROWS.items():
        mine = [f for f in found if f["row"] == row]
        lines.append([title, *(f"{fmean(f[name] for f in mine) / rivals[name + '_garch']:.2f}" for name in NAMES)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(found: Sequence[Mapping], rivals: Mapping[str, float], seeds: int, paths: int) -> str:
    """The page of `docs/quant.md`."""
    published = "\n".join(f"| {title} | {' | '.join(cells.split())} |" for title, cells in PUBLISHED.items())
    heads = f"| | {' | '.join(NAMES.values())} |\n{'| --- ' * (len(NAMES) + 1)}|"
    minutes = mean_and_sd([f["minutes"] for f in found])
    return PAGE.format(
        table=table(found, rivals),
        ratios=ratios(found, rivals),
        published=f"{heads}\n{published}",
        seeds=seeds,
        paths=paths,
        minutes=minutes,
    )


def draw_pictures(source: Source, places: Sequence[Path], out: Path) -> None:
    """The three pictures of the first TCN, beside the page."""
    real = days_of(source)
    first = next(place for place in places if "experiment=quant_gan" in config.read_yaml(place / "overrides.yaml"))
    source, coded = coded_paths(first, 100, len(real))
    fake, garch = source.decode(coded)[:, 0].double(), fit_garch(real).paths(100, len(real))
    for name, picture in (("horizons", stylised.horizons), ("memory", stylised.memory), ("fan", stylised.fan)):
        png.write(out.with_name(f"quant-{name}.png"), picture(real, fake, garch))


PAGE = """# Quant GANs against GARCH on the S&P 500

TBD {seeds} {paths} {minutes}
{table}
{ratios}
{published}
"""


if __name__ == "__main__":
    main()
