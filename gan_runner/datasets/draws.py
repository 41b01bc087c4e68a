"""Which rows come next: pure functions of a position, so there is no sampler to save and nothing to resume."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch
from torch import Tensor


def rows(n: int, start: int, count: int, seed: int) -> Tensor:
    """Indices `start` .. `start + count` of an endless stream in which every epoch is a fresh permutation of n rows.

    Args:
        n: rows of the data set.
        start: position in the stream: rows consumed so far.
        count: how many; may span several epochs.
        seed: the run's seed; with the epoch's number it decides the permutation.

    Returns:
        (count,) int64 on the CPU. Inside one epoch it is a view, to be read and not written.
    """
    epoch, offset = divmod(start, n)
    head = permutation(n, seed, epoch)[offset : offset + count]
    if len(head) == count:
        return head
    return torch.cat([head, rows(n, start + len(head), count - len(head), seed)])


@lru_cache(maxsize=4)
def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order (n,) in which an epoch reads its rows."""
    return torch.randperm(n, generator=generator(seed, epoch))


def share(index: Tensor, rank: int, world: int) -> Tensor:
    """The slice of a batch that belongs to one rank: every `world`-th row.

    Strided, because a step may cut its rows into the batches of several updates: the ranks' shares of each
    such batch, together, are then the very rows a single process would have used.

    Raises:
        ValueError: the ranks cannot get equally many.
    """
    if len(index) % world:
        raise ValueError(f"{len(index)} rows cannot be shared by {world} ranks; make the batch a multiple of {world}")
    return index[rank::world]


def weighted(weights: Tensor, count: int, seed: int, start: int) -> Tensor:
    """Indices drawn with replacement in proportion to `weights` (AdaGAN's W_t, Tolstikhin et al. 2017).

    Args:
        weights: (n,) non-negative, not all zero; need not sum to 1.
        count: how many.
        seed, start: the run's seed and the rows consumed so far; the same pair draws the same rows.

    Returns:
        (count,) int64 on the CPU.
    """
    cumulative = weights.double().cpu().cumsum(0)
    targets = torch.rand(count, dtype=torch.float64, generator=generator(seed, start)) * cumulative[-1]
    return torch.searchsorted(cumulative, targets, right=True)


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on every number of its key."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
