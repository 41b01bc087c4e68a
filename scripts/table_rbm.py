"""`python scripts/table_rbm.py [--seeds N]`: docs/rbm.md, a small Boltzmann machine beside scikit-learn's.

A named sweep trains ours; repeated, it does only what is not done. scikit-learn's learn here, in a minute or two.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner import optimizers
from gan_runner.compare import runs
from gan_runner.config import read_yaml
from gan_runner.datasets import draws
from gan_runner.datasets.images import digits
from gan_runner.datasets.spec import Source
from gan_runner.datasets.split import split
from gan_runner.draw import Draw
from gan_runner.folder import read_json
from gan_runner.losses.contrastive import CD
from gan_runner.metrics.rbm import Likelihood
from gan_runner.models.rbm import Bernoulli
from gan_runner.state import State

SEEDS, UPDATES, BATCH, HIDDEN = 3, 12_000, 64, 20
OURS = {"pcd": "ours, 0.4 falling to 0"}
THEIRS = {
    "scikit-learn, 0.1 as it comes": (0.1, 0.1),
    "scikit-learn, 0.4": (0.4, 0.4),
    "scikit-learn, 0.4 falling to 0": (0.4, 0.0),
}
"""Row -> its rate in the first update and after the last."""
BEST_OF = [name for name in THEIRS if "falling" not in name]
"""scikit-learn's rows at the constant rates that it knows."""
PAGE = """# Boltzmann machines

Made by `make table-rbm`: log-likelihood in nats, exact, of the {test} digits of 8 x 8 pixels that were held out, each
binarised once; {hidden} hidden units; mean ± standard deviation over {seeds} seeds. Each machine learns from
{updates:,} batches of {batch} of the other {train} digits, binarised anew in each. scikit-learn's `BernoulliRBM` is
persistent contrastive divergence, too: it gets the same rows by `partial_fit`, and its rate falls in the last row since
we set it between them, which nothing in scikit-learn does. Pixels that do not see each other have {independent:.2f}.

{table}

Ours less the better of scikit-learn's two at a constant rate ({best}), seed by seed: {gains}.

`python -m gan_runner experiment=rbm_digits` trains the first row and draws its filters and chains.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="1, 2, ..., so many (%(default)s)")
    parser.add_argument("--root", default="outputs", help="where the sweep goes (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/rbm.md", help="the page (%(default)s)")
    args = parser.parse_args()
    if subprocess.call(command(args.seeds, args.root)):
        sys.exit("a run failed: its line is above; repair it and repeat this")
    source = split(digits("", 8), 0.2)
    found = [*ours(Path(args.root) / "sweeps/rbm")]
    for name, rates in THEIRS.items():
        found += [theirs(source, name, rates, seed) for seed in range(1, args.seeds + 1)]
    args.out.write_text(page(found, source, args.seeds))
    print(args.out)


def command(seeds: int, root: str) -> list[str]:
    """The sweep over losses and seeds."""
    words = ["experiment=rbm_digits", f"loss={','.join(OURS)}", f"seed={','.join(map(str, range(1, seeds + 1)))}"]
    less = ["probes=none", "probes.likelihood.every=0", "probes.filters.every=0", "train.threads=1"]
    return [sys.executable, "-m", "gan_runner", "-m", *words, *less, f"run.root={root}", "sweep=rbm"]


def ours(sweep: Path) -> Iterator[dict[str, Any]]:
    """Final metrics of the runs of a sweep, with their row and seed."""
    for place in runs([sweep]):
        words = dict(word.split("=", 1) for word in read_yaml(place / "overrides.yaml") if "=" in word)
        metrics = read_json(place / "result.json")["metrics"]
        yield {"row": OURS[words["loss"]], "seed": int(words["seed"]), **metrics}


def theirs(source: Source, row: str, rates: tuple[float, float], seed: int) -> dict[str, Any]:
    """The same for scikit-learn's machine, learning from the batches of our run of this seed."""
    from sklearn.neural_network import BernoulliRBM

    machine = Bernoulli(source.spec, HIDDEN).requires_grad_(False)
    theirs = BernoulliRBM(HIDDEN, learning_rate=rates[0], batch_size=BATCH, random_state=seed)
    torch.manual_seed(seed)
    for t in range(UPDATES):
        theirs.learning_rate = rates[0] + (rates[1] - rates[0]) * t / UPDATES
        batch = source.take(draws.rows(len(source), t * BATCH, BATCH, seed))
        theirs.partial_fit(machine.encode(batch).numpy())
    for p, learnt in ((machine.W, theirs.components_.T), (machine.b, theirs.intercept_visible_)):
        p.copy_(torch.from_numpy(learnt))
    machine.c.copy_(torch.from_numpy(theirs.intercept_hidden_))
    state = State.create({"rbm": machine}, CD.players, CD.averaged, optimizers.SGD(1.0))
    metrics = Likelihood()(Draw(CD(), state, source.device), source).scalars
    return {"row": row, "seed": seed, **metrics}


def page(found: Sequence[dict[str, Any]], source: Source, seeds: int) -> str:
    """The page of `docs/rbm.md` for metrics by row and seed."""
    import pandas as pd

    assert source.held_out is not None
    frame = pd.DataFrame(found)
    groups = frame.groupby("row", sort=False)
    lines = [["", "held out", "training rows"], ["---"] * 3]
    for row, group in groups:
        columns = (group[name] for name in ("log_likelihood", "log_likelihood_train"))
        lines.append([str(row), *(f"{column.mean():.2f} ± {column.std():.2f}" for column in columns)])
    wide = frame.pivot(index="seed", columns="row", values="log_likelihood")
    best = wide[[name for name in BEST_OF if name in wide]].mean().idxmax()
    return PAGE.format(
        **{"test": len(source.held_out), "train": len(source), "hidden": HIDDEN, "seeds": seeds, "updates": UPDATES},
        **{"batch": BATCH, "independent": frame.log_likelihood_independent.mean(), "best": best},
        gains=", ".join(f"{gain:+.2f}" for gain in wide[OURS["pcd"]] - wide[best]),
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
    )


if __name__ == "__main__":
    main()
