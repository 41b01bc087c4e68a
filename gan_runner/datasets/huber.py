"""Contaminated Gaussian data: a share of the rows comes from elsewhere."""

from __future__ import annotations

import numpy as np
import torch

from gan_runner.datasets.files import choose, digest, require
from gan_runner.datasets.spec import Source, Spec


def huber(
    eps: float = 0.2,
    p: int = 50,
    n: int = 50_000,
    shift: float = 5.0,
    covariance: float = 2.0,
    membership: str = "exact",
    seed: int = 0,
) -> Source:
    """Huber's model (1 - eps) N(0, I) + eps N(shift 1, covariance I), rows in random order (Gao et al. 2019).

    Args:
        eps: share of contaminated rows, in [0, 0.5).
        p: columns.
        n: rows.
        shift: mean of the contamination in every column.
        covariance: its variance in every column; the standard deviation is the square root.
        membership: "exact" contaminates round(eps n) rows, "bernoulli" each row with probability eps.
        seed: decides the rows.

    Returns:
        A table (n, p) in natural units. `labels` are 1 for contaminated rows; `truth` has "location" (p,) and
        "scatter" (p, p) of the clean part, "eps" () and "outlier" (n,) bool.

    Raises:
        UsageError: an argument is out of range.
    """
    require(0 <= eps < 0.5, "eps", eps, "choose a share in [0, 0.5)")
    require(p > 0, "p", p, "choose a number above 0")
    require(n > 0, "n", n, "choose a number above 0")
    require(covariance > 0, "covariance", covariance, "choose a variance above 0")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    choose("membership", membership, ("exact", "bernoulli"))
    rng = np.random.default_rng(seed)
    outlier = rng.permutation(n) < round(eps * n) if membership == "exact" else rng.random(n) < eps
    rows = rng.standard_normal((n, p))
    rows[outlier] = shift + covariance**0.5 * rows[outlier]
    data = torch.from_numpy(rows).float()
    return Source(
        Spec((p,), "table", classes=2, names=tuple(f"x{i + 1}" for i in range(p))),
        data,
        name="huber",
        labels=torch.from_numpy(outlier.astype(np.int64)),
        truth={
            "location": torch.zeros(p),
            "scatter": torch.eye(p),
            "eps": torch.tensor(eps),
            "outlier": torch.from_numpy(outlier),
        },
        digest=digest(data),
        notes=(f"{outlier.sum()} of {n} simulated rows contaminated, seed {seed}",),
    )
