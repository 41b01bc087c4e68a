"""`python -m gan_runner.estimate run=DIR [out=estimate.csv checkpoint=]`: location and scatter of a table's bulk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_runner.arguments import command, run_folder
from gan_runner.console import say
from gan_runner.errors import UsageError

if TYPE_CHECKING:
    from gan_runner.datasets.spec import Source
    from gan_runner.metrics.probe import Draw

SHOWN = 20
"""Columns that are printed."""


@dataclass
class Settings:
    """Arguments of the command.

    Attributes:
        run: the folder of a run on a table of numbers or on daily returns.
        out: where location and standard deviation of each column go, in its own units; their covariances go beside it,
            into a file whose name ends in -covariance.csv.
        checkpoint: newest or best.
        n: samples that are averaged where the generator does not know its own location and scatter, as those of
            model=location, scatter and elliptical do.
        seed: of those samples.
        trust: a module of your own that the run's model or loss comes from.
    """

    run: str
    out: str = "estimate.csv"
    checkpoint: str = "newest"
    n: int = 200_000
    seed: int = 0
    device: str = "auto"
    trust: str = ""


def main() -> None:
    command(__doc__, Settings, estimate)


def estimate(settings: Settings) -> int:
    """Write location and scatter of what the run's generator makes; prints the first columns."""
    place = run_folder(settings.run, settings.checkpoint)
    if settings.n < 2:
        raise UsageError(f"n={settings.n} is too few", "choose 2 or more", id="F61")
    from gan_runner.restore import restore

    source, draw, step = restore(place, settings.checkpoint, settings.seed, settings.device, settings.trust)
    if source.spec.kind != "table":
        raise UsageError(f"run={settings.run} is of {source.spec.kind} data", "name a run on a table", id="F59")
    table, covariance = moments(source, draw, settings.n)
    out = Path(settings.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f"{out.stem}-covariance.csv")
    table.to_csv(out, index=False)
    covariance.to_csv(beside)
    say(f"{len(table)} columns, by step {step:,}:")
    say(table.head(SHOWN).to_string(index=False, float_format="%.5g"))
    say(f"location and standard deviation: {out}; covariances: {beside}")
    return 0


def moments(source: Source, draw: Draw, n: int) -> tuple[Any, Any]:
    """(name, location and sd of each column of numbers; their covariances) as DataFrames, in natural units."""
    import pandas as pd

    from gan_runner.datasets.coding import Typed
    from gan_runner.metrics.location import in_units

    law = None if isinstance(source.coding, Typed) else draw.law()
    if law is None:
        made = source.frame(draw(n)).select_dtypes("number").astype("float64")
        location, covariance = made.mean(), made.cov()
    else:
        names = source.spec.names or [f"x{i + 1}" for i in range(source.spec.shape[0])]
        centre, scatter = in_units(law["location"].double().cpu(), law["scatter"].double().cpu(), source)
        location = pd.Series(centre.numpy(), names)
        covariance = pd.DataFrame(scatter.numpy(), names, names)
    sd = covariance.to_numpy().diagonal() ** 0.5
    return pd.DataFrame({"column": covariance.columns, "location": location.to_numpy(), "sd": sd}), covariance


if __name__ == "__main__":
    main()
