"""Networks on pairs of an image and a latent, which see the image as DCGAN's discriminator does."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gan_runner.datasets.spec import Spec
from gan_runner.models import dcgan, pairs, roles


class Reconstructor(pairs.Reconstructor):
    """A Gaussian p(z | x) whose mean, and standard deviation unless it is given, are affine in DCGAN's features of x.

    Raises:
        ValueError: the data are not such images, `latent`, `width` or `sd` is not positive, or `norm` is unknown.
    """

    def __init__(self, spec: roles.Spec, latent: int, width: int = 64, norm: str = "batch", sd: float | None = None):
        sees = dcgan.Discriminator(spec, width, norm)
        super().__init__(row(sees), latent, hidden=(), sd=sd)
        self.net = nn.Sequential(sees.trunk, self.net)


class JointDiscriminator(pairs.JointDiscriminator):
    """Scores pairs by hidden layers on DCGAN's features of the image beside the latent.

    Raises:
        ValueError: the data are not such images, a width is not positive, or a name is unknown.
    """

    def __init__(
        self,
        spec: roles.Spec,
        latent: int,
        width: int = 64,
        norm: str = "none",
        hidden: Sequence[int] = (512,),
        dropout: float = 0.0,
    ):
        sees = dcgan.Discriminator(spec, width, norm)
        super().__init__(row(sees), latent, hidden, dropout=dropout)
        self.sees = sees.trunk

    def features(self, x: Tensor, z: Tensor) -> Tensor:
        return super().features(self.sees(x), z)


def row(net: dcgan.Discriminator) -> Spec:
    """What a network on its features takes."""
    assert isinstance(net.head, nn.Linear)
    return Spec((net.head.in_features,), "table")
