"""`python scripts/testbed.py [--seed N] [--only WORDS]`: docs/watchdog.md, what alarms runs raise, gone wrong or well.

Runs that are done already are read from their folders; delete these to repeat them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import torch
from bench import compose

from gan_runner import config, record, train
from gan_runner.errors import Diverged
from gan_runner.folder import read_json
from gan_runner.loop import Run

SEED = 3
NEAREST = {
    "least diversity": ("health/diversity", 10, min),
    "most apart": ("health/apart", 10, max),
    "least pull": ("health/pull_", 5, min),
    "most accuracy": ("game/accuracy_", 10, max),
}
"""Column -> the numbers it is about, the patience of their alarm, and which end is the wrong one."""
PAGE = """# Does the watchdog bark, and only then?

Made by `make testbed`: {wrong} short runs that are made to go wrong in known ways, and {well} that go well: presets,
but shorter, and GARCH's in miniature. All are of seed {seed}, which chose nothing: limits and patiences were chosen
on runs of seeds 1 and 11, and after seed 2 the label leak was replaced, see below. An alarm sounds after its patience
in ticks of `train.log_every` steps; a fault in the middle of a tick costs up to two more, and that is the delay
allowed here. Where a run's settings are what is wrong, or its fault needs time to show, it may sound at any step.

| what is wrong | from step | expected | heard at step | allowed until | heard as well |
|---|---|---|---|---|---|
{bad}

{caught} of {wrong} are caught by the expected name{late}. What is heard as well is true, too: who is frozen leaves
the average behind, a discriminator that nothing can fool leaves the generator where it began.

| goes well | steps | heard | {heads} |
|---|---|---|{dashes}|
| *limit* | | | 0.2 | 0.5 | 1e-4 | 0.999 |
{good}

{false} false alarms. The last columns say how near these runs came to one: the worst value that was kept up for as
many ticks as the alarm wants; a dash where a run logs no such number, or is shorter. PCD's and the EBM's samples are
ends of chains, which are not looked at.

## The alarms

`watch=warn` is the default; `watch=stop` ends a run at the first alarm with exit code 79, `watch=rollback` goes back
to the newest checkpoint from before it, on other random numbers, up to `train.rollbacks` times; `watch=none` is
silent. `watch.collapse.policy=stop` is for one alarm alone, and so are `patience` and `limit`. What sounds is said on
the console and in `run.log`, is `watch/NAME` and a page `watch/alarm` in TensorBoard, a row of `metrics.jsonl`, an
entry of "alarms" in `status.json`, and a picture, `pictures/alarm-NAME-STEP.png`. An alarm sounds once until its law
is kept again.

| name | sounds where | for ticks |
|---|---|---|
| `non_finite` | a loss or a number of the state is not finite; the run ends, or rolls back, whatever is watched | 1 |
| `frozen` | no weight of a player that plays moves: `health/weights_NAME` stays the same number | 2 |
| `flat` | no loss moves by more than a hundred thousandth | 5 |
| `saturated` | D is right about all but a thousandth of real rows and of samples: every `game/accuracy_*` | 10 |
| `vanishing` | who makes samples has a gradient below a ten thousandth of its weights: `health/pull_NAME` | 5 |
| `collapse` | samples are less than a fifth as diverse as data: `health/diversity` | 10 |
| `drift` | samples of the average and of the live network are half as far apart as real rows: `health/apart` | 10 |

Reasons for the numbers are in `gan_runner/watch/`. An alarm of one's own is a frozen dataclass with a
`symptom(rows)`, and joins by `+watch.mine._target_=my_alarms.Mine 'trust=[my_alarms]'`. A collapse onto two far modes
of many passes: `modes` and `recall` of the metrics see that. So may a leak that the discriminator hardly uses: real
images a quarter too bright, which a tanh cannot draw either, left its accuracy between 0.93 and 1 and raised nothing.
A run whose losses go on while its samples get worse passes, too.
"""


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


@dataclass(frozen=True)
class Heard:
    """What a run came to.

    Attributes:
        alarms: each with the step at which it first sounded.
        steps: how far the run came.
        tick: steps between two rows.
        watch: settings of the alarms.
        rows: of metrics.jsonl.
    """

    alarms: dict[str, int]
    steps: int
    tick: int
    watch: dict[str, Any]
    rows: list[dict[str, Any]]


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
    run.state.nets["discriminator"].register_forward_hook(lambda module, inputs, scores: scores.mul(0))


def leave_average(run: Run) -> None:
    """The moving average no longer follows."""
    run.state._pairs[1][:] = [p.clone() for p in run.state.average.parameters()]


def mark(run: Run) -> None:
    """Real images have a corner of 3 x 3 pixels three times as bright as a tanh can draw."""
    pixels = run.source.data.float() / 127.5 - 1
    pixels[..., :3, :3] = 3
    run.source = replace(run.source, data=pixels)


RING = "dataset=ring8 train.steps=2000"
WRONG = [
    Case("NaN in a real row", RING, "non_finite", 150, spoil_data),
    Case("NaN in a weight of the generator", RING, "non_finite", 150, poison("nets.generator")),
    Case("NaN in a weight of the discriminator", RING, "non_finite", 150, poison("nets.discriminator")),
    Case("NaN in the moving average", RING, "non_finite", 150, poison("average.generator")),
    Case(
        "NaN in the statistics of batch norm",
        "train.steps=200",
        "non_finite",
        120,
        poison("nets.discriminator.trunk.3.running_var"),
    ),
    Case("discriminator frozen", RING, "frozen", 550, freeze("discriminator")),
    Case("generator frozen", RING, "frozen", 550, freeze("generator")),
    Case("discriminator dead: all scores are 0", RING, "flat", 550, kill),
    Case("label leak: a corner of real images that no tanh can draw", "train.steps=1200", "saturated", 1, mark),
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
    parser.add_argument("--out", type=Path, default=ROOT / "docs/watchdog.md", help="the page (%(default)s)")
    args = parser.parse_args()
    found = {}
    for case in (c for c in WRONG + WELL if args.only in c.title):
        found[case.title] = heard = play(case, args.seed, args.root)
        print(f"{case.title}: {case.alarm or 'none'} expected, heard {heard.alarms}", flush=True)
    if not args.only:
        args.out.write_text(page(found, args.seed))
        print(args.out)


def play(case: Case, seed: int, root: Path) -> Heard:
    """What a run raised; one that ran before is read from its folder."""
    place = root / f"{seed}-{re.sub(r'[^a-z0-9]+', '-', case.title.lower())}"
    if read_json(place / "status.json").get("state") not in ("completed", "diverged"):
        shutil.rmtree(place, ignore_errors=True)
        words = (
            *case.words.split(),
            "probes=none",
            "device=cpu",
            "train.threads=1",
            f"seed={seed}",
            f"run.dir={place}",
        )
        with spoiled(case), suppress(Diverged):
            train.train(compose(*words), [])
    status, alarms = read_json(place / "status.json"), {}
    for alarm in status.get("alarms", []):
        alarms.setdefault(alarm["name"], alarm["step"])
    rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    tick = config.read(place)["train"]["log_every"]
    return Heard(alarms, status["step"], tick, config.read(place)["watch"], rows)


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


# -- the page --------------------------------------------------------------------------------------


def page(found: dict[str, Heard], seed: int) -> str:
    """docs/watchdog.md for what runs came to, by their titles."""
    heard = [(case, found[case.title]) for case in WRONG]
    caught = sum(case.alarm in run.alarms for case, run in heard)
    late = sum(run.alarms.get(case.alarm, 0) > allowed(case, run) for case, run in heard)
    return PAGE.format(
        seed=seed,
        wrong=len(WRONG),
        well=len(WELL),
        bad="\n".join(bad(case, run) for case, run in heard),
        caught=caught,
        late=f", {late} of them late" if late else ", none of them late",
        heads=" | ".join(NEAREST),
        dashes="|".join(["---"] * len(NEAREST)),
        good="\n".join(good(case, found[case.title]) for case in WELL),
        false=sum(len(found[case.title].alarms) for case in WELL) or "No",
    )


def allowed(case: Case, run: Heard) -> int:
    """The last step at which an alarm is in time."""
    if case.at <= 1:
        return run.steps
    patience = 0 if case.alarm == "non_finite" else run.watch[case.alarm]["patience"] + 1
    return case.at + (patience + 1) * run.tick


def bad(case: Case, run: Heard) -> str:
    """The line of a run that goes wrong."""
    at = run.alarms.get(case.alarm)
    others = ", ".join(f"{name} {step:,}" for name, step in run.alarms.items() if name != case.alarm)
    until = f"{allowed(case, run):,}" if case.at > 1 else "the end"
    cells = (case.title, case.at, case.alarm, "**nothing**" if at is None else f"{at:,}", until, others)
    return f"| {' | '.join(map(str, cells))} |"


def good(case: Case, run: Heard) -> str:
    """The line of a run that goes well."""
    alarms = ", ".join(f"**{name}** {step:,}" for name, step in run.alarms.items()) or "nothing"
    near = (nearest(run.rows, *about) for about in NEAREST.values())
    cells = (case.title, f"{run.steps:,}", alarms, *("-" if n is None else f"{n:.2g}" for n in near))
    return f"| {' | '.join(cells)} |"


def nearest(rows: Sequence[Mapping[str, Any]], prefix: str, patience: int, end: Callable[..., float]) -> float | None:
    """The worst value that was kept up for so many ticks: of all such spans' best values the worst one.

    Accuracies, and where there are several numbers of a name, count by their least.
    """
    ticks = [[v for k, v in row.items() if k.startswith(prefix) and v is not None] for row in rows]
    values = [min(tick) for tick in ticks if tick]
    best = max if end is min else min
    spans = [best(values[k : k + patience]) for k in range(len(values) - patience + 1)]
    return end(spans) if spans else None


if __name__ == "__main__":
    main()
