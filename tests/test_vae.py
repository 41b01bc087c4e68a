"""Variational autoencoders: closed forms of the bounds, densities of the likelihoods, and what probes see of both."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from gan_runner import optimizers
from gan_runner.build import build
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw
from gan_runner.errors import UsageError
from gan_runner.losses import elbo
from gan_runner.losses.elbo import Elbo, Iwae, divergence, log_ratio, noise, place
from gan_runner.metrics import rows
from gan_runner.metrics.likelihood import Likelihood
from gan_runner.metrics.outliers import inversion
from gan_runner.models.likelihoods import Bernoulli, ContinuousBernoulli, CrossEntropy, Gaussian, langevin, log_sinhc
from gan_runner.models.vae import ConvDecoder, ConvEncoder, Decoder, Encoder
from gan_runner.pictures import latents
from gan_runner.schedules import Stages
from gan_runner.state import State
from tests.conftest import compose
from tests.test_contract import differing, play

SPREAD = 0.5
"""Standard deviation of the noise of the linear model below."""


def linear(exact: bool = True) -> tuple[State, MultivariateNormal]:
    """Probabilistic PCA (Tipping and Bishop 1999) as an autoencoder of 5 columns and 2 latents, and its law of x.

    The weights of the latents are orthogonal, so that the exact q(z | x) has independent coordinates; without `exact`
    its mean is off by 1/2 and its standard deviations are twice what they should be.
    """
    torch.manual_seed(0)
    spec = Spec((5,), "table")
    nets: dict[str, Any] = {
        "encoder": Encoder(spec, latent=2, hidden=[]).double(),
        "generator": Decoder(spec, latent=2, hidden=[], likelihood=Gaussian(SPREAD)).double(),
    }
    W = torch.linalg.qr(torch.randn(5, 2).double()).Q * torch.tensor([2.0, 0.7]).double()
    b, affine = torch.randn(5).double(), nets["generator"].net[0]
    precision = 1 + (W.square().sum(0)) / SPREAD**2
    gain = (W / SPREAD**2 / precision).T
    with torch.no_grad():
        affine.weight.copy_(W), affine.bias.copy_(b)
        nets["encoder"].mu.weight.copy_(gain), nets["encoder"].mu.bias.copy_(-gain @ b + (0 if exact else 0.5))
        nets["encoder"].log_sd.weight.zero_()
        nets["encoder"].log_sd.bias.copy_(-precision.log() / 2 + (0 if exact else math.log(2)))
    state = State.create(nets, Elbo.players, Elbo.averaged, optimizers.SGD(0.1))
    return state, MultivariateNormal(b, W @ W.T + SPREAD**2 * torch.eye(5).double())


def sigma_points(n: int) -> Tensor:
    """eps (n, 4, 2) with the mean and the covariance of the prior: means over them are exact for quadratics."""
    return torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]).double().mul(math.sqrt(2)).expand(n, 4, 2)


# -- the divergence --------------------------------------------------------------------------------


def test_the_divergence_of_a_shifted_and_widened_gaussian() -> None:
    one = divergence(torch.tensor([[1.0]]), torch.tensor([[math.log(2)]]))
    assert float(one) == pytest.approx(1.306853, abs=1e-6)
    three = divergence(torch.tensor([[1.0, 0, 1]]), torch.tensor([[math.log(2), 0, math.log(2)]]))
    assert float(three) == pytest.approx(2 * 1.306853, abs=2e-6)


def test_the_divergence_is_the_mean_of_the_log_ratio() -> None:
    """Within 4 standard errors of 100,000 draws, which are small beside it."""
    torch.manual_seed(0)
    mu, log_sd, eps = torch.tensor([[1.0, -0.5]]), torch.tensor([[0.3, -1.0]]), torch.randn(1, 100_000, 2)
    ratio = -log_ratio(mu, log_sd, eps)[0]
    error = float(ratio.std()) / math.sqrt(ratio.numel())
    assert float(ratio.mean()) == pytest.approx(float(divergence(mu, log_sd)), abs=4 * error) and error < 0.01
    z = place(mu, log_sd, eps)
    q, p = Normal(mu, log_sd.exp()), Normal(0, 1)
    torch.testing.assert_close(ratio, (q.log_prob(z) - p.log_prob(z)).sum(2)[0], atol=1e-4, rtol=0)


# -- the bounds ------------------------------------------------------------------------------------


def test_with_the_exact_posterior_every_bound_is_the_log_marginal() -> None:
    s, law = linear()
    x = law.sample((20,))
    loss, _ = Elbo().loss(s.nets, x, sigma_points(20))
    assert -loss.item() == pytest.approx(law.log_prob(x).mean().item(), abs=1e-6)
    for k in (1, 5, 50):
        loss, _ = Iwae(samples=k).loss(s.nets, x, noise(s.nets, 20, k))
        assert -loss.item() == pytest.approx(law.log_prob(x).mean().item(), abs=1e-6)
        torch.testing.assert_close(Elbo().likelihood(s, x, k), law.log_prob(x), atol=1e-6, rtol=0)


def test_with_another_posterior_bounds_are_below_it_by_its_divergence() -> None:
    """log p(x) - ELBO = KL(q | exact posterior), the same for every x here: 1/2 off, and twice as wide."""
    s, law = linear(exact=False)
    x, sd = law.sample((20,)), s.nets["encoder"].log_sd.bias.detach().exp() / 2  # type: ignore[union-attr,operator]
    gap = float((0.5 * (4 + (0.5 / sd).square() - 1) - math.log(2)).sum())
    loss, _ = Elbo().loss(s.nets, x, sigma_points(20))
    assert law.log_prob(x).mean().item() + loss.item() == pytest.approx(gap, abs=1e-6) and gap > 4
    with torch.no_grad():
        judged = Elbo(samples=20_000).judge(s.nets, x)
    torch.testing.assert_close(judged, law.log_prob(x) - gap, atol=0.15, rtol=0)


def test_the_bound_rises_with_the_samples_to_the_log_marginal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same draws, the bound of 2k is at least the mean of those of their halves, by Jensen's inequality."""
    s, law = linear(exact=False)
    x, eps = law.sample((200,)), noise(s.nets, 200, 64)
    bounds = []
    for k in (1, 2, 4, 8, 16, 32, 64):
        parts = [-Iwae(samples=k).loss(s.nets, x, part)[0].item() for part in eps.split(k, 1)]
        bounds.append(np.mean(parts))
    steps = np.diff(bounds)
    assert (steps > 0.02).all() and bounds[-1] < law.log_prob(x).mean().item()
    monkeypatch.setattr(elbo, "AT_ONCE", 1700)
    with torch.no_grad():
        estimate, single = (Elbo().likelihood(s, x[:5], k) for k in (50_000, 1))
    torch.testing.assert_close(estimate, law.log_prob(x[:5]), atol=0.1, rtol=0)
    assert float((estimate - single).mean()) > 1


def test_both_parts_of_the_posterior_learn_by_the_draws() -> None:
    """The ELBO's gradient of mu is W'(x - b - W mu) / s^2 - mu, of log sd 1 - sd^2 (1 + |w|^2 / s^2): none is 0."""
    s, law = linear(exact=False)
    x, G = law.sample((7,)), s.nets["generator"]
    W, b = G.net[0].weight.detach(), G.net[0].bias.detach()  # type: ignore[union-attr,index]
    mu, log_sd = (t.detach().requires_grad_() for t in s.nets["encoder"](x))
    nets: Any = {"encoder": lambda _: (mu, log_sd), "generator": G}
    loss, _ = Elbo().loss(nets, x, sigma_points(7))
    of_mu, of_log_sd = torch.autograd.grad(-7 * loss, (mu, log_sd))
    torch.testing.assert_close(of_mu, (x - b - mu @ W.T) @ W / SPREAD**2 - mu)
    torch.testing.assert_close(of_log_sd, 1 - (2 * log_sd).exp() * (1 + W.square().sum(0) / SPREAD**2))
    assert of_mu.abs().min() > 1e-3 and of_log_sd.abs().min() > 1e-3


def test_beta_weighs_the_divergence_alone_and_logs_are_of_the_parts() -> None:
    s, law = linear(exact=False)
    x, eps = law.sample((9,)), noise(s.nets, 9, 1)
    none, one, four = (Elbo(beta=beta).loss(s.nets, x, eps) for beta in (0.0, 1.0, 4.0))
    kl = divergence(*s.nets["encoder"](x)).mean()
    torch.testing.assert_close(one[0] - none[0], kl)
    torch.testing.assert_close(four[0] - none[0], 4 * kl)
    for _, logs in (none, one, four):
        torch.testing.assert_close(logs["generator/kl"], kl)
        torch.testing.assert_close(logs["generator/reconstruction"], none[0])
    pooled = {name: value.detach()[None] for name, value in four[1].items()}
    assert Elbo(beta=4.0).summary(pooled)["elbo"] == pytest.approx(-one[0].item())


def test_the_best_linear_model_is_that_of_factor_analysis() -> None:
    """With a spread learned for each column the bound comes to factor analysis's maximum, and not above it."""
    from sklearn.decomposition import FactorAnalysis

    g = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=g) @ torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, -1]])
    x += torch.tensor([0.3, 0.6, 0.4, 0.5, 0.8, 0.7]) * torch.randn(400, 6, generator=g)
    best = FactorAnalysis(2, tol=1e-4, svd_method="lapack").fit(x.numpy()).score(x.numpy())
    torch.manual_seed(0)
    spec = Spec((6,), "table")
    nets: dict[str, nn.Module] = {"encoder": Encoder(spec, 2, []), "generator": Decoder(spec, 2, [])}
    s = State.create(nets, Elbo.players, Elbo.averaged, optimizers.Adam(0.03))
    for _ in range(300):
        Elbo(samples=2).step(s, x, None)
    with torch.no_grad():
        found = float(Elbo().likelihood(s, x, 500).mean())
    assert best - 0.01 < found < best + 0.003


# -- likelihoods -----------------------------------------------------------------------------------

IMAGE = Spec((1, 2, 3), "image")


@pytest.mark.parametrize("t", [-800.0, -40.0, -3.0, -0.61, -0.59, -1e-3, 0.0, 1e-8, 0.3, 0.7, 12.0, 300.0])
def test_continuous_bernoulli_pixels_have_a_density(t: float) -> None:
    """Its integral over [0, 1] is 1, and its mean the quadrature's, also next to t = 0, where the formula is 0 / 0."""
    from scipy.integrate import quad

    net, raw = ContinuousBernoulli(), torch.tensor(t, dtype=torch.float64)

    def density(y: float) -> float:
        return float(net.entries(torch.tensor(2 * y - 1, dtype=torch.float64), raw).exp())

    edges = [0.01, 0.1, 0.9, 0.99]
    assert quad(density, 0, 1, points=edges, epsabs=1e-11)[0] == pytest.approx(1, abs=1e-8)
    mean = quad(lambda y: y * density(y), 0, 1, points=edges, epsabs=1e-11)[0]
    assert float(net.mean(raw)) == pytest.approx(2 * mean - 1, abs=1e-8)


def test_the_normaliser_is_smooth_and_finite_far_and_near() -> None:
    t = torch.tensor([-1e4, -88.0, -0.3, -0.2999, -1e-20, 0, 1e-6, 0.2999, 0.3001, 50, 1e4], requires_grad=True)
    value = log_sinhc(t)
    (slope,) = torch.autograd.grad(value.sum(), t)
    assert value.isfinite().all() and torch.equal(value, value.abs())
    torch.testing.assert_close(slope, langevin(t), atol=2e-5, rtol=0)
    wide = t.detach().double().requires_grad_()
    (slope,) = torch.autograd.grad(log_sinhc(wide).sum(), wide)
    torch.testing.assert_close(slope, langevin(wide), atol=1e-8, rtol=0)


def test_continuous_bernoulli_is_the_papers() -> None:
    """C(l) l^y (1 - l)^(1 - y) with C = 2 artanh(1 - 2 l) / (1 - 2 l), the decoder's number being the logit of l."""
    y, lam = torch.rand(8, 1, dtype=torch.float64), torch.tensor([0.05, 0.4, 0.8], dtype=torch.float64)
    expected = y * lam.log() + (1 - y) * (1 - lam).log() + (2 * torch.atanh(1 - 2 * lam) / (1 - 2 * lam)).log()
    torch.testing.assert_close(ContinuousBernoulli().entries(2 * y - 1, lam.logit()), expected)


def test_bernoulli_pixels_are_summed_and_their_mean_is_in_the_scale_of_training() -> None:
    torch.manual_seed(0)
    x, raw = 2 * torch.rand(4, *IMAGE.shape) - 1, 5 * torch.randn(4, 3, *IMAGE.shape)
    for net in (Bernoulli(), CrossEntropy()):
        found = net.log_density(x, raw)
        for k in range(3):
            expected = -F.binary_cross_entropy_with_logits(raw[:, k], (x + 1) / 2, reduction="none").sum((1, 2, 3))
            torch.testing.assert_close(found[:, k], expected)
        torch.testing.assert_close(net.mean(raw), 2 * raw.sigmoid() - 1)
    assert Bernoulli().entries(torch.tensor([1.0, -1.0]), torch.tensor([1e4, -1e4])).abs().max() == 0


def test_pixels_are_drawn_anew_with_their_grey_value_as_probability() -> None:
    torch.manual_seed(0)
    grey = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    drawn = Bernoulli().observe((2 * grey - 1).expand(40_000, 5))
    assert drawn.abs().eq(1).all() and not torch.equal(drawn[:20_000], drawn[20_000:])
    error = (grey * (1 - grey) / 40_000).sqrt()
    assert (((drawn.mean(0) + 1) / 2 - grey).abs() <= 4 * error).all()
    assert torch.equal(CrossEntropy().observe(grey), grey) and torch.equal(Bernoulli().observe(drawn), drawn)


@pytest.mark.parametrize("spec", [Spec((3,), "table"), Spec((2, 4, 4), "image"), Spec((3, 7), "series")])
def test_gaussian_entries_have_a_spread_for_each_column(spec: Spec) -> None:
    torch.manual_seed(0)
    fixed, learned = Gaussian(0.3), Gaussian()
    fixed.suit(spec), learned.suit(spec)
    assert not [*fixed.parameters()] and sum(p.numel() for p in learned.parameters()) == spec.shape[0]
    with torch.no_grad():
        learned.log_sd.normal_()
    x, raw = torch.randn(6, *spec.shape), torch.randn(6, 2, *spec.shape)
    for net in (fixed, learned):
        expected = Normal(raw, net.log_sd.exp()).log_prob(x[:, None]).flatten(2).sum(2)
        torch.testing.assert_close(net.log_density(x, raw), expected)
    assert float(fixed.log_sd.detach().flatten()[0]) == pytest.approx(math.log(0.3))


def test_decoders_refuse_what_their_likelihood_cannot_describe() -> None:
    pixels = "{_target_: gan_runner.models.likelihoods.Bernoulli}"
    with pytest.raises(UsageError, match="Bernoulli describes pixels, and a table has none"):
        build(compose("loss=elbo", "dataset=ring8", "dataset.n=500", f"model.generator.likelihood={pixels}"))
    for wrong in (lambda: Gaussian(0.0), lambda: Elbo(beta=-1.0), lambda: Iwae(samples=0)):
        with pytest.raises(ValueError, match=r"sd=0|beta=-1|samples=0"):
            wrong()


def test_the_convolutional_pair_sees_and_makes_images() -> None:
    """Also of sides that are no powers of two; the full layer's first pixel depends on every latent."""
    spec = Spec((3, 28, 20), "image")
    encoder, decoder = ConvEncoder(spec, latent=5, width=4), ConvDecoder(spec, latent=5, width=4)
    z = torch.randn(2, 5, requires_grad=True)
    made = decoder(z)
    assert made.shape == (2, 3, 28, 20) and made.abs().max() < 1
    assert (torch.autograd.grad(made[0, 0, 0, 0], z)[0][0] != 0).all()
    mu, log_sd = encoder(1e6 * made.detach())
    assert mu.shape == log_sd.shape == (2, 5) and log_sd.abs().max() == 7
    with pytest.raises(ValueError, match="multiples of 4"):
        ConvEncoder(Spec((1, 6, 8), "image"))


def test_the_decoder_is_the_mirror_of_the_encoder() -> None:
    encoder, decoder = (net(IMAGE, latent=2, hidden=[7, 3]) for net in (Encoder, Decoder))
    down = [m.weight.shape for m in encoder.modules() if isinstance(m, nn.Linear)]
    up = [m.weight.shape for m in decoder.modules() if isinstance(m, nn.Linear)]
    assert down == [(7, 6), (3, 7), (2, 3), (2, 3)] and up == [(3, 2), (7, 3), (6, 7)]


# -- what probes ask -------------------------------------------------------------------------------

SMALL = ("dataset=digits", "probes=none", "train.batch_size=16", "train.steps=5", "model.encoder.hidden=[30]")


def test_judging_is_without_dropout_and_disturbs_nothing() -> None:
    """The same weights without dropout say the same; training goes on as if it had not been asked."""
    quiet, asked = (build(compose("loss=elbo", *SMALL, "model.encoder.dropout=0.5")) for _ in range(2))
    draw = Draw(asked.objective, asked.state, asked.source.device)
    x = rows.some(asked.source, 300)
    play(quiet)
    play(asked, watch=lambda: (draw.judge(x), draw.likelihood(x, 2), draw.reconstruct(x)))
    assert differing(quiet, asked) == []
    sure = build(compose("loss=elbo", *SMALL))
    pairs = ((sure.state.nets, asked.state.nets), (sure.state.average, asked.state.average))
    for mine, theirs in pairs:  # dropout layers have no weights, but a place in the names
        mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))
    other = Draw(sure.objective, sure.state, sure.source.device)
    for found, expected in (
        (draw.judge(x), other.judge(x)),
        (draw.likelihood(x, 3), other.likelihood(x, 3)),
        (draw.reconstruct(x), other.reconstruct(x)),
    ):
        assert found is not None and expected is not None and torch.equal(found, expected)
    assert asked.state.nets["encoder"].training


def test_networks_see_pixels_as_drawn_wherever_they_are_asked() -> None:
    run = build(compose("loss=elbo", *SMALL))
    seen: list[Tensor] = []
    for net in (run.state.nets["encoder"], run.state.average["encoder"]):
        net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    draw, x = Draw(run.objective, run.state, run.source.device), rows.some(run.source, 50)
    play(run, until=1)
    draw.judge(x), draw.likelihood(x, 2), draw.reconstruct(x)
    assert [len(inputs) for inputs in seen] == [16, 50, 50, 50]
    assert all(inputs.abs().eq(1).all() for inputs in seen) and not x.abs().eq(1).all()


def test_likelihoods_are_those_of_the_moving_average_of_both_networks() -> None:
    run = build(compose("loss=elbo", "dataset=ring8", "dataset.n=500", "probes=none", "train.batch_size=16"))
    play(run, until=5)
    draw, x = Draw(run.objective, run.state, run.source.device), rows.some(run.source, 50)
    before = draw.likelihood(x, 3)
    for p in run.state.nets.parameters():
        p.data.add_(0.1)
    assert before is not None and torch.equal(before, draw.likelihood(x, 3))  # type: ignore[arg-type]
    for role in ("encoder", "generator"):
        for p in run.state.average[role].parameters():
            p.data.add_(0.01)
        now = draw.likelihood(x, 3)
        assert now is not None and not torch.equal(before, now)
        before = now


def test_the_likelihood_of_a_game_is_unknown() -> None:
    run = build(compose("dataset=ring8", "dataset.n=500", "probes=none", "train.batch_size=16"))
    draw = Draw(run.objective, run.state, run.source.device)
    assert draw.likelihood(run.source.data, 5) is None
    assert Likelihood()(draw, run.source).scalars == {} and latents.Latents()(draw, run.source).scalars == {}


class Known:
    """log p(x) = -|x|^2, as known by whoever is asked."""

    def likelihood(self, x: Tensor, samples: int) -> Tensor:
        return -x.square().sum(1) - 1 / samples


def test_the_bound_is_of_rows_held_out() -> None:
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    source = Source(Spec((2,), "table"), x, held_out=Source(Spec((2,), "table"), 3 * x))
    found = Likelihood(n=400, samples=(1, 10))(Known(), source).scalars  # type: ignore[arg-type]
    expected = -9 * x.square().sum(1).double()
    assert found["log_likelihood_1"] == pytest.approx(float(expected.mean()) - 1)
    assert found["log_likelihood_10"] == pytest.approx(float(expected.mean()) - 0.1)
    assert found["log_likelihood_10_error"] == pytest.approx(float(expected.std()) / 20)
    alone = Likelihood(n=400, samples=(1,))(Known(), replace(source, held_out=None)).scalars  # type: ignore[arg-type]
    assert alone["log_likelihood_1"] == pytest.approx(float(expected.mean()) / 9 - 1)
    for wrong in ({"n": 1}, {"samples": ()}, {"samples": (0,)}):
        with pytest.raises(ValueError, match=r"n=1|samples="):
            Likelihood(**wrong)


def test_outliers_are_less_likely_than_rows_and_fewer_samples_know_less() -> None:
    run = build(compose("loss=elbo", "model=vae_table", "dataset=ring8", "dataset.n=2000", "probes=none"))
    play(run, until=150)
    draw = Draw(run.objective, run.state, run.source.device)
    x = rows.some(run.source, 200)
    inside, outside = draw.judge(x), draw.judge(2 * x)
    assert inside is not None and outside is not None and inside.min() > outside.mean()
    assert inversion(draw, x) is None, "nobody's features are there to compare"
    found = Likelihood(n=1000, samples=(1, 64))(draw, run.source).scalars
    assert found["log_likelihood_64"] > found["log_likelihood_1"]


# -- latents ---------------------------------------------------------------------------------------


def test_latents_that_know_nothing_are_not_active() -> None:
    """Of three latents one is N(x, 1/4), one N(0, 1) and one N(1/2, 1): KLs by the closed form, one active."""
    run = build(compose("loss=elbo", "dataset=ring8", "dataset.n=500", "probes=none", "model.encoder.latent=3"))
    encoder: Any = run.state.average["encoder"]
    encoder.trunk = nn.Flatten()
    encoder.mu, encoder.log_sd = nn.Linear(2, 3), nn.Linear(2, 3)
    with torch.no_grad():
        for layer in (encoder.mu, encoder.log_sd):
            layer.weight.zero_(), layer.bias.zero_()
        encoder.mu.weight[0, 0], encoder.mu.bias[2], encoder.log_sd.bias[0] = 1, 0.5, -math.log(2)
    draw = Draw(run.objective, run.state, run.source.device)
    look = latents.Latents(n=500)
    found = look(draw, run.source)
    second = float(run.source.data[:, 0].square().mean())
    expected = 0.5 * (0.25 + second - 1 + 2 * math.log(2)) + 0.125
    assert found.scalars["active_units"] == 1 and found.scalars["kl"] == pytest.approx(expected, abs=1e-5)
    again = look(draw, run.source)
    assert torch.equal(found.pictures["latents"], again.pictures["latents"])


def test_the_plane_of_two_latents_is_drawn_by_quantiles() -> None:
    z = latents.plane(5)
    p = torch.special.ndtr(z).view(5, 5, 2)
    torch.testing.assert_close(p[:, :, 0], torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]).double().expand(5, 5))
    torch.testing.assert_close(p[:, :, 1], p[:, :, 0].T.flip(0))
    run = build(compose("loss=elbo", *SMALL, "model.encoder.latent=2"))
    draw = Draw(run.objective, run.state, run.source.device)
    (picture,) = latents.Manifold(side=4)(draw, run.source).pictures.values()
    made = run.source.decode(draw.generate(latents.plane(4).float()))
    assert torch.equal(picture, latents.grid(made, 4))
    more = build(compose("loss=elbo", *SMALL))
    assert latents.Manifold()(Draw(more.objective, more.state, more.source.device), more.source).pictures == {}


# -- the schedule of the importance-weighted autoencoder -------------------------------------------


def test_rates_fall_after_1_4_13_and_so_on_epochs_to_a_tenth() -> None:
    rate, epochs, rows_ = Stages(), 3280, 60_000
    for i, end in enumerate([1, 4, 13, 40, 121, 364, 1093]):
        seen = end * rows_
        assert rate(seen - 20, epochs * rows_) == pytest.approx(10 ** (-i / 7))
        assert rate(seen, epochs * rows_) == pytest.approx(10 ** (-(i + 1) / 7))
    assert rate(epochs * rows_, epochs * rows_) == pytest.approx(0.1) and rate(0, 1) == 1
    assert Stages(factor=0.5, longer=1, stages=4)(2, 4) == 0.25
    for wrong in ({"factor": 0.0}, {"longer": 0}, {"stages": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Stages(**wrong)  # type: ignore[arg-type]
