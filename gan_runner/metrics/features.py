"""Feature spaces: where images are points, and distances between sets of them mean something."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows

CHUNK = 512
"""Images embedded at once."""


@dataclass(frozen=True)
class Space:
    """A fitted feature space.

    Attributes:
        embed: images (n, C, H, W) in the scale of training to features (n, d).
        digest: of all that decides the features; where it is "", nothing measured in the space can be kept.
        facts: what a reader must know to judge numbers measured in it; logged beside them.
    """

    embed: Callable[[Tensor], Tensor]
    digest: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """Features (n, d) of images, on the CPU; of a stream of them no more than a part is held."""
        whole = [images] if isinstance(images, Tensor) else images
        with torch.no_grad():
            return torch.cat([self.embed(part).cpu() for x in whole for part in x.split(CHUNK)])


class Features(Protocol):
    """A recipe for a feature space."""

    def __call__(self, source: Source) -> Space:
        """The space for this data, fitted to the training rows if it has anything to fit."""
        ...


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves, in [-1, 1].

    Args:
        size: height and width to average images to before; as they are if None.
    """

    size: int | None = None

    def __call__(self, source: Source) -> Space:
        return Space(self.embed, f"pixels {self.size}")

    def embed(self, images: Tensor) -> Tensor:
        images = images.clamp(-1, 1)
        return (images if self.size is None else F.adaptive_avg_pool2d(images, self.size)).flatten(1)


@dataclass(frozen=True)
class PCA:
    """The directions in which the pixels of the training rows vary most.

    Args:
        components: how many; all where images have fewer pixels.
        n: training rows to find them with.
    """

    components: int = 64
    n: int = 5000

    def __call__(self, source: Source) -> Space:
        from sklearn.decomposition import PCA as Fit

        pixels = rows.some(source, self.n).flatten(1).cpu()
        count = min(self.components, *pixels.shape)
        fit = Fit(count, svd_solver="randomized", random_state=0).fit(pixels.numpy())
        mean, directions = (torch.from_numpy(x).float().to(source.device) for x in (fit.mean_, fit.components_))
        digest = hashlib.sha256(torch.cat([mean[None], directions]).cpu().numpy().tobytes()).hexdigest()
        return Space(lambda images: (images.clamp(-1, 1).flatten(1) - mean) @ directions.T, digest)
