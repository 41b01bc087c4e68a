"""`python -m gan_runner.score run=DIR data=FILE [out=FILE scores= checkpoint=]`: how outlying rows or images are."""

from __future__ import annotations

from dataclasses import dataclass

from gan_runner.arguments import command, one_of, run_folder
from gan_runner.console import say
from gan_runner.errors import UsageError

USUAL = {"table": "mahalanobis,density,logit", "image": "energy"}
"""Scores of each kind of data, unless the user says otherwise."""
KNOWN = 60_000
"""Training images that others are compared with, at most."""
SHOWN = 5
"""Rows that are printed: those whose first score is the highest."""


@dataclass
class Settings:
    """Arguments of the command.

    Attributes:
        run: the folder of a run on a table or on images.
        data: a CSV or Parquet file with the run's columns; of a run on returns one of prices, whose first day has no
            scores; of a run on images a folder of images, each cut to its centre square and resized.
        out: where the scores go: a line of numbers for each row, beginning with its line in the file (in a file with a
            line for each day and ticker, the day's first) and with its date, if it has one, or with the image's name.
        scores: any of mahalanobis, density, logit, energy, inversion, separated by commas, and for energy-based models
            of images `neighbours`, the distance from the nearest training image in the last hidden layer; the first
            ranks the rows printed. By default mahalanobis,density,logit for tables and energy for images, for which the
            first two mean nothing. Higher is more outlying. `logit` is what the discriminator thinks: the sharpest
            where the generator is robust, as of model=location or scatter, and leaves outliers to the data; after
            training on clean rows it is the other way round, and `energy`, its negative, is right. That is the energy
            of an energy-based model, the free energy of a Boltzmann machine and minus the ELBO of a VAE. Plain images
            have little of it, however strange, and `neighbours` tells them. `inversion` takes seconds for each hundred
            rows.
        checkpoint: newest or best.
        seed: of the samples and latents that density and inversion need.
        trust: a module of your own that the run's model or loss comes from.
    """

    run: str
    data: str
    out: str = "scores.csv"
    scores: str = ""
    checkpoint: str = "newest"
    seed: int = 0
    device: str = "auto"
    trust: str = ""


def main() -> None:
    command(__doc__, Settings, score)


def score(settings: Settings) -> int:
    """Score every row of the file and write the numbers; prints the most outlying rows."""
    place = run_folder(settings.run, settings.checkpoint)
    import pandas as pd

    from gan_runner.datasets.further import further, pictures
    from gan_runner.metrics.novelty import Neighbours
    from gan_runner.metrics.outliers import OF_IMAGES, SCORES
    from gan_runner.metrics.rows import some
    from gan_runner.restore import restore, with_rows

    source, draw, step = restore(place, settings.checkpoint, settings.seed, settings.device, settings.trust)
    if source.spec.kind not in USUAL:
        what = f"run={settings.run} is of {source.spec.kind} data"
        raise UsageError(what, "name a run on a table or on images", id="F59")
    images = source.spec.kind == "image"
    chosen = (settings.scores or USUAL[source.spec.kind]).split(",")
    for name in chosen:
        one_of("scores", name, [*OF_IMAGES, "neighbours"] if images else [*SCORES])
    rows, places = pictures(settings.data, source) if images else further(settings.data, source)
    x = rows.to(source.device)
    found = {name: SCORES[name](draw, x) for name in chosen if name in SCORES}
    if "neighbours" in chosen:
        seen, _, _ = with_rows(place, settings.checkpoint, settings.seed, settings.device, settings.trust)
        found["neighbours"] = Neighbours()(draw, some(seen, KNOWN), x)
    silent = [name for name, values in found.items() if values is None]
    if silent:
        raise UsageError(f"nobody in this run gives a {silent[0]}", f"leave {silent[0]} out of scores=", id="F59")
    table = pd.DataFrame(places | {name: values.cpu().numpy() for name, values in found.items()})  # type: ignore[union-attr]
    table.to_csv(settings.out, index=False)
    say(f"{len(table)} rows scored by step {step:,}; the most outlying by {chosen[0]}:")
    say(table.nlargest(SHOWN, chosen[0]).to_string(index=False, float_format="%.4g"))
    say(f"scores: {settings.out}")
    return 0


if __name__ == "__main__":
    main()
