"""`python -m gan_runner.sample run=DIR n=64 [seed= format= out= checkpoint= length=]`: samples from a run folder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_runner.arguments import command, one_of, run_folder
from gan_runner.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from gan_runner.datasets.spec import Source
    from gan_runner.draw import Draw
    from gan_runner.models.svnn import RiskNeutral

FORMATS = ("grid", "png", "npz", "pt", "csv")
USUAL = {"image": "grid", "correlation": "npz"}
"""What each kind of data is written as unless the user says otherwise; the rest as csv."""
SUITED = {"grid": ("image", "correlation"), "png": ("image",), "csv": ("table", "series", "correlation", "game")}
"""Kinds of data that suit a format; those not named suit all."""


@dataclass
class Settings:
    """Arguments of the command.

    Attributes:
        run: the run folder.
        n: how many samples.
        seed: of the noise.
        format: grid (one PNG), png (a folder of them), npz, pt or csv; images default to grid, correlations to npz,
            the rest to csv.
        out: where to; by default beside the run's pictures.
        checkpoint: newest or best.
        length: days of a path, for models of returns; csv then has a column a path, and prices from 100 on beside it.
        riskless: a riskless log-return of a day, such as 0.0001: paths of model=csvnn then follow the risk-neutral
            measure, under which discounted prices are martingales, as options are priced by (Wiese 2020, section 5).
        trust: a module of your own that the run's model or loss comes from.
    """

    run: str
    n: int = 64
    seed: int = 0
    format: str = ""
    out: str = ""
    checkpoint: str = "newest"
    length: int = 0
    riskless: str = ""
    device: str = "auto"
    trust: str = ""


def main() -> None:
    command(__doc__, Settings, sample)


def sample(settings: Settings) -> int:
    """Draw and write the samples; prints where they are."""
    place = run_folder(settings.run, settings.checkpoint)
    one_of("format", settings.format or "grid", FORMATS)
    if settings.n < 1:
        raise UsageError(f"n={settings.n} is not positive", "choose n above 0", id="F61")
    if settings.length < 0:
        raise UsageError(f"length={settings.length} is negative", "choose days, or 0 for windows", id="F61")
    from gan_runner.restore import restore

    source, draw, step = restore(place, settings.checkpoint, settings.seed, settings.device, settings.trust)
    kind = settings.format or USUAL.get(source.spec.kind, "csv")
    suited = [form for form in FORMATS if source.spec.kind in SUITED.get(form, (source.spec.kind,))]
    if kind not in suited:
        what = f"format={kind} does not suit {source.spec.kind} data"
        raise UsageError(what, f"choose from {', '.join(suited)}", id="F61")
    law = neutral(settings, draw, source) if settings.riskless else None
    made = draw.paths(settings.n, settings.length, law) if settings.length else draw(settings.n)
    if made is None:
        what = f"length={settings.length}: this model makes no paths, but samples of {source.spec.shape}"
        raise UsageError(what, "leave length out, or train with dataset=sp500 model=tcn, svnn or csvnn", id="F59")
    name = f"step-{step:08d}-seed{settings.seed}{'-paths' if settings.length else ''}{'-neutral' if law else ''}"
    out = Path(settings.out or place / "samples" / (name + ("" if kind == "png" else "." + suffix(kind))))
    out.parent.mkdir(parents=True, exist_ok=True)
    if settings.length and kind == "csv":
        write_paths((made if law else source.decode(made)).cpu(), out, source.spec.names)
    else:
        write(source, made, kind, out)
    print(f"{settings.n} samples of step {step:,}: {out}")
    return 0


def neutral(settings: Settings, draw: Draw, source: Source) -> RiskNeutral:
    """What makes the run's paths risk-neutral.

    Raises:
        UsageError: the rate is no number, or the run has no volatility that is free of its innovations.
    """
    from gan_runner.datasets.coding import Affine
    from gan_runner.models.svnn import ConstrainedGenerator, RiskNeutral

    try:
        rate = float(settings.riskless)
    except ValueError:
        rate = math.nan
    if not math.isfinite(rate):
        raise UsageError(f"riskless={settings.riskless} is no number", "give a log-return such as 0.0001", id="F61")
    nets, fix = dict(draw.state.averaged().nets.items()), "train with experiment=quant_gan_csvnn"
    generator: Any = nets.get("generator")
    if type(generator) is not ConstrainedGenerator:
        raise UsageError(f"riskless={rate:g}: this model has no Gaussian innovations", fix, id="F59")
    if not isinstance(source.coding, Affine):
        raise UsageError(f"riskless={rate:g}: returns without tails are not the returns", fix, id="F59")
    if not settings.length or settings.format not in ("", "csv"):
        raise UsageError(f"riskless={rate:g} is for paths as csv", "give length=DAYS, and no other format", id="F59")
    return RiskNeutral(generator, source.coding.scale, rate)


def suffix(kind: str) -> str:
    return "png" if kind == "grid" else kind


def write(source: Source, samples: Tensor, kind: str, out: Path) -> None:
    """Samples (n, *shape) in natural units, in the chosen format."""
    import numpy as np
    import torch

    x = source.decode(samples).cpu()
    if kind == "grid":
        from gan_runner.pictures import grid, matrices, png

        png.write(out, grid.grid(x if x.dtype == torch.uint8 else matrices.colours(x)))
    elif kind == "png":
        from gan_runner.pictures import png

        out.mkdir(exist_ok=True)
        for i, image in enumerate(x):
            png.write(
                out / f"{i:06d}.png",
                image.permute(1, 2, 0).expand(-1, -1, 3) if len(image) == 1 else image.permute(1, 2, 0),
            )
    elif kind == "npz":
        np.savez_compressed(out, samples=x.numpy())
    elif kind == "pt":
        torch.save(x, out)
    else:
        source.frame(samples).to_csv(out, index=False)


def write_paths(x, out: Path, names: tuple[str, ...]) -> None:
    """Log-returns (n, columns, days) as a line a day and a column a path, and beside them prices that begin at 100."""
    import numpy as np
    import pandas as pd

    several = x.shape[1] > 1
    columns = [f"{names[j]} {i + 1}" if several else f"path {i + 1}" for i in range(len(x)) for j in range(x.shape[1])]
    returns = pd.DataFrame(x.flatten(0, 1).T.numpy(), columns=columns)
    returns.to_csv(out, index=False)
    start = pd.DataFrame(0.0, index=[0], columns=columns)
    prices = pd.concat([start, returns.cumsum()], ignore_index=True).apply(np.exp) * 100
    prices.to_csv(out.with_name(f"{out.stem}-prices.csv"), index=False)


if __name__ == "__main__":
    main()
