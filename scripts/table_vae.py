"""docs/vae.md: how likely a VAE finds unseen photographs of clothes. `make table-vae` trains the runs first.

python scripts/table_vae.py RUN... [--out FILE]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from plot_runs import read
from torch import Tensor

from gan_runner.config import read as configuration
from gan_runner.folder import read_json
from gan_runner.pictures import png
from gan_runner.pictures.curves import curves

METRICS = {
    "log_likelihood_1": "ELBO of test rows, nats",
    "log_likelihood_100": "bound of 100 samples",
    "log_likelihood_5000": "bound of 5,000 samples",
    "log_likelihood_5000_error": "its standard error over rows",
    "kl": "KL of the latents from their prior",
    "active_units": "active latents of 20",
    "reconstruction_error": "error of reconstructions, in parts of the spread",
}
PAGE = """# Variational autoencoders

`python -m gan_runner loss=elbo` trains a VAE on any data (Kingma and Welling 2014), `loss=iwae loss.samples=50` an
importance-weighted one (Burda et al. 2016); `model=vae_conv` sees images by convolutions, `model=vae_table` is for
tables and points. Pixels are Bernoulli, drawn anew with their grey value as probability at each look, so that the
bound is one on a true likelihood. Other pixels are

    python -m gan_runner loss=elbo 'model.generator.likelihood={{_target_: gan_runner.models.likelihoods.Gaussian}}'

with a learned spread, or a given one (`sd: 0.1`); and, in its place, `ContinuousBernoulli`, or `CrossEntropy`, the loss
of many tutorials, which is no likelihood. Samples are means of p(x | z), for tables too. The ELBO of each interval, its
reconstruction and its KL are `game/elbo`, `game/generator_reconstruction` and `game/generator_kl`.

## Fashion-MNIST

`experiment=vae`, seeds {seeds}: {epochs:.0f} epochs of 128 images at 28x28, 784-400-400-20 and back, Adam 1e-3. Bounds
are of the first 1,000 of the shuffled 10,000 test images, binarised once; the last weights count. Mean ± standard
deviation over seeds; `make table-vae` trains the runs and writes this page.

{table}

![Bound, reconstruction and KL](vae.png)

More latents a row while it learns, five epochs of seed 1 (`python -m gan_runner experiment=vae loss=iwae
loss.samples=5 seed=1 train.epochs=5`): the looser bound is given up for the tighter one, and more latents are used.

| latents a row | ELBO of test rows | bound of 5,000 samples | active latents of 20 |
|---|---|---|---|
| 1 | -246.42 | -243.26 | 8 |
| 5 | -248.13 | -241.00 | 18 |

Steps are twice as fast as in a tutorial's loop with a DataLoader and `.item()`, although that draws no pixels:
`python scripts/bench.py vae`, the median of seven alternations on one thread.

## MNIST

With MNIST's files in `data_dir`, or with `dataset.download=true`:

| command | expected |
|---|---|
| `python -m gan_runner experiment=iwae loss.samples=1` | `log_likelihood_5000` of -86.8 ± 0.5 |
| `python -m gan_runner experiment=iwae loss.samples=5` | -85.5 ± 0.5 |
| `python -m gan_runner experiment=iwae` | -84.8 ± 0.5 |

These are the figures of Burda et al. (2016, table 1, one stochastic layer: -86.76, -85.54 and -84.78), for networks
784-200-200-50 with tanh, batches of 20, Adam with eps 1e-4, a rate of 1e-3 times 10^(-i/7) for 3^i epochs, i = 0 to 7:
3,280 epochs, a matter of days on a CPU. The files were not at hand when this page was written, so they are expected and
not measured. `train.epochs=N` shortens all stages of the rate alike. `experiment=vae_pytorch` is PyTorch's own example,
784-400-20 for 10 epochs, its pixels with the density of the continuous Bernoulli (Loaiza-Ganem and Cunningham 2019).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run folders of experiment=vae")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/vae.md", help="the page (%(default)s)")
    args = parser.parse_args()
    args.out.write_text(page(args.runs))
    png.write(args.out.with_suffix(".png"), picture(args.runs[0]))
    print(args.out)


def page(runs: Sequence[Path]) -> str:
    """The page for runs that differ in their seeds."""
    found = [read_json(run / "result.json")["metrics"] for run in runs]
    lines = [f"| {title} | {mean_and_sd([metrics[name] for metrics in found])} |" for name, title in METRICS.items()]
    seeds = ", ".join(str(configuration(run)["seed"]) for run in runs)
    steps = read_json(runs[0] / "result.json")["step"]
    table = "\n".join(["| | |", "|---|---|", *lines])
    return PAGE.format(seeds=seeds, epochs=steps * per_step(runs[0]), table=table)


def per_step(run: Path) -> float:
    """Epochs in a step."""
    return configuration(run)["train"]["batch_size"] / read_json(run / "manifest.json")["data"]["rows"]


def mean_and_sd(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def picture(run: Path) -> Tensor:
    """Means over intervals of training rows, and looks at test rows, against epochs."""
    scale = per_step(run)

    def curve(name: str) -> tuple[Tensor, Tensor]:
        steps, values = read(run, name)
        later = steps * scale > 1  # the first epoch's fall would hide the rest
        return steps[later] * scale, values[later]

    panels = {
        "bound on log p(x), nats": {
            "training rows": curve("game/elbo"),
            "test rows": curve("eval/log_likelihood_1"),
            "test rows, 100 samples": curve("eval/log_likelihood_100"),
        },
        "-E log p(x | z), nats": {"training rows": curve("game/generator_reconstruction")},
        "KL(q | p), nats": {"training rows": curve("game/generator_kl")},
    }
    return curves(panels, "epochs")


if __name__ == "__main__":
    main()
