"""`python -m gan_runner.latents run=DIR show=interpolation|truncation|traversal|inversion|neighbours`: one picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gan_runner.arguments import command, one_of, run_folder
from gan_runner.console import say
from gan_runner.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from gan_runner.datasets.spec import Source
    from gan_runner.draw import Draw

MANY = 1000
"""Latents that tell the mean and the standard deviations of the prior."""
FEW = 16
"""Latents at which each coordinate is tried."""
REACH = 2.5
"""Standard deviations that a coordinate is moved to either side."""


@dataclass
class Settings:
    """Arguments of the command.

    Attributes:
        run: the run folder, of any model with latents.
        show: interpolation from one latent to another, a walk a line; truncation, latents drawn towards the prior's
            mean, from 0 to all of their distance; traversal, a coordinate moved from -2.5 to 2.5 standard deviations,
            on the first line the one that changes samples most; inversion, given images or rows beside what the latents
            make that are found for them; neighbours, samples and the training rows nearest to them.
        n: lines: walks, latents, coordinates, rows, samples.
        columns: steps of a walk; with neighbours one sample and its nearest rows.
        way: of interpolation: slerp, along the great circle, which suits Gaussian latents, or lerp, straight.
        data: what to invert: a folder of images, or a CSV or Parquet file for tables; by default rows held out, or
            training rows where there are none.
        seed: of the latents.
        out: where the picture goes; by default beside the run's samples.
        checkpoint: newest or best.
        trust: a module of your own that the run's model or loss comes from.
    """

    run: str
    show: str = "interpolation"
    n: int = 6
    columns: int = 9
    way: str = "slerp"
    data: str = ""
    seed: int = 0
    out: str = ""
    checkpoint: str = "newest"
    device: str = "auto"
    trust: str = ""


def main() -> None:
    command(__doc__, Settings, latents)


def latents(settings: Settings) -> int:
    """Draw the picture, and print what it shows and where it is."""
    place = run_folder(settings.run, settings.checkpoint)
    one_of("show", settings.show, [*SHOWN])
    one_of("way", settings.way, ("slerp", "lerp"))
    for name, least in (("n", 1), ("columns", 2)):
        if (found := getattr(settings, name)) < least:
            raise UsageError(f"{name}={found} is below {least}", f"choose {name} from {least} on", id="F61")
    from gan_runner.pictures import png, walks
    from gan_runner.restore import restore, with_rows

    asked = (place, settings.checkpoint, settings.seed, settings.device, settings.trust)
    if settings.show == "neighbours" or (settings.show == "inversion" and not settings.data):
        source, draw, facts = with_rows(*asked)
        step = facts["step"]
    else:
        source, draw, step = restore(*asked)
    if source.spec.kind == "game" or draw.latents(1).dim() != 2:
        raise UsageError(f"{place} has no latents", "name a run whose model has", id="F59")
    sheet, words = SHOWN[settings.show](draw, source, settings)
    name = f"{settings.show}-step-{step:08d}-seed{settings.seed}.png"
    out = Path(settings.out or place / "samples" / name)
    out.parent.mkdir(parents=True, exist_ok=True)
    png.write(out, walks.sheet(source, sheet))
    say(f"{settings.show} of step {step:,}: {words}")
    say(f"picture: {out}")
    return 0


Sheet = tuple["Tensor", str]
"""Samples (lines, columns, *shape) in the scale of training, and what there is to say of them."""


def interpolation(draw: Draw, source: Source, settings: Settings) -> Sheet:
    """From latent to latent, on the great circle or straight."""
    import torch

    from gan_runner.draw import slerp

    start, end = draw.latents(2 * settings.n).chunk(2)
    between = slerp if settings.way == "slerp" else torch.lerp
    fractions = torch.linspace(0, 1, settings.columns).tolist()
    walk = torch.stack([between(start, end, fraction) for fraction in fractions], 1)
    return made(draw, walk), f"{settings.n} walks, by {settings.way}"


def truncation(draw: Draw, source: Source, settings: Settings) -> Sheet:
    """Latents at the fractions psi of their way from the prior's mean (Karras et al. 2019, section 3.2)."""
    import torch

    mean, z = draw.latents(MANY).mean(0), draw.latents(settings.n)
    psi = torch.linspace(0, 1, settings.columns).to(z)
    sheet = made(draw, mean + psi[:, None] * (z - mean)[:, None])
    spread = sheet.flatten(2).std(0, correction=0).square().sum(1).sqrt()
    parts = (spread / spread[-1].clamp(min=1e-12)).tolist()
    said = ", ".join(f"{p:.2g}: {part:.2f}" for p, part in zip(psi.tolist(), parts, strict=True))
    return sheet, f"spread of samples in parts of the whole, by psi: {said}"


def traversal(draw: Draw, source: Source, settings: Settings) -> Sheet:
    """One coordinate of one latent moved at a time, those first that change samples most."""
    import torch

    many = draw.latents(MANY)
    middle, reach = many.mean(0), REACH * many.std(0)
    base, size = many[:FEW], many.shape[1]
    effect = torch.zeros(size)
    for j in range(size):
        low, high = base.clone(), base.clone()
        low[:, j], high[:, j] = middle[j] - reach[j], middle[j] + reach[j]
        moved = draw.generate(high) - draw.generate(low)
        effect[j] = moved.flatten(1).square().sum(1).mean()
    chosen = effect.argsort(descending=True)[: settings.n]
    walk = base[0].expand(len(chosen), settings.columns, -1).clone()
    for line, j in enumerate(chosen.tolist()):
        walk[line, :, j] = middle[j] + reach[j] * torch.linspace(-1, 1, settings.columns).to(walk)
    share = effect[chosen] / effect.sum().clamp(min=1e-12)
    said = ", ".join(f"{j} ({part:.0%})" for j, part in zip(chosen.tolist(), share.tolist(), strict=True))
    return made(draw, walk), f"coordinates, with their shares of what all {size} change: {said}"


def inversion(draw: Draw, source: Source, settings: Settings) -> Sheet:
    """Given rows, and what they come back as: by the run's encoder, or the latents that Adam finds."""
    import torch

    from gan_runner.metrics import rows
    from gan_runner.metrics.outliers import invert
    from gan_runner.pictures.reconstructions import error

    if settings.data:
        from gan_runner.datasets.further import further, pictures

        read = pictures if source.spec.kind == "image" else further
        x = read(settings.data, source)[0][: settings.n].to(source.device)
    else:
        x = rows.some(rows.reference(source), settings.n)
    again = draw.reconstruct(x)
    if again is None:
        found = invert(draw, x)
        if found is None:
            fix = "name a run with an encoder or a discriminator"
            raise UsageError("nobody in this run finds the latents of given rows", fix, id="F59")
        again = draw.generate(found[0])
    sheet = torch.stack([x, again], 1)
    return sheet, f"{len(x)} rows and their inversions, {error(x, again):.2f} of the rows' spread apart"


def neighbours(draw: Draw, source: Source, settings: Settings) -> Sheet:
    """Samples, and the training rows nearest to each."""
    import torch

    from gan_runner.pictures.neighbours import neighbours as nearest

    fake = draw(settings.n)
    distance, number = nearest(fake, source, min(settings.columns - 1, len(source)))
    near = source.take(number.flatten()).view(*number.shape, *source.spec.shape)
    said = ", ".join(f"{d:.3g}" for d in distance[:, 0].tolist())
    return torch.cat([fake[:, None], near], 1), f"distances of samples from their nearest training rows: {said}"


def made(draw: Draw, z: Tensor) -> Tensor:
    """Samples (lines, columns, *shape) of latents (lines, columns, latent)."""
    return draw.generate(z.flatten(0, 1)).unflatten(0, z.shape[:2])


SHOWN: dict[str, Callable[[Draw, Source, Settings], Sheet]] = {
    "interpolation": interpolation,
    "truncation": truncation,
    "traversal": traversal,
    "inversion": inversion,
    "neighbours": neighbours,
}
"""What can be shown."""


if __name__ == "__main__":
    main()
