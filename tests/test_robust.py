"""Restricted generators, what they begin with, how they are averaged, and that contamination cannot drag them along."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner import train
from gan_runner.build import build
from gan_runner.datasets.huber import huber
from gan_runner.datasets.spec import Spec
from gan_runner.draw import Draw
from gan_runner.errors import UsageError
from gan_runner.losses.adagan import begin_anew
from gan_runner.losses.payoffs import Minimax, NonSaturating, Redescending
from gan_runner.models import maxout, robust, statistics
from gan_runner.restore import restore
from tests.conftest import compose, option_names
from tests.test_contract import differing, play

SMALL = ("experiment=huber_small", "dataset.p=5", "dataset.n=5000", "probes=none", "train.threads=1")
BRIEF = ("experiment=huber_scatter", "dataset.p=4", "dataset.n=400", "train.batch_size=20", "probes=none")


def table(p: int) -> Spec:
    return Spec((p,), "table")


def begun(net: Any, rows: Tensor) -> Any:
    with torch.no_grad():
        net.begin(rows)
    return net


# -- the game under contamination ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eps", "loss_d", "saturating", "trick"),
    [(0.05, 1.35100, -0.66783, 0.71912), (0.1, 1.31435, -0.64185, 0.74721), (0.2, 1.23653, -0.58779, 0.81093)],
)
def test_losses_at_the_best_logit_under_separable_contamination(
    eps: float, loss_d: float, saturating: float, trick: float
) -> None:
    """By quadrature of p = (1 - eps) q + eps r, and in closed form from h = 1 - eps over 2 - eps."""
    x = torch.linspace(-10, 50, 60_001, dtype=torch.float64)
    q, r = (torch.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0, 40))
    p = (1 - eps) * q + eps * r
    step, d = float(x[1] - x[0]), (p.clamp(min=1e-300).log() - q.clamp(min=1e-300).log()).clamp(-60, 60)
    found = float((p * F.softplus(-d) + q * F.softplus(d)).sum() * step)
    h = (1 - eps) / (2 - eps)
    assert found == pytest.approx(-((1 - eps) * math.log(h) - math.log(2 - eps)), abs=1e-6)
    assert found == pytest.approx(loss_d, abs=2e-5)
    many = 10_000
    clean, far = torch.full((round((1 - eps) * many),), math.log1p(-eps)), torch.full((round(eps * many),), 60.0)
    real, fake = torch.cat([clean, far]).double(), torch.full((many,), math.log1p(-eps)).double()
    assert float(Minimax().discriminator(real, fake)) == pytest.approx(loss_d, abs=2e-5)
    assert float(Minimax().generator(real, fake)) == pytest.approx(saturating, abs=2e-5)
    assert float(NonSaturating().generator(real, fake)) == pytest.approx(trick, abs=2e-5)


@pytest.mark.parametrize("power", [1, 2, 5])
def test_a_redescending_generator_weighs_samples_by_doubt_to_its_power(power: int) -> None:
    fake = torch.linspace(-8, 8, 33, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(Redescending(power).generator(fake, fake), fake)
    torch.testing.assert_close(found, -((-fake.detach()).sigmoid() ** power) / len(fake))
    if power == 1:
        assert torch.equal(Redescending(1).generator(fake, fake), NonSaturating().generator(fake, fake))


def bias(payoff: Any, distance: float = 0.5 * math.sqrt(50)) -> float:
    """Where along the outliers' direction a location comes to rest against the best discriminator of endless data."""
    x = torch.linspace(-9, 14, 20_001, dtype=torch.float64)

    def push(b: float) -> float:
        p = 0.8 * torch.exp(-(x**2) / 2) + 0.2 * torch.exp(-((x - distance) ** 2) / 2)
        q = torch.exp(-((x - b) ** 2) / 2)
        d = (p.log() - q.log()).requires_grad_(True)
        pull = torch.autograd.grad(payoff.generator(d, d), d)[0]
        return float((q * pull * torch.gradient(d.detach())[0]).sum())

    low, high = -0.1, 0.3
    for _ in range(40):
        low, high = ((low + high) / 2, high) if push((low + high) / 2) < 0 else (low, (low + high) / 2)
    return low


def test_outliers_near_the_data_pull_a_redescending_generator_less() -> None:
    found = [bias(payoff) for payoff in (Minimax(), Redescending(1), Redescending(2), Redescending(4))]
    assert found == pytest.approx([0.1687, 0.0860, 0.0704, 0.0551], abs=5e-4)


def test_an_affine_generator_finds_the_location_and_its_critic_the_clean_rows() -> None:
    run = build(compose(*SMALL))
    play(run)
    oracle = math.sqrt(5 / 4000)
    b = run.state.average["generator"].b
    assert float(b.norm()) < 3 * oracle < float(run.source.data.median(0).values.norm()) / 5
    draw, outlier = Draw(run.objective, run.state, run.source.device), run.source.truth["outlier"]
    law, scores = draw.law(), draw.judge(run.source.data)
    assert law is not None and scores is not None
    assert torch.equal(law["location"], b) and not torch.equal(b, run.state.nets["generator"].b), "of the average"
    assert float(scores[~outlier].median()) == pytest.approx(math.log(0.8), abs=0.06)
    assert scores[outlier].min() > scores[~outlier].max()


# -- what networks begin with ----------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_kendall_is_within_five_per_cent_of_clean_gaussians(correlation: float) -> None:
    source = huber(eps=0.0, p=10, n=20_000, correlation=correlation)
    truth = source.truth["scatter"]
    assert (statistics.kendall(source.data) - truth).norm() < 0.05 * truth.norm()
    scaled = statistics.kendall(source.data * torch.arange(1.0, 11.0))
    torch.testing.assert_close(scaled, statistics.kendall(source.data) * torch.outer(*2 * [torch.arange(1.0, 11.0)]))


def test_kendall_keeps_what_outliers_take_from_covariances() -> None:
    source = huber(eps=0.05, p=10, n=10_000, correlation=0.5, shift=20.0)
    truth, data = source.truth["scatter"], source.data
    assert (statistics.kendall(data) - truth).norm() < 0.5 * truth.norm() < 0.05 * (torch.cov(data.T) - truth).norm()


def test_tau_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((17, 2)))
    rows[:, 1] += rows[:, 0]  # 16 lags of 17 rows: every pair, twice
    assert float(statistics.tau(rows)[0, 1]) == pytest.approx(stats.kendalltau(*rows.T.numpy()).statistic)


def test_scales_and_roots() -> None:
    x = torch.randn(20_001, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0]) + 7
    torch.testing.assert_close(statistics.scale(x), torch.tensor([1.0, 3.0]), rtol=0.03, atol=0)
    rare = torch.zeros(100, 1)
    rare[:10] = 1.0
    torch.testing.assert_close(statistics.scale(rare), torch.tensor([0.3]))  # its median absolute deviation is 0
    S = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    W = statistics.root(S)
    torch.testing.assert_close(W.T @ W, S)


def test_generators_begin_at_robust_statistics() -> None:
    source = huber(p=6, n=4000, correlation=0.5, shift=3.0)
    median = source.data.median(0).values
    for net in (robust.Location(table(6)), robust.Scatter(table(6)), robust.EllipticalScatter(table(6))):
        assert torch.equal(begun(net, source.data).law()["location"], median)
    torch.testing.assert_close(
        begun(robust.Scatter(table(6)), source.data).law()["scatter"], statistics.kendall(source.data)
    )
    centred = begun(robust.Scatter(table(6), location=False, start="diagonal"), source.data)
    torch.testing.assert_close(centred.law()["scatter"], statistics.diagonal(source.data))
    assert not centred.law()["location"].any() and dict(centred.named_parameters()).keys() == {"W"}


@pytest.mark.parametrize("make", [robust.Location, robust.Scatter, robust.EllipticalScatter])
def test_laws_are_those_of_samples(make: Any) -> None:
    """Location and quartiles; also the scatter, where it is not that of heavy tails."""
    torch.manual_seed(0)
    net = make(table(3))
    with torch.no_grad():
        net.b.copy_(torch.tensor([1.0, 2.0, 3.0]))
        for name, value in net.named_parameters():
            if name in "WA":
                value.copy_(torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.3, 0.0, 1.5]]))
        x, law = net(net.noise(200_000)), net.law()
    torch.testing.assert_close(x.median(0).values, law["location"], atol=0.05, rtol=0.02)
    width = (x - law["location"]).abs().median(0).values / statistics.QUARTILE
    torch.testing.assert_close(width, law["scatter"].diagonal().sqrt(), rtol=0.05, atol=0)
    if make is not robust.EllipticalScatter:
        torch.testing.assert_close(torch.cov(x.T), law["scatter"], rtol=0.02, atol=0.05)


def test_elliptical_samples_are_spherical_and_begin_as_wide_as_a_gaussian() -> None:
    torch.manual_seed(0)
    net = begun(robust.Elliptical(table(8)), torch.zeros(10, 8))
    with torch.no_grad():
        z = net.noise(50_000)
        x = net(z)
        torch.testing.assert_close(x.norm(dim=1), math.sqrt(8) * net.xi(z[:, :24])[:, 0])
    assert float(x[:, 0].abs().median()) == pytest.approx(statistics.QUARTILE, rel=0.03)
    u = x / x.norm(dim=1, keepdim=True)
    torch.testing.assert_close(torch.cov(u.T), torch.eye(8) / 8, atol=0.003, rtol=0)
    near = x.norm(dim=1) < x.norm(dim=1).median()
    torch.testing.assert_close(torch.cov(u[near].T), torch.eye(8) / 8, atol=0.005, rtol=0)  # u does not depend on xi
    assert x.abs().max() > 100  # one over a Gaussian has no mean


def test_the_first_gan_begins_with_the_mean_image() -> None:
    spec = Spec((1, 2, 2), "image")
    images = torch.tensor([[-1.0, 0.5, 0.0, 1.0], [-1.0, 0.7, -0.5, 1.0]]).view(2, 1, 2, 2)
    net = begun(maxout.Generator(spec, latent=3, width=5), images)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name != net.begun[0]:
                value.zero_()
        torch.testing.assert_close(net(net.noise(1)), images.mean(0, keepdim=True))


@pytest.mark.parametrize("loss", option_names("loss"))
def test_networks_begin_under_every_loss_and_their_average_with_them(loss: str) -> None:
    where = ("model=scatter", "dataset=huber", "dataset.p=3", "dataset.n=300", "probes=none", "train.batch_size=20")
    try:
        run = build(compose(f"loss={loss}", *where))
    except UsageError as fault:
        assert fault.id == "F59"  # it needs other roles
        return
    expected = run.source.data.median(0).values
    for nets in (run.state.nets, run.state.average):
        assert torch.equal(nets["generator"].b, expected)
    law, rounds = run.objective.law(run.state), "first.nets.generator.b" in run.state.memory
    assert (law is None) == rounds, "of a mixture of generators none knows the law"
    if rounds:  # each begins there
        play(run, until=1)
        begin_anew(run.state)
        assert torch.equal(run.state.nets["generator"].b, expected)


def test_only_training_looks_at_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling from a run folder and its law need neither the data nor what the generator began with."""
    place = tmp_path / "r"
    assert train.train(compose(*BRIEF, "train.steps=3", f"run.dir={place}"), [])[0] == 0
    monkeypatch.setattr(robust.Scatter, "begin", lambda *_: pytest.fail("this run began long ago"))
    _, draw, step = restore(place, "newest", 0, "cpu")
    assert step == 3 and draw(7).shape == (7, 4)
    law = draw.law()
    assert law is not None and not torch.equal(law["location"], torch.zeros(4))


@pytest.mark.parametrize("model", ["location", "scatter", "elliptical", "elliptical_location"])
def test_every_parameter_of_a_robust_model_moves(model: str) -> None:
    words = (f"model={model}", "dataset=huber", "dataset.p=3", "dataset.n=300", "dataset.freedom=1", "probes=none")
    run = build(compose(*words, "train.batch_size=20", "train.steps=3", "optimizer=sgd"))
    before = {name: value.detach().clone() for name, value in run.state.nets.named_parameters()}
    play(run)
    for name, value in run.state.nets.named_parameters():
        assert value.isfinite().all() and not torch.equal(value, before[name]), name


def test_tables_alone_have_a_location() -> None:
    with pytest.raises(ValueError, match="model=mlp"):
        robust.Location(Spec((1, 8, 8), "image"))
    with pytest.raises(ValueError, match="activations"):
        robust.Discriminator(table(3), hidden=[4, 5], activations=["relu"])


def test_discriminators_start_as_their_papers_say() -> None:
    torch.manual_seed(0)
    D = robust.Discriminator(table(50), [200, 25], ["leaky_relu", "sigmoid"], first_sd=0.0025)
    first, second = (m for m in D.trunk if isinstance(m, torch.nn.Linear))
    assert float(first.weight.detach().std()) == pytest.approx(0.0025, rel=0.03) and not first.bias.any()
    assert float(second.weight.detach().std()) == pytest.approx(math.sqrt(2 / 225), rel=0.05)
    features = D.features(torch.randn(10, 50))
    assert features.shape == (10, 25) and 0 < features.min() < features.max() < 1


# -- the average over the end of a run -------------------------------------------------------------


def test_after_average_from_all_steps_weigh_alike() -> None:
    """10 steps; b is 1 ... 10 after them; from 60 % on the average is that of 7 ... 10."""
    run = build(compose(*BRIEF, "train.steps=10", "train.average_from=0.6", "train.ema_halflife=5"))
    live, average = run.state.nets["generator"].b, run.state.average["generator"].b
    rows, seen = run.images // 10, []
    for step in range(1, 11):
        with torch.no_grad():
            live.fill_(step)
        run.state.tick(rows, run.batch, run.halflife, run.average_from)
        seen.append(float(average[0].detach()))
    assert seen[6:] == pytest.approx([7, 7.5, 8, 8.5])
    assert all(step - 3 < mean < step for step, mean in enumerate(seen[1:6], 2)), "exponential until then"


def test_a_step_counts_as_far_as_its_rows_lie_beyond_the_start_of_the_end() -> None:
    run = build(compose(*BRIEF, "train.steps=10"))
    live, average = run.state.nets["generator"].b, run.state.average["generator"].b
    for rows, value in ((100, 1.0), (100, 2.0), (300, 3.0)):
        with torch.no_grad():
            live.fill_(value)
        run.state.tick(rows, 100, 5.0, since=150.0)
    assert float(average[0].detach()) == pytest.approx((50 * 2 + 300 * 3) / 350)


STEPS, PAUSE = 20, 14


def halves(tamper: str = "") -> list[str]:
    """What differs between one run and two halves, where a part of the checkpoint between them was lost."""
    words = (*BRIEF, f"train.steps={STEPS}", "train.average_from=0.5")
    whole, first, second = (build(compose(*words)) for _ in range(3))
    play(whole)
    play(first, until=PAUSE)
    saved, fresh = copy.deepcopy(first.state.state_dict()), copy.deepcopy(second.state.state_dict())
    if tamper:
        saved[tamper] = fresh[tamper]
    second.state.load_state_dict(saved)
    play(second)
    return differing(whole, second)


def test_resume_of_begun_and_averaged_runs_is_exact() -> None:
    assert halves() == []


@pytest.mark.parametrize("part", ["nets", "average", "clock"])
def test_a_lost_part_is_noticed(part: str) -> None:
    assert halves(part)


# -- contaminated data -----------------------------------------------------------------------------


def test_clean_rows_have_the_correlations_that_were_asked_for() -> None:
    source = huber(p=6, n=50_000, correlation=0.6, shift=3.0)
    clean = source.data[~source.truth["outlier"]]
    truth = 0.6 ** (torch.arange(6)[:, None] - torch.arange(6)).abs()
    torch.testing.assert_close(source.truth["scatter"], truth)
    torch.testing.assert_close(torch.cov(clean.T), truth, atol=0.03, rtol=0)
    outliers = source.data[source.truth["outlier"]]
    torch.testing.assert_close(torch.cov(outliers.T), 2 * torch.eye(6), atol=0.1, rtol=0)


def test_cauchy_rows_have_cauchy_columns() -> None:
    source = huber(p=3, n=50_000, freedom=1.0, covariance=4.0)
    for rows, centre, width in ((~source.truth["outlier"], 0.0, 1.0), (source.truth["outlier"], 5.0, 2.0)):
        x = source.data[rows]
        torch.testing.assert_close(x.median(0).values, torch.full((3,), centre), atol=0.1, rtol=0)
        torch.testing.assert_close((x - centre).abs().median(0).values, torch.full((3,), width), rtol=0.05, atol=0)
    assert float(source.truth["freedom"]) == 1


@pytest.mark.parametrize(("name", "value"), [("correlation", 1.0), ("freedom", 0.0)])
def test_impossible_laws_are_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"dataset.{name}"):
        huber(**{name: value})
