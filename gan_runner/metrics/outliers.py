"""Scores of rows by a trained run, higher for more outlying, and those of the usual detectors.

Each takes a draw and rows (m, p) in the scale of training, so they judge a user's own rows by a restored run as well:

    source, draw, _ = gan_runner.restore.restore(folder, "newest", seed=0, device_name="cpu")
    scores = gan_runner.metrics.outliers.logit(draw, rows)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gan_runner.metrics.probe import Draw

RIDGE = 1e-9
"""What is added to a scatter matrix, in parts of its mean variance."""
SAMPLES = 5000
"""Samples that tell a generator's location, scatter and density where it cannot tell them itself."""


def logit(draw: Draw, x: Tensor) -> Tensor | None:
    """The discriminator's own score (m,): for a generator fitted to the bulk, outliers are what only data have.

    At the optimum D = p / (p + q), the logit is log p / q: log(1 - eps) on clean rows, without end on outliers. Where
    D has seen clean data alone, low scores are outlying: negate this. Labelled rows tell: AUROC is above 1/2.

    Returns:
        None where nobody judges single rows.
    """
    found = draw.judge(x)
    return None if found is None or len(found) != len(x) else found.cpu().double()


def energy(draw: Draw, x: Tensor) -> Tensor | None:
    """Minus what judges (m,): the energy, the free energy, minus the ELBO, minus the discriminator's logit.

    Of models of the data themselves, outliers included or absent, it is high where data are rare.

    Returns:
        None where nobody judges single rows.
    """
    found = logit(draw, x)
    return None if found is None else -found


def mahalanobis(draw: Draw, x: Tensor) -> Tensor:
    """Distances (m,) from the generator's location in units of its scatter."""
    return distance(x, *moments(draw))


def rarity(draw: Draw, x: Tensor) -> Tensor:
    """Minus log-densities (m,) in nats: Gaussian where the generator knows its location and scatter, else by kernels.

    The kernels are Gaussians at samples, as wide as Scott's rule says in each column.
    """
    p, x = x.shape[1], x.cpu().double()
    if draw.law() is not None:
        location, scatter = moments(draw)
        return 0.5 * (distance(x, location, scatter).square() + torch.logdet(scatter) + p * math.log(2 * math.pi))
    made = draw(SAMPLES).cpu().double()
    width = made.std(0).clamp(min=1e-6) * len(made) ** (-1 / (p + 4))
    heights = torch.cat([-0.5 * torch.cdist(part / width, made / width).square() for part in x.split(1000)])
    constant = width.log().sum() + 0.5 * p * math.log(2 * math.pi) + math.log(len(made))
    return constant - heights.logsumexp(1)


def inversion(draw: Draw, x: Tensor, steps: int = 500, weight: float = 0.1, rate: float = 0.02) -> Tensor | None:
    """AnoGAN's scores (m,): what is left of each row where `invert` has found the latent that makes it best.

    A generator that makes every row of the space, as an affine one of full rank does, inverts outliers, too: there only
    the way matters that Adam has from the prior.

    Returns:
        None where there is no discriminator.
    """
    found = invert(draw, x, steps, weight, rate)
    return None if found is None else found[1].cpu().double()


def invert(
    draw: Draw, x: Tensor, steps: int = 500, weight: float = 0.1, rate: float = 0.02
) -> tuple[Tensor, Tensor] | None:
    """Latents (m, latent) that make rows (m, *shape) best, and residuals (m,) (AnoGAN, Schlegl et al. 2017).

    That is min over z of (1 - weight) |x - G(z)|_1 + weight |f(x) - f(G(z))|_1, f the discriminator's last hidden
    layer.

    Args:
        steps: of Adam, from latents drawn from the prior.
        weight: lambda of the paper.
        rate: of Adam.

    Returns:
        None where there is no discriminator, or it judges packs.
    """
    scores = draw.judge(x) if "discriminator" in draw.state.nets else None
    if scores is None or len(scores) < len(x):
        return None
    s, D = draw.state.averaged(), draw.state.nets["discriminator"]
    modes = {net: net.training for net in [*s.nets.values(), D]}
    z = draw.latents(len(x)).clone().requires_grad_(True)
    adam = torch.optim.Adam([z], lr=rate)

    def residual() -> Tensor:
        made = draw.objective.generate(s, z)
        seen = (D.features(x) - D.features(made)).flatten(1)
        return (1 - weight) * (x - made).flatten(1).abs().sum(1) + weight * seen.abs().sum(1)

    for net in modes:
        net.eval()
    with torch.enable_grad():
        for _ in range(steps):
            (z.grad,) = torch.autograd.grad(residual().sum(), z)
            adam.step()
        found = residual().detach()
    for net, mode in modes.items():
        net.train(mode)
    return z.detach(), found


SCORES: dict[str, Callable[[Draw, Tensor], Tensor | None]] = {
    "logit": logit,
    "energy": energy,
    "mahalanobis": mahalanobis,
    "density": rarity,
    "inversion": inversion,
}
"""What a run can say about single rows."""
OF_IMAGES = ("energy", "logit", "inversion")
"""Those that need no columns."""


def moments(draw: Draw) -> tuple[Tensor, Tensor]:
    """The generator's location (p,) and scatter (p, p) in the scale of training, float64 on the CPU."""
    law = draw.law()
    if law is not None:
        return law["location"].cpu().double(), law["scatter"].cpu().double()
    made = draw(SAMPLES).cpu().double()
    return made.mean(0), torch.cov(made.T).view(made.shape[1], -1)


def distance(x: Tensor, location: Tensor, scatter: Tensor) -> Tensor:
    """Mahalanobis distances (m,) of rows (m, p); far where a generator never goes, even if its scatter is singular."""
    off = x.cpu().double() - location
    ridge = RIDGE * scatter.diagonal().mean().clamp(min=1e-12) * torch.eye(len(scatter), dtype=scatter.dtype)
    return (off * torch.linalg.solve(scatter + ridge, off.T).T).sum(1).clamp(min=0).sqrt()


# -- without a generator ---------------------------------------------------------------------------


def centres(x: Tensor) -> dict[str, Tensor]:
    """Euclidean distances (m,) of rows (m, p) from their mean and from the medians of their columns."""
    x = x.cpu().double()
    return {"mean": (x - x.mean(0)).norm(dim=1), "median": (x - x.median(0).values).norm(dim=1)}


def forest(x: Tensor) -> Tensor:
    """Scores (m,) of scikit-learn's IsolationForest."""
    from sklearn.ensemble import IsolationForest

    rows = x.cpu().numpy()
    return torch.from_numpy(-IsolationForest(random_state=0).fit(rows).score_samples(rows))


def local(x: Tensor) -> Tensor:
    """Scores (m,) of scikit-learn's LocalOutlierFactor with 20 neighbours."""
    from sklearn.neighbors import LocalOutlierFactor

    return torch.from_numpy(-LocalOutlierFactor().fit(x.cpu().numpy()).negative_outlier_factor_)


def determinant(x: Tensor) -> Tensor:
    """Mahalanobis distances (m,) by scikit-learn's MinCovDet."""
    location, scatter = covariance_determinant(x)
    return distance(x, location, scatter)


def covariance_determinant(x: Tensor) -> tuple[Tensor, Tensor]:
    """Location (p,) and scatter (p, p) of the minimum covariance determinant (Rousseeuw and Van Driessen 1999)."""
    from sklearn.covariance import MinCovDet

    found = MinCovDet(random_state=0).fit(x.cpu().numpy().astype(np.float64))
    return torch.from_numpy(found.location_), torch.from_numpy(found.covariance_)
