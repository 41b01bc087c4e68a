"""f-GAN against its definition: conjugates, optima, divergences between Gaussians, and the first GAN as a case."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gan_runner.losses.fdivergences import (
    GAN,
    KL,
    LIMIT,
    FDivergence,
    Hellinger,
    JensenShannon,
    Pearson,
    ReverseKL,
    TotalVariation,
    exponential,
)
from gan_runner.losses.payoffs import Minimax, NonSaturating
from tests.conftest import compose, option_names
from tests.test_payoffs import ORACLE

DIVERGENCES: dict[str, FDivergence] = {
    "kl": KL(),
    "reverse_kl": ReverseKL(),
    "js": JensenShannon(),
    "gan": GAN(),
    "pearson": Pearson(),
    "hellinger": Hellinger(),
    "tv": TotalVariation(),
}
every = pytest.mark.parametrize("name", DIVERGENCES)
shifts = pytest.mark.parametrize("m", ORACLE)

FUNCTIONS = {
    "kl": lambda u: u * u.log(),
    "reverse_kl": lambda u: -u.log(),
    "js": lambda u: u * u.log() - (u + 1) * ((u + 1) / 2).log(),
    "gan": lambda u: u * u.log() - (u + 1) * (u + 1).log(),
    "pearson": lambda u: (u - 1).square(),
    "hellinger": lambda u: (u.sqrt() - 1).square(),
    "tv": lambda u: (u - 1).abs() / 2,
}
"""f(u) of the paper's table 1."""

BEST = {
    "kl": lambda d: 1 + d,
    "reverse_kl": lambda d: d,
    "js": lambda d: d,
    "gan": lambda d: d,
    "pearson": lambda d: 2 * d.expm1(),
    "hellinger": lambda d: d / 2,
    "tv": lambda d: 1e4 * d.sign(),
}
"""The optimal score where log p / q = d: g_f of it is f'(e^d)."""

DIVERGENCE = {
    "kl": lambda m: m * m / 2,
    "reverse_kl": lambda m: m * m / 2,
    "js": lambda m: 2 * ORACLE[m][0],
    "gan": lambda m: -ORACLE[m][1],
    "pearson": lambda m: math.expm1(m * m),
    "hellinger": lambda m: -2 * math.expm1(-m * m / 8),
    "tv": lambda m: math.erf(m / math.sqrt(8)),
}
"""D_f(N(0, 1), N(m, 1)): closed forms and table A."""


def slope(f, at: Tensor) -> Tensor:
    at = at.clone().requires_grad_()
    return torch.autograd.grad(f(at).sum(), at)[0]


def gaussians(m: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """p = N(0, 1), q = N(m, 1) and log p / q on a grid, and the grid's step."""
    x = torch.linspace(-12, 12 + m, 100_001, dtype=torch.float64)
    p, q = ((-(x - c).square() / 2).exp() / math.sqrt(2 * math.pi) for c in (0.0, m))
    return p, q, m * m / 2 - m * x, float(x[1] - x[0])


@every
def test_the_conjugate_is_that_of_f(name: str) -> None:
    """f*(t) = sup over u of u t - f(u), by brute force over u, at t = g_f(v)."""
    v = torch.linspace(-2, 2, 9, dtype=torch.float64)
    u = torch.logspace(-6, 6, 200_001, dtype=torch.float64)
    found = DIVERGENCES[name].conjugate(v)
    expected = torch.stack([(u * t - FUNCTIONS[name](u)).max() for t in DIVERGENCES[name].value(v)])
    if name == "pearson":
        found, expected = found[v >= -2], expected[v >= -2]  # below, u would have to be negative
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-6)


@every
def test_the_optimum_is_the_slope_of_f(name: str) -> None:
    """T* = f'(p / q), and there neither side of p g_f(v) - q f*(g_f(v)) wins by moving v."""
    d = torch.tensor([-2.5, -1.0, -0.25, 0.25, 1.0, 2.0], dtype=torch.float64)
    f, best = DIVERGENCES[name], BEST[name](d)
    torch.testing.assert_close(f.value(best), slope(FUNCTIONS[name], d.exp()), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(d.exp() * slope(f.value, best), slope(f.conjugate, best), atol=1e-12, rtol=1e-12)


@every
def test_value_at_equal_distributions(name: str) -> None:
    """0, but for the first GAN - 2 log 2; the score is `middle`, at which neither side is right."""
    f = DIVERGENCES[name]
    blind = torch.full((4,), f.middle)
    expected = -2 * math.log(2) if name == "gan" else 0.0
    assert DIVERGENCES[name].summary(blind, blind)["divergence_lower_bound"] == pytest.approx(expected, abs=1e-6)
    if name != "tv":
        torch.testing.assert_close(f.value(blind[:1]), slope(FUNCTIONS[name], torch.ones(1)))
    found = DIVERGENCES[name].summary(blind + 0.1, blind - 0.1)
    assert (found["accuracy_real"], found["accuracy_fake"]) == (1, 1)


@shifts
@every
def test_the_optimum_reaches_the_divergence_and_nothing_exceeds_it(name: str, m: float) -> None:
    """By quadrature between N(0, 1) and N(m, 1); other scores stay below."""
    p, q, d, step = gaussians(m)
    f = DIVERGENCES[name]

    def reached(v: Tensor) -> float:
        return float((p * f.value(v) - q * f.conjugate(v)).sum() * step)

    expected = DIVERGENCE[name](m)
    assert reached(BEST[name](d)) == pytest.approx(expected, abs=2e-5 * max(1.0, expected))
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        a, b, c = torch.randn(3, generator=g, dtype=torch.float64)
        assert reached(a + b * d.clamp(-5, 5) + c * d.sin()) <= expected + 1e-9


@every
def test_both_sides_on_unequal_scores(name: str) -> None:
    """The discriminator pays E f*(T) - E T, the generator - E f*(T), each over its own samples."""
    f = DIVERGENCES[name]
    real, fake = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64), torch.tensor([-0.5, 1.0], dtype=torch.float64)
    T, penalty = f.value(real).sum() / 3, f.conjugate(fake).sum() / 2
    torch.testing.assert_close(DIVERGENCES[name].discriminator(real, fake), penalty - T)
    torch.testing.assert_close(DIVERGENCES[name].generator(real, fake), -penalty)
    assert DIVERGENCES[name].summary(real, fake)["divergence_lower_bound"] == pytest.approx(float(T - penalty))


def test_two_of_them_are_the_first_gan() -> None:
    real, fake = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss, generator = Minimax().discriminator(real, fake), Minimax().generator(real, fake)
    torch.testing.assert_close(GAN().discriminator(real, fake), loss)
    torch.testing.assert_close(GAN().generator(real, fake), generator)
    torch.testing.assert_close(JensenShannon().discriminator(real, fake), loss - 2 * math.log(2))
    torch.testing.assert_close(JensenShannon().generator(real, fake), generator + math.log(2))


def test_the_exponential_is_one_up_to_its_limit_and_then_its_tangent() -> None:
    t = torch.linspace(-50, LIMIT - 0.5, 100, dtype=torch.float64)
    assert torch.equal(exponential(t), t.exp())
    edge, top = torch.tensor([LIMIT + 1e-9, LIMIT + 3.0], dtype=torch.float64), math.exp(LIMIT)
    torch.testing.assert_close(exponential(edge), torch.tensor([top, 4 * top], dtype=torch.float64))
    torch.testing.assert_close(slope(exponential, edge), torch.tensor([top, top], dtype=torch.float64))


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_far_off_scores_are_finite_and_still_pull(name: str, dtype: torch.dtype) -> None:
    """At +-1e4 in the precision itself, squares of slopes included; a wrong score is never without one (but tv's)."""
    real = torch.tensor([1e4, -1e4], dtype=dtype, requires_grad=True)
    fake = torch.tensor([-1e4, 1e4], dtype=dtype, requires_grad=True)
    for loss in (DIVERGENCES[name].discriminator(real, fake), DIVERGENCES[name].generator(real, fake)):
        assert loss.isfinite()
    downhill = torch.autograd.grad(DIVERGENCES[name].discriminator(real, fake), (real, fake))
    assert all(g.square().isfinite().all() for g in downhill)
    assert name == "tv" or (downhill[0][1] < 0 and downhill[1][1] > 0)


@every
@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_gradients_match_finite_differences(name: str, side: str) -> None:
    real, fake = 2 * torch.randn(2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(getattr(DIVERGENCES[name], side), (real.requires_grad_(), fake.requires_grad_()))


def test_each_option_plays_its_divergence() -> None:
    shipped = {o.removeprefix("fgan_"): o for o in option_names("loss") if o.startswith("fgan_")}
    assert shipped.keys() == DIVERGENCES.keys()
    for name, option in shipped.items():
        assert compose(f"loss={option}")["loss"]["payoff"]["_target_"].endswith(f".{type(DIVERGENCES[name]).__name__}")


# -- Theorem 3: what the "log D trick" minimises ---------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_log_d_is_three_divergences_at_once(seed: int) -> None:
    """f(u) = (u+1) log(u+1) - 2 log 2 gives KL(q||p) - 2 JS = 2 KL((p+q)/2 || p), and so do the losses at D*."""
    g = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, 50, (2, 12), generator=g)
    size = int(counts.sum(1).max())
    counts[:, 0] += size - counts.sum(1)  # as many real samples as generated
    p, q = counts.double() / size
    u, middle = q / p, (p + q) / 2

    def kl(a: Tensor, b: Tensor) -> float:
        return float((a * (a / b).log()).sum())

    js = (kl(p, middle) + kl(q, middle)) / 2
    by_f = float((p * ((u + 1) * (u + 1).log() - 2 * math.log(2))).sum())
    scores = (p / q).log()
    real, fake = (scores.repeat_interleave(n) for n in counts)
    by_loss = float(NonSaturating().generator(real, fake) + NonSaturating().generator(fake, real)) - 2 * math.log(2)
    assert by_f == pytest.approx(kl(q, p) - 2 * js, abs=1e-12)
    assert by_f == pytest.approx(2 * kl(middle, p), abs=1e-12)
    assert by_f == pytest.approx(by_loss, abs=1e-12)
    assert by_f >= 0
    assert -float(JensenShannon().discriminator(real, fake)) == pytest.approx(2 * js, abs=1e-12)
