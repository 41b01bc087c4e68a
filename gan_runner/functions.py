"""A trained model as a pure function in natural units: of latents, its samples; of samples, their energies.

`torch.export` follows these as it does any module: nothing here is random, and networks are moving averages in
evaluation mode.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

from gan_runner.datasets.spec import Source
from gan_runner.draw import Draw
from gan_runner.errors import UsageError

ROWS = 64
"""Rows of which a written file is asked."""
EDGE = 1e-6
"""What fp32 does not tell apart, in the scale of training: two that agree may round to different digits."""
UNITS = {"image": "pixels from 0 to 255, not rounded", "correlation": "correlations, as the network makes them"}
"""Natural units of each kind of data; all others have the data set's own."""


class Function(nn.Module):
    """What all functions of a draw share.

    Attributes:
        what: a name for it.
        takes, gives: names of its argument and of its value, for files and their readers.
        average: the networks that are looked at, and so written.
    """

    what: str
    takes: str
    gives: str

    def __init__(self, source: Source, draw: Draw):
        super().__init__()
        self.source, self.draw, self.average = source, draw, draw.state.average
        self.objective, self.state = draw.objective, draw.state.averaged()

    @cached_property
    def given(self) -> Tensor:
        """Rows of the argument (ROWS, ...), of which this and a file are asked."""
        raise NotImplementedError

    def near(self, given: Tensor) -> Tensor:
        """Values (k, n, ...) that count as right; the first are the function's own."""
        return self(given)[None]

    def span(self, ours: Tensor) -> Tensor:
        """What differences from its values (ROWS, ...) on `given` are measured by, in a shape that meets theirs."""
        raise NotImplementedError

    @torch.no_grad()
    def difference(self, other: Any) -> float:
        """How far another function is from this one at most, in spans, asked for one row and for the others at once."""
        near = self.near(self.given)
        found = torch.cat([other(part) for part in self.given.split([1, ROWS - 1])])
        assert found.shape == near[0].shape, (found.shape, near.shape)
        gap = (found.nan_to_num() - near.nan_to_num()).abs().amin(0) / self.span(near[0])
        return float(gap.where(found.isnan() == near[0].isnan(), torch.inf).max())

    def describe(self) -> dict[str, Any]:
        """Shapes, types and meaning of the argument and the value, n being any number of rows."""
        raise NotImplementedError


class Samples(Function):
    """Latents z (n, latent) to samples x (n, *shape)."""

    what, takes, gives = "generator of samples x from latents z", "z", "x"

    @cached_property
    def given(self) -> Tensor:
        return self.draw.latents(ROWS)

    def forward(self, z: Tensor) -> Tensor:
        return natural(self.source, self.objective.generate(self.state, z))

    def near(self, given: Tensor) -> Tensor:
        x = self.objective.generate(self.state, given)
        return torch.stack([natural(self.source, x + e) for e in (0.0, EDGE, -EDGE)])

    def span(self, ours: Tensor) -> Tensor:
        """The range of each column, a thousandth of its size at least; all there is for pixels."""
        if self.source.spec.kind == "image":
            return ours.new_tensor(255.0)
        over, known = [d for d in range(ours.dim()) if d != 1], ours.nan_to_num()
        spread, size = (
            known.amax(over, keepdim=True) - known.amin(over, keepdim=True),
            known.abs().amax(over, keepdim=True),
        )
        return spread.maximum(1e-3 * size).clamp(min=torch.finfo(ours.dtype).tiny)

    def describe(self) -> dict[str, Any]:
        return {"z": about(self.given, law(self.draw)), "x": about(self(self.given), units(self.source))}


class Energies(Function):
    """Samples x (n, *shape) to energies (n,), lower for more likely ones; a constant in them is free."""

    what, takes, gives = "energy of samples x", "x", "energy"

    @cached_property
    def given(self) -> Tensor:
        """Half of them samples, the others noise, so that energies are far apart."""
        made = self.draw(ROWS // 2)
        return natural(self.source, torch.cat([made, torch.rand_like(made) * 2 - 1])).float()

    def forward(self, x: Tensor) -> Tensor:
        energy = self.objective.energy(self.state, scaled(self.source, x))
        assert energy is not None
        return energy

    def span(self, ours: Tensor) -> Tensor:
        """The range over samples, or the energy itself where that is more."""
        made = ours[: ROWS // 2]
        return (made.amax() - made.amin()).maximum(ours.abs())

    def describe(self) -> dict[str, Any]:
        meaning = "lower for more likely samples; a constant is free"
        return {"x": about(self.given, units(self.source)), "energy": about(self(self.given), meaning)}


@torch.no_grad()
def function_of(source: Source, draw: Draw) -> Function:
    """The energy where samples are ends of chains, else the generator.

    Raises:
        UsageError: there are no data, so there are no samples.
    """
    if source.spec.kind == "game":
        raise UsageError("a saddle-point game makes no samples", "name a run that has data", id="F59")
    s = draw.state.averaged()
    chained = draw.objective.energy(s, torch.zeros(2, *source.spec.shape)) is not None
    return Energies(source, draw) if chained else Samples(source, draw)


def natural(source: Source, x: Tensor) -> Tensor:
    """Samples (n, *shape) in natural units, as `source.decode` has them but for what no smooth function does.

    Pixels are not rounded, and matrices not projected onto the nearest that are positive semi-definite.
    """
    if source.spec.kind == "image":
        return (x.float() + 1).mul(127.5).clamp(0, 255)
    return x if source.spec.kind == "correlation" else source.decode(x)


def scaled(source: Source, x: Tensor) -> Tensor:
    """Samples (n, *shape) of natural units in the scale of training."""
    if source.spec.kind == "image":
        return x / 127.5 - 1
    return source.coding.encode(x).float() if source.coding else x


def units(source: Source) -> str:
    return UNITS.get(source.spec.kind, "natural units of the data")


def about(rows: Tensor, meaning: str) -> dict[str, Any]:
    return {"shape": ["n", *rows.shape[1:]], "dtype": str(rows.dtype).removeprefix("torch."), "meaning": meaning}


def law(draw: Draw) -> str:
    """What latents are, independently of each other: a name that no Kolmogorov-Smirnov test of 1024 refuses."""
    r = getattr(draw.state.nets["generator"], "reach", 1.0)
    laws = {"standard normal": stats.norm(), f"uniform from {-r:.6g} to {r:.6g}": stats.uniform(-r, 2 * r)}
    drawn = draw.latents(1024).flatten().numpy()
    fitting = [name for name, named in laws.items() if stats.kstest(drawn, named.cdf).pvalue > 1e-6]
    return fitting[0] if fitting else "drawn by the model's own noise()"
