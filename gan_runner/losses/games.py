"""Games of two players in a few numbers, whose saddle points and rates of convergence are known in closed form.

x minimises and y maximises, or each descends a loss of its own. Players move parameters; what they play, a number or a
mixed strategy, is a function of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from gan_runner.losses.constraints import Constraint, Simplex
from gan_runner.losses.payoffs import Minimax, Payoff


class Game(Protocol):
    """Attributes:
    name: what to call it above a picture.
    axes: what x and y are called.
    sizes: how many parameters x and y have.
    saddle: the play of x and y at the saddle point, one after the other; None where it is not known.
    constraints: what must hold of each player's parameters after its steps.
    """

    @property
    def name(self) -> str: ...

    @property
    def axes(self) -> tuple[str, str]: ...

    @property
    def sizes(self) -> tuple[int, int]: ...

    @property
    def saddle(self) -> tuple[float, ...] | None: ...

    @property
    def constraints(self) -> tuple[Constraint, ...]: ...

    def losses(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What x (m,) and what y (n,) descends, both 0-d."""
        ...

    def plays(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What parameters x (m,) and y (n,) play, in the same shapes."""
        ...

    def parameters(self, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters that play p (m,) and q (n,)."""
        ...

    def gap(self, p: Tensor, q: Tensor) -> Tensor | None:
        """What both players could gain by their best answers to plays p and q; None where that has no bound."""
        ...


class Numbers:
    """A game in which each player plays the one number it moves, with its saddle point at 0."""

    sizes = (1, 1)
    saddle = (0.0, 0.0)
    constraints = ()
    axes = ("x", "y")

    def plays(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y

    def parameters(self, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        return p, q

    def gap(self, p: Tensor, q: Tensor) -> Tensor | None:
        return None


@dataclass(frozen=True)
class Quadratic(Numbers):
    """min_x max_y curvature (x^2 - y^2) + coupling x y: without curvature, the bilinear game.

    Raises:
        ValueError: `curvature` is negative: there is no saddle point.
    """

    curvature: float = 1.0
    coupling: float = 1.0

    def __post_init__(self) -> None:
        if not self.curvature >= 0:
            raise ValueError(f"curvature={self.curvature} is negative: the game would have no saddle point")

    @property
    def name(self) -> str:
        square = {"0": "", "1": "x² − y²"}.get(f"{self.curvature:g}", f"{self.curvature:g} (x² − y²)")
        product = {"0": "", "1": "xy"}.get(f"{self.coupling:g}", f"{self.coupling:g} xy")
        return "min max " + (" + ".join(filter(None, (square, product))) or "0")

    def losses(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        value = (self.curvature * (x.square() - y.square()) + self.coupling * x * y).sum()
        return value, -value


@dataclass(frozen=True)
class Dirac(Numbers):
    """Dirac-GAN: data at 0, a generator that makes theta, a discriminator that scores psi x (Mescheder et al. 2018).

    Attributes:
        payoff: of the GAN; with `Minimax` the game is zero-sum.
        penalty: gamma of R1, gamma / 2 |grad D|^2 = gamma / 2 psi^2: with 0 no method without a look ahead converges.

    Raises:
        ValueError: `penalty` is negative.
    """

    payoff: Payoff = field(default_factory=Minimax)
    penalty: float = 0.0
    axes = ("θ (generator)", "ψ (discriminator)")

    def __post_init__(self) -> None:
        if not self.penalty >= 0:
            raise ValueError(f"penalty={self.penalty} is negative")

    @property
    def name(self) -> str:
        return f"Dirac-GAN, R1 γ = {self.penalty:g}" if self.penalty else "Dirac-GAN"

    def losses(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        real, fake = 0 * y, y * x
        critic = self.payoff.discriminator(real, fake) + self.penalty / 2 * y.square().sum()
        return self.payoff.generator(real, fake), critic


@dataclass(frozen=True)
class Matrix:
    """A matrix game in mixed strategies: x pays y p^T A q (von Neumann 1928); strategies are projected on the simplex.

    Attributes:
        payoff: A, a row for each pure strategy of x, a column for each of y.
        name: what to call it.

    Raises:
        ValueError: `payoff` is no matrix.
    """

    payoff: Sequence[Sequence[float]]
    name: str = "matrix game"
    axes = ("p", "q")

    def __post_init__(self) -> None:
        rows = [list(row) for row in self.payoff if isinstance(row, (list, tuple))]
        if len(rows) != len(self.payoff) or len({len(row) for row in rows}) != 1 or not rows[0]:
            raise ValueError(f"payoff={self.payoff} is not a list of rows of the same length")

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.payoff), len(self.payoff[0])

    @property
    def saddle(self) -> tuple[float, ...] | None:
        """Both uniform, where no other answer to that is better."""
        m, n = self.sizes
        p, q = torch.full((m,), 1 / m, dtype=torch.float64), torch.full((n,), 1 / n, dtype=torch.float64)
        return (*p.tolist(), *q.tolist()) if self.gap(p, q) < 1e-12 else None

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        return (Simplex(),)

    def plays(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y

    def parameters(self, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        return p, q

    def losses(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        p, q = self.plays(x, y)
        value = (p * weighted(self.payoff, q)).sum()
        return value, -value

    def gap(self, p: Tensor, q: Tensor) -> Tensor:
        """max_j (p^T A)_j - min_i (A q)_i >= 0, and 0 at a saddle point alone."""
        columns = list(zip(*self.payoff, strict=True))
        return weighted(columns, p).max() - weighted(self.payoff, q).min()


@dataclass(frozen=True)
class SoftMatrix(Matrix):
    """The same game with strategies p = softmax(x), q = softmax(y)."""

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        return ()

    def plays(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x.softmax(0), y.softmax(0)

    def parameters(self, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        return p.log(), q.log()


def weighted(rows: Sequence[Sequence[float]], q: Tensor) -> Tensor:
    """A q (m,) of a matrix of plain numbers: no constants to move to a device, and nothing for autocast to round."""
    parts = q.unbind()
    return torch.stack([sum((a * part for a, part in zip(row, parts, strict=True)), 0 * parts[0]) for row in rows])
