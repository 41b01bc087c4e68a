"""Ranks and reductions: the only module that knows torch.distributed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's number among those that train together, 0 when alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Average tensors over the ranks with one flat all-reduce.

    Not `DistributedDataParallel`: it leaves gradients silently unreduced when a gradient penalty is the whole
    backward pass and the last layer has a bias (pytorch/pytorch#47562).
    """
    if world() == 1:
        return tensors
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    parts = flat.div_(world()).split([t.numel() for t in tensors])
    return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]
