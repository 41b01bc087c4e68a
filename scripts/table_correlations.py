"""`python scripts/table_correlations.py RUN ... [--out FILE]`: do correlation matrices have the facts of real ones?

RUN: folders that the experiments of ROWS have trained. Beside the page, a PNG of its name shows one run of each.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner import config
from gan_runner.construct import construct
from gan_runner.datasets.spec import Source
from gan_runner.folder import read_json
from gan_runner.metrics.matrices import CorrelationFacts, coefficients
from gan_runner.metrics.rows import some
from gan_runner.pictures import png
from gan_runner.pictures.matrices import facts, heat_maps
from gan_runner.restore import restore

DATA = {"correlations": "Twenty stocks", "hcbm": "Nested blocks"}
ROWS = {"dcgan_tf": "CorrGAN, original game", "corrgan": "CorrGAN", "correlation": "by construction"}
"""The modules of the generators, which tell the experiments apart."""
COLUMNS = {
    "rho_ks": "coefficients: KS",
    "rho_mean_error": "mean",
    "lambda_1_error": "λ1, %",
    "one_signed": "one sign, %",
    "cophenetic_error": "cophenetic",
    "degree_max_error": "largest degree, %",
    "degree_slope_error": "slope, %",
    "facts_held": "facts held",
}
PERCENT = ("lambda_1_error", "one_signed", "degree_max_error", "degree_slope_error")
COUNT, DAYS = 1000, 252
"""Matrices of each kind, as the runs compare them, and days behind each."""

PAGE = """# Do generated correlation matrices have the stylised facts of real ones?

Made by `make table-correlations`: mean ± standard deviation over seeds {seeds}, of {count:,} samples of each run after
projection to the nearest correlation matrices, against as many training rows; the second table of each data set is
against rows that training has never seen. Facts are those of CorrGAN (Marti 2019): the distribution of the coefficients
(Kolmogorov-Smirnov distance, difference of means), the largest eigenvalue λ1, first eigenvectors whose entries have one
sign (the share itself), the hierarchy (difference of the mean cophenetic correlations), and the degrees in minimum
spanning trees (mean largest one, slope of log P(degree ≥ k) over log k). A fact holds within 0.1 and 0.03, 10 %, 99 %
where as many real ones have it, 0.05, and 20 %. {smallest}

"CorrGAN" is its convolutional generator, narrowed to 8 maps and kept symmetric, in R3GAN's game against a discriminator
that sees the matrix and its square; "by construction" is a generator that can make nothing but correlation matrices,
in the same game; "original game" is `experiment=corrgan_original`, convolutional on both sides, also narrowed to 8 maps
and with as many rows of real data. Of the baselines one draws each coefficient by itself from those of the training
rows, the other all correlation matrices with equal probability. Settings were found by trial on seed 11. Windows of the
stocks overlap, so that few of the training rows are independent; the last years, held out, differ from those before in
their trees by more than a fact may, as the last row says. The simulated matrices have four blocks of two inner
ones each, equally long; in trials with random lengths (`dataset.blocks=null`), CorrGAN's hierarchy fell short.

{tables}
From above: CorrGAN and by construction, on the stocks, then on the blocks; real is grey, generated orange.

![Facts and matrices, real and generated](correlations.png)
"""


class Given:
    """A draw of given samples, as a probe asks for it."""

    def __init__(self, x: Tensor):
        self.x = x

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        return self.x[:n]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--out", type=Path, default=Path("correlations.md"), help="the page (%(default)s)")
    args = parser.parse_args()
    found: dict[tuple[str, str], dict[int, dict[str, float]]] = defaultdict(dict)
    shown: dict[tuple[str, str], Path] = {}
    sources: dict[str, Source] = {}
    for run in args.runs:
        cfg = config.read(run)
        data = cfg["dataset"]["_target_"].rpartition(".")[2]
        row = cfg["model"]["generator"]["_target_"].split(".")[-2]
        found[data, ROWS[row]][cfg["seed"]] = read_json(run / "result.json")["metrics"]
        shown.setdefault((data, row), run)
        sources[data] = sources.get(data) or construct(cfg["dataset"], "dataset")
    seeds = sorted({seed for runs in found.values() for seed in runs})
    probe = CorrelationFacts(n=COUNT)
    for data, source in sources.items():
        for seed in seeds:
            for row, x in baselines(source, seed).items():
                found[data, row][seed] = probe(Given(x), source).scalars  # type: ignore[arg-type]
    args.out.write_text(page(found, seeds), encoding="utf-8")
    png.write(args.out.with_suffix(".png"), picture(shown, sources))
    print(args.out)


def baselines(source: Source, seed: int) -> dict[str, Tensor]:
    """Matrices that know less: coefficients without each other, and none of them.

    Products of random directions in p + 1 dimensions are uniform among the correlation matrices of p variables: the
    density of those in d dimensions is proportional to det^((d - p - 1) / 2).
    """
    g, size = torch.Generator().manual_seed(seed), source.spec.shape[-1]
    known = coefficients(some(source, COUNT).squeeze(1))
    above = torch.triu_indices(size, size, 1)
    alone = torch.eye(size).repeat(COUNT, 1, 1)
    alone[:, above[0], above[1]] = known[torch.randint(len(known), (COUNT, above.shape[1]), generator=g)].float()
    alone = alone + alone.mT - torch.eye(size)
    directions = F.normalize(torch.randn(COUNT, size, size + 1, generator=g, dtype=torch.float64), dim=-1)
    return {"coefficients alone": alone.unsqueeze(1), "uniform": (directions @ directions.mT).unsqueeze(1)}


# -- the page --------------------------------------------------------------------------------------


def page(found: Mapping[tuple[str, str], Mapping[int, Mapping[str, float]]], seeds: Sequence[int]) -> str:
    """The page for metrics by (data, row), then seed."""
    tables = []
    for data, title in DATA.items():
        if any(key[0] == data for key in found):
            rows = {row: list(runs.values()) for (d, row), runs in found.items() if d == data}
            tables.append(f"## {title}\n\n{table(rows, '')}\nAgainst rows never seen:\n\n{table(rows, '_held_out')}")
    smallest = min(m["smallest_eigenvalue"] for runs in found.values() for m in runs.values())
    said = f"The smallest eigenvalue of all samples is {smallest:.0e}."
    return PAGE.format(seeds=", ".join(map(str, seeds)), count=COUNT, tables="\n".join(tables), smallest=said)


def table(rows: Mapping[str, Sequence[Mapping[str, float]]], against: str) -> str:
    """A table of the metrics against training rows (''), or against others ('_held_out'), and their floor."""
    columns = {name: head for name, head in COLUMNS.items() if name + against in next(iter(rows.values()))[0]}
    first = next(iter(rows.values()))[0]
    if "one_signed" in columns:
        columns["one_signed"] += f" (of real ones {100 * first['one_signed_real']:.3g})"
    lines = [["", *columns.values()], ["---"] * (len(columns) + 1)]
    order = [*ROWS.values(), *(row for row in rows if row not in ROWS.values())]
    for row in [row for row in order if row in rows]:
        lines.append([row, *(cell([m[name + against] for m in rows[row]], name) for name in columns)])
    floors = ["" if (x := first.get(f"{name}_floor")) is None else cell([x], name) for name in columns]
    lines.append(["training rows" if against else "held-out rows", *floors])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(values: Sequence[float], name: str) -> str:
    """Mean and standard deviation."""
    scaled = [100 * x if name in PERCENT else x for x in values]
    spread = f" ± {stdev(scaled):.2g}" if len(scaled) > 1 else ""
    return f"{mean(scaled):.3g}{spread}"


def picture(shown: Mapping[tuple[str, str], Path], sources: Mapping[str, Source]) -> Tensor:
    """The facts and some matrices of one run of each new row, one below the other."""
    parts = []
    for key in ((data, row) for data in DATA for row in ("corrgan", "correlation")):
        if key in shown:
            source, draw, _ = restore(shown[key], "newest", seed=0, device_name="cpu")
            real, fake = (source.decode(x).squeeze(1) for x in (some(sources[key[0]], COUNT), draw(COUNT)))
            parts.append(beside(facts(real, fake, DAYS), heat_maps(real, fake)))
    return torch.cat(parts)


def beside(left: Tensor, right: Tensor) -> Tensor:
    """Two pictures (height, width, 3) in a row, the lower one filled up with white below."""
    height = max(len(left), len(right))
    return torch.cat([F.pad(x, (0, 0, 0, 0, 0, height - len(x)), value=255) for x in (left, right)], 1)


if __name__ == "__main__":
    main()
