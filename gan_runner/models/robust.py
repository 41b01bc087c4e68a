"""Generators restricted to one family of distributions, which outliers cannot drag along (Gao et al. 2019).

Their first values are robust statistics of the data; see `begin` and `gan_runner.models.statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import choice, positive
from gan_runner.models.layers import chain, draw_weights
from gan_runner.models.mlp import ACTIVATIONS
from gan_runner.models.statistics import QUARTILE, STARTS, median, root

DRAWS = 20_000
"""Radii from which the scale of an elliptical law is found."""


class Restricted(nn.Module):
    """A generator of table rows, standard Gaussian latents, and a law of which it knows location and scatter.

    Raises:
        ValueError: the data are no table.
    """

    bound = None

    def __init__(self, spec: roles.Spec, extra: int = 0):
        super().__init__()
        if spec.kind != "table":
            raise ValueError(f"robust estimation is for tables; {tuple(spec.shape)} is a {spec.kind}: choose model=mlp")
        self.columns = spec.shape[0]
        self.latent = extra + self.columns

    def noise(self, n: int) -> Tensor:
        """(n, latent) draws from the prior, where the weights are."""
        weight = next(self.parameters())
        return torch.randn(n, self.latent, device=weight.device, dtype=weight.dtype)

    def begin(self, rows: Tensor) -> None:
        """Take first values from real rows (n, p)."""
        raise NotImplementedError

    def law(self) -> dict[str, Tensor]:
        """The "location" (p,) and the "scatter" (p, p) of x."""
        raise NotImplementedError


class Location(Restricted):
    """x = z + b with z from N(0, I): Gaussians of covariance I, learned is the location b.

    `begin` sets b to the median of each column.
    """

    begun: tuple[str, ...] = ("b",)

    def __init__(self, spec: roles.Spec):
        super().__init__(spec)
        self.b = nn.Parameter(torch.zeros(self.columns))

    def forward(self, z: Tensor) -> Tensor:
        return z + self.b

    def begin(self, rows: Tensor) -> None:
        """Take first values from real rows (n, p)."""
        self.b.copy_(median(rows))

    def law(self) -> dict[str, Tensor]:
        """The "location" (p,) and the "scatter" (p, p) of x."""
        return {"location": self.b.detach(), "scatter": torch.eye(self.columns).to(self.b)}


class Scatter(Restricted):
    """x = z W + b with z from N(0, I): Gaussians of any covariance W^T W and location b.

    `begin` sets b to the median of each column and W to the root of a robust scatter matrix.

    Args:
        location: whether b is learned; 0 otherwise.
        start: kendall (MAD and Kendall's tau) or diagonal (MAD alone).

    Raises:
        ValueError: the data are no table, or `start` is unknown.
    """

    def __init__(self, spec: roles.Spec, location: bool = True, start: str = "kendall"):
        super().__init__(spec)
        self.start = choice(STARTS, start=start)
        self.W = nn.Parameter(torch.eye(self.columns))
        self.b = nn.Parameter(torch.zeros(self.columns)) if location else None
        self.begun = ("W", "b") if location else ("W",)

    def forward(self, z: Tensor) -> Tensor:
        x = z @ self.W
        return x if self.b is None else x + self.b

    def begin(self, rows: Tensor) -> None:
        """Take first values from real rows (n, p)."""
        self.W.copy_(root(self.start(rows)))
        if self.b is not None:
            self.b.copy_(median(rows))

    def law(self) -> dict[str, Tensor]:
        """The "location" (p,) and the "scatter" (p, p) of x."""
        W = self.W.detach()
        return {"location": W.new_zeros(len(W)) if self.b is None else self.b.detach(), "scatter": W.T @ W}


class Elliptical(Restricted):
    """x = xi u + b, u uniform on the sphere of radius sqrt(p), xi = |MLP(t)|: spherical laws of any tails.

    Half of t is Gaussian, the other half one over the absolute value of a Gaussian: a linear network makes Cauchy's
    tails of it.

    `begin` sets b to the median of each column, and multiplies xi so that half of each column is as close to b as that
    of the standard Gaussian.

    Args:
        radius: widths of the network of xi, from that of t on.

    Raises:
        ValueError: the data are no table, or a width of `radius` is not positive, or its first is odd.
    """

    begun: tuple[str, ...] = ("b",)

    def __init__(self, spec: roles.Spec, radius: Sequence[int] = (24, 24, 24, 12, 12)):
        if not radius or radius[0] % 2:
            raise ValueError(f"radius={list(radius)}: t is made of two halves, so its first width must be even")
        for width in radius:
            positive(radius=width)
        super().__init__(spec, extra=radius[0])
        hidden = [layer for pair in pairwise(radius) for layer in (nn.Linear(*pair), nn.LeakyReLU(0.2))]
        self.radius, self.inputs = nn.Sequential(*hidden, nn.Linear(radius[-1], 1)), radius[0]
        self.b = nn.Parameter(torch.zeros(self.columns))

    def xi(self, g: Tensor) -> Tensor:
        """Radii (n, 1) over sqrt(p), from Gaussians (n, inputs)."""
        light, heavy = g.chunk(2, 1)
        return self.radius(torch.cat([light, 1 / heavy.abs().clamp(min=1e-6)], 1)).abs()

    def sphere(self, z: Tensor) -> Tensor:
        """xi u (n, p) of latents."""
        g, v = z.split([self.inputs, self.columns], 1)
        return self.xi(g) * v * (math.sqrt(self.columns) / v.norm(dim=1, keepdim=True))

    def forward(self, z: Tensor) -> Tensor:
        return self.sphere(z) + self.b

    def begin(self, rows: Tensor) -> None:
        """Take first values from real rows (n, p)."""
        self.b.copy_(median(rows))
        last, wide = self.radius[-1], self.width()
        assert isinstance(last, nn.Linear)
        last.weight.div_(wide)
        last.bias.div_(wide)

    @torch.no_grad()
    def width(self) -> Tensor:
        """The upper quartile (0-d) of the columns of xi u over that of the standard Gaussian."""
        return self.sphere(self.noise(DRAWS))[:, 0].abs().median() / QUARTILE

    def law(self) -> dict[str, Tensor]:
        """The "location" (p,) and the "scatter" (p, p) of x: that of the Gaussian with the same quartiles."""
        return {"location": self.b.detach(), "scatter": self.width() ** 2 * torch.eye(self.columns).to(self.b)}


class EllipticalScatter(Elliptical):
    """x = xi u A + b, as `Elliptical`: elliptical laws of any tails and any scatter.

    `begin` also sets A to the diagonal of the columns' scales.
    """

    begun: tuple[str, ...] = ("A", "b")

    def __init__(self, spec: roles.Spec, radius: Sequence[int] = (48, 48, 32, 24, 12), start: str = "diagonal"):
        super().__init__(spec, radius)
        self.start = choice(STARTS, start=start)
        self.A = nn.Parameter(torch.eye(self.columns))

    def forward(self, z: Tensor) -> Tensor:
        return self.sphere(z) @ self.A + self.b

    def begin(self, rows: Tensor) -> None:
        """Take first values from real rows (n, p)."""
        super().begin(rows)
        self.A.copy_(root(self.start(rows)))

    def law(self) -> dict[str, Tensor]:
        """The "location" (p,) and the "scatter" (p, p) of x: that of the Gaussian with the same quartiles."""
        A = self.A.detach()
        return {"location": self.b.detach(), "scatter": self.width() ** 2 * (A.T @ A)}


class Discriminator(roles.Discriminator):
    """Rows through hidden layers, each with an activation of its own, to a logit; weights are Xavier's Gaussians.

    Args:
        hidden: widths of the hidden layers, from 1 on: an affine discriminator cannot tell outliers.
        activations: for each of them leaky_relu (slope 0.2), relu, silu, sigmoid or tanh.
        first_sd: standard deviation of the first layer's weights; Xavier's where it is null.

    Raises:
        ValueError: a width is not positive, a name is unknown, or there are not as many of both.
    """

    def __init__(
        self,
        spec: roles.Spec,
        hidden: Sequence[int] = (20,),
        activations: Sequence[str] = ("leaky_relu",),
        first_sd: float | None = None,
    ):
        if not hidden or len(hidden) != len(activations):
            raise ValueError(f"activations={list(activations)} must name one for each of hidden={list(hidden)}")
        layers: list[nn.Module] = [nn.Flatten()]
        for (before, after), name in zip(pairwise((math.prod(spec.shape), *hidden)), activations, strict=True):
            positive(hidden=after)
            layers += [nn.Linear(before, after), choice(SHAPES, activations=name)()]
        super().__init__(chain(*layers), nn.Linear(hidden[-1], 1))
        draw_weights(self, nn.init.xavier_normal_)
        if first_sd is not None:
            first = layers[1]
            assert isinstance(first, nn.Linear)
            nn.init.normal_(first.weight, 0, first_sd)


SHAPES: Mapping = {**ACTIVATIONS, "sigmoid": nn.Sigmoid}
"""Activations by name; bounded ones limit what a single row can do."""
