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
    correlation: float = 0.0,
    freedom: float | None = None,
    membership: str = "exact",
    seed: int = 0,
) -> Source:
    """Huber's model (1 - eps) N(0, S) + eps N(shift 1, covariance I), rows in random order (Gao et al. 2019).

    Args:
        eps: share of contaminated rows, in [0, 0.5).
        p: columns.
        n: rows.
        shift: mean of the contamination in every column.
        covariance: its variance in every column; the standard deviation is the square root.
        correlation: between neighbouring columns of the clean part, S_ij = correlation^|i - j|.
        freedom: degrees of freedom of t distributions in place of both Gaussians, 1 for Cauchy's; null for Gaussians.
        membership: "exact" contaminates round(eps n) rows, "bernoulli" each row with probability eps.
        seed: decides the rows.

    Returns:
        A table (n, p) in natural units. `labels` are 1 for contaminated rows; `truth` has "location" (p,) and
        "scatter" (p, p) of the clean part, "eps" (), "outlier" (n,) bool, and "freedom" () if it is given.

    Raises:
        UsageError: an argument is out of range.
    """
    require(0 <= eps < 0.5, "eps", eps, "choose a share in [0, 0.5)")
    require(p > 0, "p", p, "choose a number above 0")
    require(n > 0, "n", n, "choose a number above 0")
    require(covariance > 0, "covariance", covariance, "choose a variance above 0")
    require(-1 < correlation < 1, "correlation", correlation, "choose a number between -1 and 1")
    require(freedom is None or freedom > 0, "freedom", freedom, "choose a number above 0, or null")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    choose("membership", membership, ("exact", "bernoulli"))
    rng = np.random.default_rng(seed)
    outlier = rng.permutation(n) < round(eps * n) if membership == "exact" else rng.random(n) < eps
    rows = rng.standard_normal((n, p))
    if freedom is not None:
        rows /= np.sqrt(rng.chisquare(freedom, (n, 1)) / freedom)
    scatter = np.float64(correlation) ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    if correlation:
        rows[~outlier] = rows[~outlier] @ np.linalg.cholesky(scatter).T
    rows[outlier] = shift + covariance**0.5 * rows[outlier]
    data = torch.from_numpy(rows).float()
    return Source(
        Spec((p,), "table", classes=2, names=tuple(f"x{i + 1}" for i in range(p))),
        data,
        name="huber",
        labels=torch.from_numpy(outlier.astype(np.int64)),
        truth={
            "location": torch.zeros(p),
            "scatter": torch.from_numpy(scatter).float(),
            "eps": torch.tensor(eps),
            "outlier": torch.from_numpy(outlier),
            **({} if freedom is None else {"freedom": torch.tensor(float(freedom))}),
        },
        digest=digest(data),
        notes=(f"{outlier.sum()} of {n} simulated rows contaminated, seed {seed}",),
    )
