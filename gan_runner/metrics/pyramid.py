"""Are patches of samples distributed like those of real images, resolution by resolution? (Karras et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.tables import wasserstein

PATCH = 7
"""Height and width of a patch."""
COARSEST = 16
"""Pixels below which no resolution is made of a finer one."""
AT_ONCE = 16
"""Directions along which patches are in memory."""


@dataclass(frozen=True)
class SlicedWasserstein:
    """`swd_16`, `swd_32`, ... of samples by resolution, and their mean `swd`, each with its `_floor`.

    The sliced Wasserstein distance, times 1,000, of 7x7 patches from the levels of a Laplacian pyramid; see `pyramid`,
    `patches` and `sliced`. As many samples as half of the real rows, n at most, are compared with that half; the floor
    is that of the other half. The paper has 16,384 images, 128 patches of each and 512 directions.

    Args:
        every: steps between two calls.
        n: samples.
        patches: of each image, at each level.
        directions: random ones, the same for all.
    """

    every: int = 0
    n: int = 1000
    patches: int = 64
    directions: int = 128

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "unseen"
    _known: dict[str, tuple[dict[int, Tensor], dict[str, float]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __call__(self, draw: Draw, source: Source) -> Findings:
        split = rows.reference(source)
        size = min(self.n, len(split) // 2)
        if not size or min(source.spec.shape[1:]) < PATCH:
            return Findings()
        if source.digest not in self._known:
            half, other = (self.levels([x]) for x in rows.halves(split, size))
            floor = {f"{name}_floor": value for name, value in self.compare(other, half).items()}
            self._known[source.digest] = half, floor
        half, floor = self._known[source.digest]
        return Findings(self.compare(self.levels(draw.stream(size)), half) | floor)

    def levels(self, images: Iterable[Tensor]) -> dict[int, Tensor]:
        """Height of each level -> normalised patches (n * patches, C, 7, 7) of images (n, C, H, W) in parts."""
        g, found = torch.Generator().manual_seed(0), {}
        for part in images:
            for level in pyramid(part.cpu().clamp(-1, 1)):
                found.setdefault(level.shape[2], []).append(patches(level, self.patches, g))
        return {height: normalised(torch.cat(parts)) for height, parts in found.items()}

    def compare(self, fake: dict[int, Tensor], real: dict[int, Tensor]) -> dict[str, float]:
        """Distances of levels of as many images."""
        found = {f"swd_{height}": 1000 * sliced(fake[height], real[height], self.directions) for height in sorted(real)}
        return {"swd": sum(found.values()) / len(found), **found}


def pyramid(images: Tensor) -> Iterator[Tensor]:
    """Levels of images (n, C, H, W), finest first: what each resolution adds to the next, and the coarsest as it is.

    Heights and widths are halved while they are even and at least 32 (Burt & Adelson 1983), so smaller images are one
    level: the images themselves.
    """
    while all(side % 2 == 0 and side >= 2 * COARSEST for side in images.shape[2:]):
        small = blur(images)[:, :, ::2, ::2]
        yield images - enlarged(small)
        images = small
    yield images


def enlarged(images: Tensor) -> Tensor:
    """Images (n, C, H, W) at twice the size: zeros between pixels, blurred."""
    n, channels, height, width = images.shape
    spread = images.new_zeros(n, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = 4 * images
    return blur(spread)


def blur(images: Tensor) -> Tensor:
    """Images (n, C, H, W) under the binomial kernel of 5x5 pixels, mirrored at their borders."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (line[:, None] * line).expand(images.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=images.shape[1])


def patches(images: Tensor, count: int, g: torch.Generator) -> Tensor:
    """(n * count, C, 7, 7): so many patches at random places of each of images (n, C, H, W)."""
    windows = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    n, _, high, wide = windows.shape[:4]
    y, x = (torch.randint(most, (n, count), generator=g) for most in (high, wide))
    return windows[torch.arange(n)[:, None], :, y, x].flatten(0, 1)


def normalised(x: Tensor) -> Tensor:
    """Patches (n, C, h, w) of mean 0 and deviation 1 in each channel, over all of them; 0 where nothing varies."""
    sd, mean = torch.std_mean(x, (0, 2, 3), correction=0, keepdim=True)
    return (x - mean) / sd.where(sd > 1e-6, 1.0)


def sliced(a: Tensor, b: Tensor, directions: int) -> float:
    """Mean first Wasserstein distance of a and b (n, ...) along so many random directions (Rabin et al. 2011)."""
    a, b, g = a.flatten(1), b.flatten(1), torch.Generator().manual_seed(0)
    ways = F.normalize(torch.randn(a.shape[1], directions, generator=g), dim=0)
    return float(torch.cat([wasserstein(a @ some, b @ some) for some in ways.split(AT_ONCE, 1)]).mean())
