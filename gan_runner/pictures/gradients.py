"""How large gradients are from layer to layer (after Gulrajani et al. 2017, Figure 1b): they explode or vanish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.curves import curves


@dataclass(frozen=True)
class Gradients:
    """`gradients`: the norm of the last step's gradient with respect to each matrix of weights, by player.

    The layers are counted from the input; one without a gradient leaves a gap. `gradient_span_<player>` is the largest
    norm over the smallest that is not 0. Finds nothing before a step was made.

    Args:
        every: steps between two calls.
    """

    every: int = 1000

    kinds: ClassVar[frozenset[str]] = KINDS

    def __call__(self, draw: Draw, source: Source) -> Findings:
        norms = {name: by_layer(player.gradients()) for name, player in draw.state.players.items()}
        norms = {name: found for name, found in norms.items() if len(found) and found.max() > 0}
        if not norms:
            return Findings()
        lines = {name: (torch.arange(1, len(found) + 1), found) for name, found in norms.items()}
        return Findings(
            {f"gradient_span_{name}": float(found.max() / found[found > 0].min()) for name, found in norms.items()},
            {"gradients": curves({"gradient of the last step": lines}, "layer, from the input", "norm", True)},
        )


def by_layer(grads: list[Tensor]) -> Tensor:
    """Norms (k,) of those gradients that have two dimensions or more, in the order of layers."""
    norms = [g.norm().cpu() for g in grads if g.dim() > 1]
    return torch.stack(norms) if norms else torch.zeros(0)
