"""The DCGAN of TensorFlow's tutorial, for MNIST and any image whose sides are multiples of 4.

It keeps what Keras does by default: "same" padding, leaky slope 0.3, Glorot's uniform weights, slow batch norm.
"""

from __future__ import annotations

from torch import nn

from gan_runner.models import roles
from gan_runner.models.checks import positive, quartered_image, share
from gan_runner.models.layers import draw_weights


class Generator(roles.Generator):
    """Gaussian latents, projected to 4 `width` maps of a quarter of the size, through three 5 x 5 convolutions.

    At 28 x 28 x 1 it has 2,305,472 parameters; Keras counts 2,330,944, the running statistics included.

    Raises:
        ValueError: the sides of the images are not multiples of 4, or `latent` or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 100, width: int = 64):
        positive(latent=latent, width=width)
        channels, high, wide = quartered_image(spec, "dcgan_tf")
        net = nn.Sequential(
            nn.Linear(latent, 4 * width * high * wide, bias=False),
            nn.BatchNorm1d(4 * width * high * wide, eps=1e-3, momentum=0.01),
            nn.LeakyReLU(0.3, inplace=True),
            nn.Unflatten(1, (4 * width, high, wide)),
            nn.ConvTranspose2d(4 * width, 2 * width, 5, 1, 2, bias=False),
            nn.BatchNorm2d(2 * width, eps=1e-3, momentum=0.01),
            nn.LeakyReLU(0.3, inplace=True),
            nn.ConvTranspose2d(2 * width, width, 5, 2, 2, output_padding=1, bias=False),
            nn.BatchNorm2d(width, eps=1e-3, momentum=0.01),
            nn.LeakyReLU(0.3, inplace=True),
            nn.ConvTranspose2d(width, channels, 5, 2, 2, output_padding=1, bias=False),
            nn.Tanh(),
        )
        super().__init__(latent, net)
        draw_weights(self, nn.init.xavier_uniform_)


class Discriminator(roles.Discriminator):
    """Two 5 x 5 convolutions, each halving the size, with dropout and without norm.

    At 28 x 28 x 1 it has 212,865 parameters.

    Raises:
        ValueError: the sides of the images are not multiples of 4, `width` is not positive, or `dropout` is not in
            [0, 1).
    """

    def __init__(self, spec: roles.Spec, dropout: float = 0.3, width: int = 64):
        share(dropout=dropout)
        positive(width=width)
        channels, high, wide = quartered_image(spec, "dcgan_tf")
        trunk = nn.Sequential(
            *halve(channels, width),
            nn.Dropout(dropout),
            *halve(width, 2 * width),
            nn.Dropout(dropout),
            nn.Flatten(),
        )
        super().__init__(trunk, nn.Linear(2 * width * high * wide, 1))
        draw_weights(self, nn.init.xavier_uniform_)


def halve(before: int, after: int) -> list[nn.Module]:
    """A leaky convolution of stride 2 with "same" padding: one row and column before, two after."""
    return [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(before, after, 5, 2), nn.LeakyReLU(0.3, inplace=True)]
