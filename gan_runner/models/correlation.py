"""A generator that can make nothing but correlation matrices: factors and what is each variable's own."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive
from gan_runner.models.corrgan import one_matrix, unit_diagonal
from gan_runner.models.mlp import hidden_layers


class Generator(roles.Generator):
    """Correlations of x_i = b_i f + s_i e_i, with factors f and own parts e_i independent, of variance 1.

    The hidden layers end in the loadings b_i and the logarithm of the positive s_i. Divided by the standard deviation
    (|b_i|^2 + s_i^2)^(1/2), row i is a point on the unit sphere; the products of these points are the correlations.
    So the matrix is positive definite with a diagonal of ones, whatever the weights.

    Args:
        hidden: widths of the hidden layers.
        factors: how many f there are.
        norm: batch, group, layer or none, after each hidden layer's affine map.

    Raises:
        ValueError: the data are not square matrices, a number is not positive, or `norm` is unknown.
    """

    def __init__(
        self,
        spec: roles.Spec,
        latent: int = 100,
        hidden: Sequence[int] = (256, 256),
        factors: int = 16,
        norm: str = "none",
    ):
        positive(latent=latent, factors=factors)
        size = one_matrix(spec, "correlation")
        net = nn.Sequential(
            *hidden_layers(latent, hidden, "leaky_relu", norm),
            nn.Linear((latent, *hidden)[-1], size * (factors + 1)),
            nn.Unflatten(1, (1, size, factors + 1)),
        )
        super().__init__(latent, net)

    def forward(self, z: Tensor) -> Tensor:
        rows = self.net(z)
        loadings, own = rows[..., :-1], rows[..., -1:].exp()
        loadings = loadings / (loadings.square().sum(-1, keepdim=True) + own.square()).sqrt()
        return unit_diagonal(loadings @ loadings.mT)
