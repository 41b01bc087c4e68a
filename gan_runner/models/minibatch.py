"""Minibatch discrimination: samples are judged beside the others of a batch (Salimans et al. 2016, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_runner.models.checks import positive


class MinibatchDiscrimination(nn.Module):
    """Features (n, a) to (n, a + kernels): to each sample's own are added its closenesses to the rest of the batch.

    M_i = f(x_i) T in R^{kernels x dims}, the columns of T weight-normalised. They start at length 1, so that distances
    start as those of a typical feature; this replaces the data-dependent start of the authors' code, and the next layer
    its bias. A pass takes n^2 * kernels * dims numbers of memory and is computed in full precision.

    Args:
        inputs: a.
        kernels, dims: B and C of the paper; 100 and 5 in its CIFAR-10 code.
        include_self: count the closeness 1 of each sample to itself, as the paper's sum does and its code does not.

    Raises:
        ValueError: `kernels` or `dims` is not positive.
    """

    def __init__(self, inputs: int, kernels: int = 100, dims: int = 5, include_self: bool = False):
        super().__init__()
        positive(**{"minibatch.kernels": kernels, "minibatch.dims": dims})
        self.kernels, self.include_self = kernels, include_self
        self.direction = nn.Parameter(torch.randn(inputs, kernels * dims))
        self.log_length = nn.Parameter(torch.zeros(kernels * dims))

    def forward(self, features: Tensor) -> Tensor:
        columns = self.direction * (self.log_length.exp() / self.direction.norm(dim=0))
        M = (features @ columns).unflatten(1, (self.kernels, -1))
        M = M.to(torch.promote_types(M.dtype, torch.float32))
        return torch.cat([features, closeness(M, self.include_self)], 1)


def closeness(M: Tensor, include_self: bool = False) -> Tensor:
    """o(x_i)_b = sum_j exp(-|M_ib - M_jb|_1) (n, kernels), of M (n, kernels, dims)."""
    near = (M.unsqueeze(0) - M.unsqueeze(1)).abs().sum(3).neg().exp().sum(1)
    return near if include_self else near - 1


def beside(features: int, minibatch: Mapping[str, Any] | None) -> tuple[nn.Module, int]:
    """The layer that `minibatch` describes, after so many features, and how many it makes; None does nothing."""
    if minibatch is None:
        return nn.Identity(), features
    layer = MinibatchDiscrimination(features, **minibatch)
    return layer, features + layer.kernels
