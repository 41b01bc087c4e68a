"""`python scripts/table_annealing.py [--root DIR]`: docs/annealing.md, how well log Z of a large machine is known.

A named sweep trains a Boltzmann machine of 784 x 500 units on garments; it is then annealed again, with other seeds and
other numbers of temperatures. About a quarter of an hour on one core.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner.compare import runs
from gan_runner.folder import read_json
from gan_runner.metrics import rbm, rows
from gan_runner.restore import with_rows

AGAIN = ((3_000, 1), (14_500, 1), (14_500, 2), (14_500, 3), (58_000, 1))
"""Temperatures, and the seed, of each annealing."""
WHAT = {
    "log_likelihood": "log-likelihood of held-out garments, binarised once, nats",
    "log_likelihood_train": "of training rows",
    "log_likelihood_independent": "of held-out garments by pixels that do not see each other",
    "pseudo_likelihood": "pseudo-likelihood of held-out garments",
}
PAGE = """# Where log Z can only be estimated

Made by `make table-annealing`: `python -m gan_runner experiment=rbm_lecture dataset=fashion`, {units} units, CD-5 for
{steps:,} batches of 64. Neither side's states can be counted, so log Z is from annealed importance sampling
(Salakhutdinov and Murray 2008), and with it the first three lines.

{scores}

Annealed again, 100 chains each; the first line is the run's own, from which the scores above come:

{annealings}

A few chains with large weights make most of a mean, so that the spread of a hundred may say too little. On machines
small enough to count, three of these deviations hold the exact log Z: `tests/test_rbm.py`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="outputs", help="where the sweep goes (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/annealing.md", help="the page (%(default)s)")
    args = parser.parse_args()
    if subprocess.call(command(args.root)):
        sys.exit("the run failed: its line is above; repair it and repeat this")
    (place,) = runs([Path(args.root) / "sweeps/rbm_garments"])
    args.out.write_text(page(read_json(place / "result.json"), *annealings(place)))
    print(args.out)


def command(root: str) -> list[str]:
    """The sweep of one run."""
    words = ["experiment=rbm_lecture", "dataset=fashion", "train.threads=1", f"run.root={root}", "sweep=rbm_garments"]
    return [sys.executable, "-m", "gan_runner", "-m", *words]


@torch.no_grad()
def annealings(place: Path) -> tuple[str, list[tuple[int, int, float, float]]]:
    """The size of a run's machine, and (temperatures, seed, log Z, three deviations) of each time it was annealed."""
    source, draw, _ = with_rows(place, "newest", 0, "cpu")
    machine = rbm.machine(draw)
    base, found = rbm.independent(machine, rows.some(source, rbm.Likelihood.n)).b, []
    for temperatures, seed in AGAIN:
        torch.manual_seed(seed)
        found.append((temperatures, seed, *rbm.annealed(machine, base, temperatures)))
    return " x ".join(map(str, machine.W.shape)), found


def page(result: dict[str, Any], units: str, found: Sequence[tuple[int, int, float, float]]) -> str:
    """The page of `docs/annealing.md`."""
    metrics = result["metrics"]
    scores = [f"| {title} | {metrics[name]:.1f} |" for name, title in WHAT.items()]
    own = (rbm.Likelihood.temperatures, 0, metrics["log_z"], metrics["log_z_error"])
    lines = [f"| {t:,} | {seed} | {log_z:.1f} ± {error:.1f} |" for t, seed, log_z, error in (own, *found)]
    head = ["| temperatures | seed | log Z ± three standard deviations |", "|---|---|---|"]
    table = ["| | |", "|---|---|", *scores]
    return PAGE.format(
        units=units, steps=result["step"], scores="\n".join(table), annealings="\n".join([*head, *lines])
    )


if __name__ == "__main__":
    main()
