"""Chains whose law is known: a parabola, where Langevin's bias is exact, and wells that balance in detail."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner.losses import chains
from gan_runner.losses.chains import Hamiltonian, Jumping, Langevin, Mala, Sampler, Walk, descent, in_blocks

N = 100_000
SE = math.sqrt(2 / N)
"""Standard error of a variance of 1 that is estimated from N numbers."""
SAMPLERS = [Langevin(size=0.1, temperature=1.0), Mala(size=0.1), Hamiltonian(size=0.3, leapfrogs=5), Jumping(size=0.1)]
by_name = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def parabola(x: Tensor) -> Tensor:
    return 0.5 * x.square().flatten(1).sum(1)


def wells(x: Tensor) -> Tensor:
    return (x.square() - 1).square().sum(1) + 0.3 * x.sum(1)


def still(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def variance(sampler: Sampler, energy: Any = parabola) -> float:
    return float(sampler(energy, torch.randn(N, 1)).x.square().mean())


# -- Langevin --------------------------------------------------------------------------------------


def test_langevin_has_the_variance_of_its_recursion() -> None:
    """v' = (1 - a)^2 v + s^2; at a = 0.1, s^2 = 0.2 it stands still at 1.05263."""
    a, s2 = 0.1, 0.2
    fixed = s2 / (1 - (1 - a) ** 2)
    assert fixed == pytest.approx(1.05263, abs=1e-5)
    assert variance(Langevin(steps=60, size=a, sd=math.sqrt(s2))) == pytest.approx(fixed, abs=4 * fixed * SE)
    assert variance(Langevin(steps=1, size=a, sd=math.sqrt(s2))) == pytest.approx(0.81 + 0.2, abs=4 * SE)


def test_the_ornstein_uhlenbeck_process_is_the_limit() -> None:
    """After time t = k a from 3: mean 3 e^-t and variance 1 - e^-2t, but for the step's own error, O(a)."""
    x = Langevin(steps=200, size=0.0025, temperature=1.0)(parabola, torch.full((N, 1), 3.0)).x
    assert float(x.mean()) == pytest.approx(3 * math.exp(-0.5), abs=0.01 + 0.0025)
    assert float(x.var()) == pytest.approx(1 - math.exp(-1), abs=4 * SE + 0.0025)


@pytest.mark.parametrize("T", [0.25, 2.0])
def test_temperature_gives_the_noise_and_the_noise_the_temperature(T: float) -> None:
    warm = Langevin(size=0.1, temperature=T)
    assert warm.spread == pytest.approx(math.sqrt(0.2 * T)) and warm.target == pytest.approx(T)
    assert Langevin(size=10.0, sd=0.005).target == pytest.approx(1.25e-6)
    assert variance(warm) == pytest.approx(T / (1 - 0.05), rel=4 * SE)


def test_without_noise_it_descends_and_clipped_no_faster_than_it_may() -> None:
    x = torch.tensor([[4.0, -0.2]], dtype=torch.float64)
    free, clipped = Langevin(steps=7, size=0.1, sd=0.0), Langevin(steps=1, size=10.0, sd=0.0, clip=0.03)
    torch.testing.assert_close(free(parabola, x).x, x * 0.9**7)
    torch.testing.assert_close(clipped(parabola, x).x, x - 0.3 * x.sign())
    assert clipped(parabola, x, bound=0.5).x.tolist() == [[0.5, pytest.approx(0.1)]]


# -- chains that are corrected ---------------------------------------------------------------------


@pytest.mark.parametrize("T", [1.0, 0.5])
@pytest.mark.parametrize(("kind", "size"), [(Mala, 0.1), (Mala, 0.9), (Jumping, 0.9), (Hamiltonian, 1.6)])
def test_corrected_chains_keep_the_law_exactly(kind: type[Mala | Hamiltonian], size: float, T: float) -> None:
    """The variance is T, where Langevin's is T / (1 - a / 2), also where a quarter of the moves is refused."""
    x, accepted = kind(steps=30, size=size, temperature=T)(parabola, math.sqrt(T) * torch.randn(N, 2))
    assert float(accepted) > 0.98 if size == 0.1 else 0.7 < float(accepted) < 0.9
    assert float(x.square().mean()) == pytest.approx(T, rel=4 * SE)
    assert float(x.pow(4).mean()) == pytest.approx(3 * T**2, rel=0.04)


def test_jumps_join_what_gradients_do_not() -> None:
    """From the right of two narrow wells of mass 1/4 and 3/4: Mala stays there, jumps divide chains rightly."""

    def far(x: Tensor) -> Tensor:
        return 100 * (x[:, 0].abs() - 1).square() + torch.where(x[:, 0] > 0, math.log(3.0), 0.0)

    start = torch.ones(4000, 1)
    left = [float((s(far, start).x < 0).float().mean()) for s in (Mala(100, 0.004), Jumping(100, 0.004, reach=1.5))]
    assert left[0] == 0 and left[1] == pytest.approx(0.75, abs=4 * math.sqrt(0.1875 / 4000))


@by_name
def test_every_chain_finds_the_law_of_two_wells(sampler: Sampler) -> None:
    """Mean of exp(-E) by quadrature; Langevin within what its step costs."""
    line = torch.linspace(-4, 4, 4001, dtype=torch.float64)[:, None]
    weight = (-wells(line)).exp()
    expected = float((weight * line[:, 0]).sum() / weight.sum())
    longer = replace(sampler, steps=300, size=0.02 if isinstance(sampler, Langevin) else sampler.size)
    assert float(longer(wells, torch.randn(10_000, 1)).x.mean()) == pytest.approx(expected, abs=0.04)


def density(a: float, T: float, x: Tensor, y: Tensor) -> Tensor:
    """Of Mala's proposal of y (n, d) from x (n, d)."""
    mean = x - a * descent(wells, x)[1]
    return (-(y - mean).square().sum(1) / (4 * a * T)).exp()


@pytest.mark.parametrize("T", [1.0, 2.5])
def test_mala_is_in_detailed_balance(T: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """p(x) q(y | x) A(x, y) = p(y) q(x | y) A(y, x) for any two points."""
    ratios: list[Tensor] = []

    def listen(x: Tensor, there: Tensor, ratio: Tensor, *rest: Any) -> Walk:
        ratios.append(ratio)
        return Walk(there, ratio.mean())

    monkeypatch.setattr(chains, "decide", listen)
    x = torch.randn(50, 2, dtype=torch.float64)
    mala = Mala(size=0.2, temperature=T)
    y = mala.move(wells, x).x
    mean = y - 0.2 * descent(wells, y)[1]
    assert torch.allclose(mala.move(wells, y, noise=lambda like: (x - mean) / math.sqrt(0.4 * T)).x, x)
    there, back = (ratio.exp().clamp(max=1) for ratio in ratios)
    p = [(-wells(at) / T).exp() for at in (x, y)]
    torch.testing.assert_close(p[0] * density(0.2, T, x, y) * there, p[1] * density(0.2, T, y, x) * back)


def take(drawn: Iterator[Tensor], like: Tensor) -> Tensor:
    """The next of some numbers, as many as there is room for."""
    return next(drawn).flatten()[: like.numel()].view_as(like)


def test_one_leapfrog_step_is_malas_move() -> None:
    x, numbers = torch.randn(200, 2, dtype=torch.float64), torch.randn(40, 200, 2, dtype=torch.float64)
    found = []
    for sampler in (Mala(steps=20, size=0.18, temperature=0.7), Hamiltonian(20, 0.6, 0.7, leapfrogs=1)):
        drawn = iter(numbers)
        found.append(sampler(wells, x, noise=partial(take, drawn)))
    torch.testing.assert_close(found[0], found[1])
    assert 0.1 < float(found[0].accepted) < 0.95


def test_small_steps_are_accepted_and_large_ones_refused() -> None:
    rates = [float(Mala(steps=3, size=a)(parabola, torch.randn(20_000, 2)).accepted) for a in (1e-3, 0.3, 30.0)]
    assert rates[0] > 0.999 > rates[1] > 0.8 and rates[2] < 0.1


def test_leapfrogs_conserve_energy_to_second_order_and_can_be_taken_back() -> None:
    x, p = torch.randn(2, 40, 2, dtype=torch.float64)
    gains = []
    for k in (8, 16):
        there, end, gain = Hamiltonian(size=0.8 / k, leapfrogs=k).leap(wells, x, p)
        gains.append(gain.abs().mean())
        again, start, loss = Hamiltonian(size=0.8 / k, leapfrogs=k).leap(wells, there, -end)
        torch.testing.assert_close((again, -start, loss), (x, p, -gain))
    assert float(gains[0] / gains[1]) == pytest.approx(4, rel=0.1)


def test_leapfrogs_keep_volume() -> None:
    """The determinant of (x, p) -> (x', p') by central differences is 1."""
    at, h = torch.tensor([0.3, -0.8], dtype=torch.float64), 1e-5

    def leap(point: Tensor) -> Tensor:
        x, p, _ = Hamiltonian(size=0.2, leapfrogs=6).leap(wells, point[None, :1], point[None, 1:])
        return torch.cat([x[0], p[0]])

    columns = [(leap(at + h * unit) - leap(at - h * unit)) / (2 * h) for unit in torch.eye(2, dtype=torch.float64)]
    assert float(torch.linalg.det(torch.stack(columns, 1))) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("kind", [Mala, Hamiltonian])
def test_a_box_truncates_the_law(kind: type[Mala | Hamiltonian]) -> None:
    """A flat energy in [-0.5, 0.5] stays uniform: variance 1 / 12, no point outside, none piled up at the edge."""
    x = kind(steps=30, size=0.2)(lambda x: 0 * x.sum(1), torch.rand(N, 1) - 0.5, bound=0.5).x
    assert float(x.abs().max()) < 0.5
    assert float(x.square().mean()) == pytest.approx(1 / 12, rel=0.01)


def test_what_is_not_a_number_is_refused() -> None:
    x = torch.ones(100, 1)
    stayed = Mala(steps=5, size=0.5)(lambda x: torch.where(x[:, 0] > 1, math.nan, 0.0) + 0 * x[:, 0], x).x
    assert stayed.isfinite().all() and float(stayed.max()) <= 1


# -- all of them -----------------------------------------------------------------------------------


@by_name
def test_chains_need_no_graph_and_touch_no_parameter(sampler: Sampler) -> None:
    net = nn.Linear(2, 1)
    before = net.weight.detach().clone()
    with torch.no_grad():
        x = sampler(lambda x: net(x).squeeze(1) + parabola(x), torch.randn(8, 2)).x
    assert not x.requires_grad and net.weight.grad is None and torch.equal(net.weight, before)


@by_name
def test_images_move_as_their_pixels_do(sampler: Sampler) -> None:
    """The shape of a row means nothing."""
    x, found = torch.randn(6, 2, 3, 4, dtype=torch.float64), []
    for start in (x, x.flatten(1)):
        torch.manual_seed(1)
        found.append(replace(sampler, size=0.02)(lambda x: wells(x.flatten(1)), start).x.flatten(1))
    torch.testing.assert_close(found[0], found[1])


@by_name
def test_noise_in_blocks_makes_the_first_chains_independent_of_how_many_follow(sampler: Sampler) -> None:
    x, found = torch.randn(256, 2), []
    for n in (256, 7):
        torch.manual_seed(1)
        found.append(sampler(parabola, x[:n], noise=in_blocks).x[:7])
    torch.testing.assert_close(found[0], found[1])
    assert float(in_blocks(x).std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Langevin(temperature=1.0, sd=0.1), "temperature=1.0 and sd=0.1"),
        (lambda: Langevin(), "temperature=None and sd=None"),
        (lambda: Langevin(sd=-1.0), "sd=-1.0 is negative"),
        (lambda: Langevin(sd=1.0, clip=0.0), "clip=0.0 is not positive"),
        (lambda: Mala(temperature=0.0), "temperature=0.0 is not positive"),
        (lambda: Mala(steps=0), "steps=0 is below 1"),
        (lambda: Hamiltonian(size=0.0), "size=0.0 is not positive"),
        (lambda: Jumping(reach=0.0), "reach=0.0 is not positive"),
        (lambda: Hamiltonian(leapfrogs=0), "leapfrogs=0 is below 1"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()
