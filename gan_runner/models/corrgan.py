"""CorrGAN: TensorFlow's DCGAN on correlation matrices (Marti 2020), kept symmetric with a diagonal of ones."""

from __future__ import annotations

from torch import Tensor

from gan_runner.models import dcgan_tf, roles


class Generator(dcgan_tf.Generator):
    """`dcgan_tf.Generator`, the mean of its output and the transpose, with ones on the diagonal.

    The discriminator so sees only what correlation matrices could be, but that they may have negative eigenvalues.

    Raises:
        ValueError: the data are not square matrices whose side is a multiple of 4, or `latent` or `width` is not
            positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 100, width: int = 64):
        size = one_matrix(spec, "corrgan")
        if size % 4:
            makes = f"corrgan makes matrices whose side is a multiple of 4; {size} is not"
            raise ValueError(f"{makes}: set dataset.size={-(-size // 4) * 4} or choose model=correlation")
        super().__init__(spec, latent, width)

    def forward(self, z: Tensor) -> Tensor:
        x = self.net(z)
        return unit_diagonal((x + x.mT) / 2)


def one_matrix(spec: roles.Spec, model: str) -> int:
    """The side p of square matrices (1, p, p).

    Raises:
        ValueError: `spec` describes something else.
    """
    shape = tuple(spec.shape)
    if len(shape) == 3 and shape[0] == 1 and shape[1] == shape[2]:
        return shape[1]
    raise ValueError(f"{model} makes square matrices; {shape} is not: choose dataset=correlations, hcbm or model=mlp")


def unit_diagonal(x: Tensor) -> Tensor:
    """Matrices x (n, 1, p, p) with ones on the diagonal, which so has no gradient."""
    ones = x.new_ones(x.shape[-1]).expand(x.shape[:-1])
    return x.diagonal_scatter(ones, dim1=-2, dim2=-1)
