"""The CIFAR-10 networks of Salimans et al. (2016): weight norm, noise and dropout; squares of 8 to 128 px."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gan_runner.models import roles
from gan_runner.models.checks import positive, square_image
from gan_runner.models.layers import chain, draw_weights
from gan_runner.models.minibatch import beside
from gan_runner.models.resnet import Pool


class Generator(roles.UniformGenerator):
    """Uniform latents, projected to 4 x 4 maps and doubled by 5 x 5 convolutions; the last has weight norm.

    The paper's latents lie in [0, 1]: the batch norm after the projection takes no notice of a shift.

    Args:
        width: of the 4 x 4 maps; half as many after each doubling.

    Raises:
        ValueError: the data are not such images, or `latent` or `width` is not positive.
    """

    reach = 0.5

    def __init__(self, spec: roles.Spec, latent: int = 100, width: int = 512):
        positive(latent=latent, width=width)
        channels, size = square_image(spec, "improved")
        maps = [max(width >> k, 1) for k in range((size // 4).bit_length() - 1)]
        up = partial(nn.ConvTranspose2d, kernel_size=5, stride=2, padding=2, output_padding=1)
        doublings = [
            layer
            for before, after in pairwise(maps)
            for layer in (up(before, after, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
        ]
        paint = up(maps[-1], channels)
        net = nn.Sequential(
            nn.Linear(latent, maps[0] * 4 * 4, bias=False),
            nn.BatchNorm1d(maps[0] * 4 * 4),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (maps[0], 4, 4)),
            *doublings,
            paint,
            nn.Tanh(),
        )
        super().__init__(latent, net)
        draw_weights(self, partial(nn.init.normal_, std=0.05))
        parametrizations.weight_norm(paint, dim=1)  # of a transposed convolution, the second dimension is the output


class Discriminator(roles.Discriminator):
    """Nine leaky convolutions with weight norm on noisy images, dropout where the size was halved, mean over positions.

    Their code pads all but the seventh, keeps the gains of hidden layers fixed, and sets them by the first batch.

    Args:
        width: of the first three; the others have twice as many maps.
        dropout: the share of maps left out in training.
        noise: standard deviation of what is added to pixels in training.
        minibatch: arguments of `MinibatchDiscrimination` before the last map, such as {kernels: 100, dims: 5}.

    Raises:
        ValueError: the data are not such images, or `width` is not positive.
    """

    def __init__(
        self,
        spec: roles.Spec,
        width: int = 96,
        dropout: float = 0.5,
        noise: float = 0.2,
        minibatch: Mapping[str, Any] | None = None,
    ):
        positive(width=width)
        channels, _ = square_image(spec, "improved")
        others, features = beside(2 * width, minibatch)
        trunk = chain(
            Noise(noise),
            *leaky(channels, width),
            *leaky(width, width),
            *leaky(width, width, stride=2),
            nn.Dropout(dropout),
            *leaky(width, 2 * width),
            *leaky(2 * width, 2 * width),
            *leaky(2 * width, 2 * width, stride=2),
            nn.Dropout(dropout),
            *leaky(2 * width, 2 * width),
            *leaky(2 * width, 2 * width, side=1),
            *leaky(2 * width, 2 * width, side=1),
            Pool("mean"),
            others,
        )
        super().__init__(trunk, nn.Linear(features, 1))
        draw_weights(self, partial(nn.init.normal_, std=0.05))
        for layer in [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
            parametrizations.weight_norm(layer)


class Noise(nn.Module):
    """Adds Gaussian noise in training."""

    def __init__(self, sd: float):
        super().__init__()
        self.sd = sd

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sd * torch.randn_like(x) if self.training else x


def leaky(before: int, after: int, side: int = 3, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, side, stride, side // 2), nn.LeakyReLU(0.2, inplace=True)]
