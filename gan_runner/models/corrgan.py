"""CorrGAN: TensorFlow's DCGAN on correlation matrices (Marti 2019), kept symmetric with a diagonal of ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_runner.models import dcgan_tf, roles
from gan_runner.models.mlp import hidden_layers


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


class Discriminator(roles.Discriminator):
    """Scores a matrix C by the entries of C and of its square, through fully connected layers.

    Entry (i, j) of the square sums c_ik c_kj over all third variables k. Such sums tell whether a symmetric matrix is
    one of correlations, and fully connected layers are slow to find products.

    Args:
        hidden: widths of the hidden layers.

    Raises:
        ValueError: the data are not square matrices, or a width is not positive.
    """

    def __init__(self, spec: roles.Spec, hidden: Sequence[int] = (256, 256)):
        size = one_matrix(spec, "corrgan")
        inputs = size * size
        trunk = nn.Sequential(WithSquare(size), *hidden_layers(inputs, hidden, "leaky_relu", "none"))
        super().__init__(trunk, nn.Linear((inputs, *hidden)[-1], 1))


class WithSquare(nn.Module):
    """The p^2 different entries of symmetric matrices with ones on the diagonal and of their squares over p."""

    above: Tensor
    upper: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("above", torch.triu_indices(size, size, 1), persistent=False)
        self.register_buffer("upper", torch.triu_indices(size, size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        c = x.squeeze(1)
        square = c @ c / c.shape[-1]
        return torch.cat([c[:, self.above[0], self.above[1]], square[:, self.upper[0], self.upper[1]]], 1)


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
    return x.masked_fill(torch.eye(x.shape[-1], dtype=torch.bool, device=x.device), 1.0)
