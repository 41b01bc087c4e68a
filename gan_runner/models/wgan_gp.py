"""The convolutional networks of WGAN-GP's MNIST code (Gulrajani et al. 2017), for sides that are multiples of 4.

Pixels lie in [-1, 1], not in their [0, 1]: the generator's sigmoid becomes tanh(x / 2), the critic maps back. A slope
there is half of one here, so their penalty lambda (|grad| - 1)^2 is here 4 lambda (|grad| - 1/2)^2.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive, quartered_image
from gan_runner.models.layers import draw_weights

AREA = 25
"""Weights of a 5 x 5 kernel."""


class Generator(roles.Generator):
    """Gaussian latents, projected to 256 maps of an eighth of the size and doubled three times, without norm.

    At 28 x 28 x 1 it has 1,554,177 parameters.

    Raises:
        ValueError: the sides of the images are not multiples of 4, or `latent` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 128):
        positive(latent=latent)
        channels, *quarter = quartered_image(spec, "wgan_gp")
        eighth = [-(-side // 2) for side in quarter]
        even = [1 - side % 2 for side in quarter]  # 4 x 4 becomes 7 x 7: the last row and column would be cut off
        net = nn.Sequential(
            nn.Linear(latent, 256 * eighth[0] * eighth[1]),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (256, *eighth)),
            nn.ConvTranspose2d(256, 128, 5, 2, 2, output_padding=(even[0], even[1])),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(128, 64, 5, 2, 2, output_padding=1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, channels, 5, 2, 2, output_padding=1),
        )
        super().__init__(latent, net)
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        return (self.net(z) / 2).tanh()


class Discriminator(roles.Discriminator):
    """Three leaky 5 x 5 convolutions of stride 2 with "same" padding, without norm.

    At 28 x 28 x 1 it has 1,030,145 parameters.

    Raises:
        ValueError: the sides of the images are not multiples of 4.
    """

    def __init__(self, spec: roles.Spec):
        channels, high, wide = quartered_image(spec, "wgan_gp")
        layers: list[nn.Module] = []
        for before, after, part in ((channels, 64, 4), (64, 128, 2), (128, 256, 1)):
            odd = [side * part % 2 for side in (wide, high)]
            layers += [
                nn.ZeroPad2d((1 + odd[0], 2, 1 + odd[1], 2)),
                nn.Conv2d(before, after, 5, 2),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        head = nn.Linear(256 * -(-high // 2) * -(-wide // 2), 1)
        super().__init__(nn.Sequential(*layers, nn.Flatten()), head)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        return self.trunk((x + 1) / 2)


def initialise(net: nn.Module) -> None:
    """Uniform weights as in their code, and biases of 0.

    The variance is 2 / (inputs + outputs) of an affine map, and 4 / (inputs + outputs) of a convolution, counted for
    one position where there are fewer: a stride of 2 leaves a quarter.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            draw_weights(layer, nn.init.xavier_uniform_)
        elif isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            many, few = len(layer.weight[0]) * AREA, len(layer.weight) * AREA / 4
            draw_weights(
                layer, partial(nn.init.uniform_, a=-((12 / (many + few)) ** 0.5), b=(12 / (many + few)) ** 0.5)
            )
