"""The residual networks of variational gradient flow (Gao et al. 2019), for squares of 8 to 128 px.

Every weight is divided by its largest singular value, which five power iterations per pass in training estimate; no
convolution has a bias; weights start as N(0, 0.02). (In their code an activation in place changes what the shortcuts
see, too; here they see the block's input.)
"""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.nn.utils import parametrizations

from gan_runner.models import roles
from gan_runner.models.checks import positive, square_image
from gan_runner.models.layers import draw_weights
from gan_runner.models.resnet import Pool, Residual

POWER_ITERATIONS = 5


class Generator(roles.Generator):
    """Gaussian latents, projected to 4 x 4 maps and doubled in size by residual blocks until they are an image.

    Raises:
        ValueError: the data are not such images, or `latent` or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 128, width: int = 128):
        positive(latent=latent, width=width)
        channels, size = square_image(spec, "vgrow")
        doublings = (size // 4).bit_length() - 1
        net = nn.Sequential(
            nn.Linear(latent, width * 4 * 4),
            nn.Unflatten(1, (width, 4, 4)),
            *[double(width) for _ in range(doublings)],
            nn.ReLU(inplace=True),
            conv(width, channels),
            nn.Tanh(),
        )
        super().__init__(latent, net)
        restrain(self)


class Discriminator(roles.Discriminator):
    """Four residual blocks, the first two of which halve the size, then ReLU and the sum over positions.

    Raises:
        ValueError: the data are not such images, or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, width: int = 128):
        positive(width=width)
        channels, _ = square_image(spec, "vgrow")
        first = nn.Sequential(conv(channels, width), nn.ReLU(inplace=True), conv(width, width), nn.AvgPool2d(2))
        trunk = nn.Sequential(
            Residual(first, nn.Sequential(nn.AvgPool2d(2), conv(channels, width, 1))),
            Residual(
                nn.Sequential(*twice(width), nn.AvgPool2d(2)), nn.Sequential(nn.AvgPool2d(2), conv(width, width, 1))
            ),
            Residual(nn.Sequential(*twice(width)), nn.Identity()),
            Residual(nn.Sequential(*twice(width)), nn.Identity()),
            nn.ReLU(inplace=True),
            Pool("sum"),
        )
        super().__init__(trunk, nn.Linear(width, 1))
        restrain(self)


def conv(before: int, after: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, side, padding=side // 2, bias=False)


def twice(width: int) -> list[nn.Module]:
    """Two convolutions, each after an activation."""
    return [nn.ReLU(), conv(width, width), nn.ReLU(inplace=True), conv(width, width)]


def double(width: int) -> Residual:
    """The generator's block: double the size, then two convolutions with batch norm between them."""
    first, second, third, fourth = twice(width)
    residual = nn.Sequential(nn.Upsample(scale_factor=2), first, second, nn.BatchNorm2d(width), third, fourth)
    return Residual(residual, nn.Sequential(conv(width, width, 1), nn.Upsample(scale_factor=2)))


def restrain(net: nn.Module) -> None:
    """Draw all weights, and put spectral norm on them."""
    draw_weights(net, partial(nn.init.normal_, std=0.02))
    for layer in [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
        parametrizations.spectral_norm(layer, n_power_iterations=POWER_ITERATIONS)
