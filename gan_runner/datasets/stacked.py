"""Three images as the channels of one: a thousand modes that can be counted (VEEGAN, Srivastava et al. 2017)."""

from __future__ import annotations

import hashlib

import torch

from gan_runner.datasets.files import require
from gan_runner.datasets.images import fashion, mnist
from gan_runner.datasets.spec import Source, Spec, Stacked

HELD_OUT = 26_000
"""Rows made of test images: as many as papers draw samples to count modes."""


def stacked_mnist(root: str, size: int = 32, n: int = 128_000, seed: int = 0, download: bool = False) -> Source:
    """Random triples of MNIST's digits as RGB, none of them stored; the label of digits a, b, c is 100a + 10b + c.

    Args:
        root, size, download: of `mnist`.
        n: triples of training images; as many as VEEGAN and PacGAN train on.
        seed: decides the triples.

    Raises:
        UsageError: `size`, `n` or `seed` is out of range.
        MissingInput: the files are not there.
        DataError: they are not what they should be.
    """
    return stacked(mnist(root, size, download), n, seed)


def stacked_fashion(root: str, size: int = 32, n: int = 128_000, seed: int = 0, download: bool = False) -> Source:
    """Random triples of Fashion-MNIST's clothes as RGB; otherwise like `stacked_mnist`."""
    return stacked(fashion(root, size, download), n, seed)


def stacked(single: Source, n: int, seed: int) -> Source:
    """n triples of the rows of `single`, and held out as many of its held-out rows as are counted."""
    require(n > 0, "n", n, "choose a number above 0")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    assert single.labels is not None
    triples = torch.randint(len(single), (n, 3), generator=torch.Generator().manual_seed(seed))
    return Stacked(
        Spec((3, *single.spec.shape[1:]), "image", classes=1000),
        single.data,
        name=f"stacked_{single.name}",
        labels=single.labels[triples] @ torch.tensor([100, 10, 1]),
        held_out=None if single.held_out is None else stacked(single.held_out, HELD_OUT, seed),
        digest=hashlib.sha256(f"{single.digest} {n} {seed}".encode()).hexdigest(),
        notes=(*single.notes, f"{n} triples as RGB, seed {seed}"),
        single=single,
        triples=triples,
    )
