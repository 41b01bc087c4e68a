"""How samples of always the same noise come into being, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.grid import IMAGES, grid


@dataclass(frozen=True)
class Film:
    """`film`: samples from the same noise each time; when the run ends all of them are pictures/film.gif.

    The frames are pictures of the run folder, so a film goes on where its run is resumed.

    Args:
        every: steps between two frames, such as those of an epoch.
        n: images in each.
    """

    every: int = 500
    n: int = 16

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        return Findings(pictures={"film": grid(source.decode(draw(self.n)))}, films=("film",))
