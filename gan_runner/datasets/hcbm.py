"""The hierarchically nested block model: correlations whose true blocks are known (Marti et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gan_runner.datasets.correlations import pair
from gan_runner.datasets.files import require
from gan_runner.datasets.matrices import ordered
from gan_runner.datasets.spec import Source

MARKET, BLOCK, INNER = (0.1, 0.3), (0.3, 0.6), (0.5, 0.9)
"""Ranges of the correlations between blocks, within a block, and within a block inside a block."""


def hcbm(
    size: int = 32,
    blocks: Sequence[int] | None = (4, 2),
    n: int = 4000,
    days: int | None = 252,
    held_out: float = 0.2,
    seed: int = 0,
) -> Source:
    """Correlations of variables in blocks inside blocks, shuffled, then ordered as data are (`matrices.ordered`).

    Args:
        size: variables.
        blocks: how many blocks, and how many inner ones in each, as equal in length as can be; in each matrix as many
            as chance will have, of random lengths, if None.
        n: matrices, those held out included.
        days: Gaussian observations that each matrix is estimated from; if None it is exact.
        held_out: share of the matrices that training never sees.
        seed: decides the matrices.

    Returns:
        Correlations (n, 1, size, size). `truth` has "blocks" (n, size, 2), the number of the block and of the inner
        block of each variable in the order of the rows.

    Raises:
        UsageError: an argument is out of range.
    """
    require(size >= 8, "size", size, "choose 8 or more")
    fits = blocks is None or (len(blocks) == 2 and min(blocks) > 0 and blocks[0] * blocks[1] <= size)
    require(fits, "blocks", blocks, f"choose two numbers above 0 whose product is at most {size}, or null")
    require(n > 1, "n", n, "choose a number above 1")
    require(days is None or days > 2, "days", days or 0, "choose a number above 2, or null")
    require(0 < held_out < 1, "held_out", held_out, "choose a share in (0, 1)")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    rng = np.random.default_rng(seed)
    data, truth = torch.empty(n, 1, size, size), torch.empty(n, size, 2, dtype=torch.int64)
    for row in range(n):
        exact, labels = nested(rng, equal(size, *blocks) if blocks else by_chance(rng, size))
        matrix = exact if days is None else estimated(rng, exact, days)
        shuffle = rng.permutation(size)
        order = shuffle[ordered(matrix[np.ix_(shuffle, shuffle)])]
        data[row, 0], truth[row] = torch.from_numpy(matrix[np.ix_(order, order)]), torch.from_numpy(labels[order])
    data.diagonal(dim1=2, dim2=3).fill_(1)
    kept = min(max(n - round(n * held_out), 1), n - 1)
    note = f"{n} simulated matrices of {'exact correlations' if days is None else f'{days} days'}, seed {seed}"
    known = {} if days is None else {"days": torch.tensor(days)}
    parts = ({"blocks": truth[:kept], **known}, {"blocks": truth[kept:], **known})
    return pair(data[:kept], data[kept:], "hcbm", (note,), parts)


def nested(rng: np.random.Generator, lengths: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Exact correlations (p, p) in their true order, and the numbers (p, 2) of block and inner block.

    `lengths` are those of the inner blocks, block by block.

    The correlation grows from outside to inside. So the matrix is a sum of non-negative multiples of blocks of ones
    and of a non-negative diagonal, which makes it positive semi-definite.
    """
    size, market = sum(map(sum, lengths)), rng.uniform(*MARKET)
    matrix, labels = np.full((size, size), market), np.zeros((size, 2), dtype=np.int64)
    first, inner = 0, 0
    for block, parts in enumerate(lengths):
        own = rng.uniform(max(BLOCK[0], market), BLOCK[1])
        whole = slice(first, first + sum(parts))
        matrix[whole, whole] = own
        for part in parts:
            here = slice(first, first + part)
            matrix[here, here] = rng.uniform(max(INNER[0], own), INNER[1])
            labels[here] = block, inner
            first, inner = first + part, inner + 1
    np.fill_diagonal(matrix, 1)
    return matrix, labels


def equal(size: int, blocks: int, inner: int) -> list[list[int]]:
    """Lengths of `inner` blocks in each of `blocks`, all as equal as can be."""
    outer = (len(part) for part in np.array_split(np.arange(size), blocks))
    return [[len(part) for part in np.array_split(np.arange(length), inner)] for length in outer]


def by_chance(rng: np.random.Generator, size: int) -> list[list[int]]:
    """Lengths of two to three inner blocks in each of two to five, fewer where there is no room for so many."""
    return [cut(rng, length, 2, 3) for length in cut(rng, size, 4, 5)]


def cut(rng: np.random.Generator, length: int, least: int, most: int) -> list[int]:
    """Random lengths of at least `least` that add up to `length`: 2 to `most` of them, fewer if there is no room."""
    room = length // least
    count = int(rng.integers(min(2, room), min(most, room) + 1))
    spare = np.sort(rng.integers(0, length - least * count + 1, count - 1))
    return (least + np.diff(np.concatenate([[0], spare, [length - least * count]]))).tolist()


def estimated(rng: np.random.Generator, exact: np.ndarray, days: int) -> np.ndarray:
    """The correlations of `days` Gaussian observations whose true ones are `exact`."""
    root = np.linalg.cholesky(exact)
    return np.asarray(np.corrcoef(root @ rng.standard_normal((len(exact), days))))
