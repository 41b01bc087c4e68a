"""`python scripts/testbed.py [--seed N] [--only WORD]`: docs/watchdog.md, which alarms runs raise that go wrong, or well.

Runs that are done already are read from their folders; delete these to repeat them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from gan_runner import config, record, train
from gan_runner.errors import Diverged
from gan_runner.folder import read_json
from gan_runner.loop import Run

SEED = 2
PAGE = ROOT / "docs/watchdog.md"


@dataclass(frozen=True)
class Case:
    """A run, and what is to be heard of it.

    Attributes:
        title: what is played, or done to it.
        words: overrides.
        alarm: its name; "" for a run that goes well.
        at: step after which `spoil` is done to the run; 0 where its settings are what is wrong.
    """

    title: str
    words: str
    alarm: str = ""
    at: int = 0
    spoil: Callable[[Run], Any] | None = None


# -- what can be done to a run ---------------------------------------------------------------------


@torch.no_grad()
def poison(prefix: str) -> Callable[[Run], Any]:
    """NaN in the first number of a tensor of the state."""

    def act(run: Run) -> None:
        tensors = run.state.tensors()
        next(t for k, t in tensors.items() if k.startswith(prefix) and t.is_floating_point()).view(-1)[0] = torch.nan

    return act


def spoil_data(run: Run) -> None:
    run.source.data.view(-1)[: len(run.source.data)] = torch.nan


def freeze(player: str) -> Callable[[Run], Any]:
    """Its optimizer takes no more steps."""

    def act(run: Run) -> None:
        run.state.players[player].move = lambda grads: None

    return act


def kill(run: Run) -> None:
    """All scores are 0."""
    run.state.nets["discriminator"].register_forward_hook(lambda module, inputs, scores: 0 * scores)


def leave_average(run: Run) -> None:
    """The moving average no longer follows."""
    run.state._pairs[1][:] = [p.clone() for p in run.state.average.parameters()]


def mark(run: Run) -> None:
    """Real images reach from -1.25 to 1.25, beyond what a tanh can draw."""
    run.source = replace(run.source, data=1.25 * (run.source.data.float() / 127.5 - 1))


RING = "dataset=ring8 train.steps=2000"
WRONG = [
    Case("NaN in a real row", RING, "non_finite", 150, spoil_data),
    Case("NaN in a weight of the generator", RING, "non_finite", 150, poison("nets.generator")),
    Case("NaN in a weight of the discriminator", RING, "non_finite", 150, poison("nets.discriminator")),
    Case("NaN in the moving average", RING, "non_finite", 150, poison("average.generator")),
    Case(
        "infinite statistics of batch norm",
        "train.steps=200",
        "non_finite",
        120,
        poison("nets.discriminator.trunk.3.running_var"),
    ),
    Case("discriminator frozen", RING, "frozen", 550, freeze("discriminator")),
    Case("generator frozen", RING, "frozen", 550, freeze("generator")),
    Case("discriminator dead: all scores are 0", RING, "flat", 550, kill),
    Case("label leak: real images exceed what a tanh can draw", "train.steps=900", "saturated", 1, mark),
    Case(
        "discriminator too strong: minimax, 5,000 times the generator's rate",
        f"{RING} loss=minimax optimizer.generator.lr=1e-6 optimizer.discriminator.lr=5e-3",
        "vanishing",
    ),
    Case("ns of large rate and networks on the ring: one mode", "experiment=toy train.steps=1500", "collapse"),
    Case("50 times the rate", "experiment=toy optimizer.lr=5e-2 train.steps=1500", "collapse"),
    Case("moving average left behind", RING, "drift", 1, leave_average),
]
WELL = [
    Case("digits, DCGAN, ns", "train.steps=800"),
    Case("digits, DCGAN, hinge", "loss=hinge train.steps=600"),
    Case("digits, DCGAN, lsgan", "loss=lsgan train.steps=600"),
    Case("digits, DCGAN, R1", "loss=r1 train.steps=500"),
    Case("ring of 8, MLP, ns", "dataset=ring8 train.steps=3000"),
    Case("grid of 25, wgan_gp", "experiment=toy_wgan_gp dataset=grid25 train.steps=1200"),
    Case("ring of 8, r3gan", "experiment=toy_r3gan train.steps=1200"),
    Case("Huber's table, ns", "dataset=huber train.steps=4000"),
    Case("wine, a mixed table", "dataset=wine train.steps=3000"),
    Case(
        "GARCH, windows of 63 days, narrow TCN",
        "dataset=garch dataset.window=63 model.width=8 train.batch_size=16 train.steps=600",
    ),
    Case("digits, VAE", "loss=elbo train.steps=2000"),
    Case("digits, PCD", "loss=pcd train.steps=3000"),
    Case("five Gaussians, EBM", "experiment=ebm_toy train.steps=800"),
]


# -- running ---------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED, help="of all runs (%(default)s)")
    parser.add_argument("--only", default="", help="cases whose title has these words; no page is written")
    parser.add_argument("--root", type=Path, default=Path("outputs/testbed"), help="folder of the runs (%(default)s)")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page (%(default)s)")
    args = parser.parse_args()
    found = {}
    for case in (c for c in WRONG + WELL if args.only in c.title):
        found[case.title] = heard = play(case, args.seed, args.root)
        print(f"{case.title}: {case.alarm or 'none'} expected, heard {heard}", flush=True)
    if not args.only:
        args.out.write_text(page(found, args.seed))
        print(args.out)


def play(case: Case, seed: int, root: Path) -> dict[str, int]:
    """Alarms that a run raised, each with the step of the first time; one that ran before is read from its folder."""
    place = root / f"{seed}-{re.sub(r'[^a-z0-9]+', '-', case.title.lower())}"
    if read_json(place / "status.json").get("state") not in ("completed", "diverged"):
        shutil.rmtree(place, ignore_errors=True)
        cfg = composed(*case.words.split(), "probes=none", "train.threads=1", f"seed={seed}", f"run.dir={place}")
        with spoiled(case), suppress(Diverged):
            train.train(cfg, [])
    heard: dict[str, int] = {}
    for alarm in read_json(place / "status.json").get("alarms", []):
        heard.setdefault(alarm["name"], alarm["step"])
    return heard


def composed(*words: str) -> dict[str, Any]:
    """The configuration of these overrides."""
    config.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config.config_dir()), **({"version_base": "1.3"} if config.HYDRA_1_3 else {})):
        cfg: Any = OmegaConf.to_container(
            compose("config", overrides=["run.name=testbed", "sweep=testbed", "device=cpu", *words]), resolve=True
        )
    return cfg


@contextmanager
def spoiled(case: Case) -> Iterator[None]:
    """Within it, whatever trains has the case's `spoil` done to it after its step."""
    before = record.Recorder.step

    def step(self: record.Recorder, logs: Any) -> None:
        if case.spoil and self.run.state.clock.step == case.at:
            case.spoil(self.run)
        before(self, logs)

    record.Recorder.step = step
    try:
        yield
    finally:
        record.Recorder.step = before


if __name__ == "__main__":
    main()
