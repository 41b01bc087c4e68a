"""Named combinations: every one trains, and those of papers have the papers' numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gan_runner import checkpoint
from gan_runner.build import build, plan
from gan_runner.config import flatten
from gan_runner.construct import construct
from gan_runner.datasets import images
from gan_runner.datasets.spec import Spec
from gan_runner.errors import MissingInput
from gan_runner.loop import Run
from gan_runner.losses.penalties import GradientNorm
from gan_runner.models import wgan_gp
from tests import data_fixtures
from tests.conftest import compose, option_names
from tests.test_contract import differing, play

EXPERIMENTS = option_names("experiment")
NARROW = {
    "correlation_hcbm": ["dataset.n=10"],
    "correlation_stocks": ["dataset.stride=400"],
    "corrgan_hcbm": ["dataset.n=10", "model.generator.width=4"],
    "corrgan_original": ["dataset.stride=400", "model.generator.width=8"],
    "corrgan_stocks": ["dataset.stride=400", "model.generator.width=4"],
    "dcgan": ["model.width=8"],
    "ebm_du_mordatch": ["model.width=4"],
    "few_fashion": ["train.selection=0.5"],
    "improved_gan": ["model.generator.width=16", "model.discriminator.width=8"],
    "mimicry_cifar10": ["model.width=4"],
    "pggan": ["model.features=8"],
    "r3gan_cifar10": ["model.width=32", "train.precision=fp32"],
    "toy_vgrow": ["dataset.n=2000", "train.batch_size=64"],
    "veegan_stacked": ["model.width=8", "dataset.n=200"],
    "vgrow_fashion": ["model.width=8"],
    "vgrow_mnist": ["model.width=8"],
    "wgan": ["model.width=8"],
    "wgan_gp_cifar10": ["model.generator.width=2", "model.discriminator.width=4"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_fixtures.make_everything(tmp_path_factory.mktemp("data"))


def small(name: str, root: Path, *overrides: str) -> Run:
    """The experiment on tiny files of the data it names."""
    few = [] if name == "saddle" else ["train.batch_size=4"]
    few += [f"dataset.path={root}/prices.csv"] if name == "robust" else []
    return build(compose(f"experiment={name}", f"data_dir={root}", *few, *NARROW.get(name, []), *overrides))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps: all networks move and all numbers are finite."""
    data_fixtures.trust_any_md5(monkeypatch)
    run = small(name, root, "train.steps=2")
    before = {role: [p.detach().clone() for p in net.parameters()] for role, net in run.state.nets.items()}
    silent = play(run)
    assert silent.steps == 2 and run.track
    assert all(v.isfinite().all() for logs in silent.logs for v in logs.values())
    for role, net in run.state.nets.items():
        assert any(not torch.equal(p, old) for p, old in zip(net.parameters(), before[role], strict=True)), role


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_resumes_exactly(
    name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps, a checkpoint on disk, fresh objects, two more: the same bits as five."""
    data_fixtures.trust_any_md5(monkeypatch)
    whole, first, second = (small(name, root, "train.steps=5") for _ in range(3))
    play(whole)
    play(first, until=3)
    checkpoint.save(tmp_path, first.state.state_dict(), step=3, facts={})
    torch.manual_seed(12345)
    second.state.load_state_dict(checkpoint.newest(tmp_path)[1])
    play(second)
    assert whole.state.clock.step == 5 and differing(whole, second) == []


@pytest.mark.parametrize(
    "name", [name for name in EXPERIMENTS if "download" in compose(f"experiment={name}")["dataset"]]
)
def test_experiments_without_their_files_say_where_these_should_be(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "DEBIAN_FASHION", tmp_path / "nowhere")
    cfg = compose(f"experiment={name}", f"data_dir={tmp_path}")
    with pytest.raises(MissingInput, match=r"dataset\.download=true"):
        build(cfg)


# -- the papers' numbers ---------------------------------------------------------------------------

ADAM = ("lr", "betas", "eps")
SETTINGS: dict[str, dict[str, Any]] = {
    "goodfellow2014": {
        **{"dataset._target_": "images.mnist", "dataset.size": 28, "loss.payoff._target_": "payoffs.Minimax"},
        **{"loss._target_": "adversarial.Adversarial", "optimizer._target_": "SGD", "optimizer.lr": 0.1},
        **{"optimizer.momentum": 0.5, "optimizer.discriminator.lr": 0.1, "train.batch_size": 100, "loss.n_critic": 1},
    },
    "goodfellow2014_code": {
        **{"loss._target_": "adversarial.Simultaneous", "loss.payoff._target_": "payoffs.NonSaturating"},
        **{"optimizer.discriminator.lr": 0.05, "optimizer.generator.lr": 0.1, "train.batch_size": 100},
    },
    "dcgan": {
        **{"dataset.size": 64, "optimizer.lr": 2e-4, "optimizer.betas": [0.5, 0.999], "train.batch_size": 128},
        **{"model.generator.latent": 100, "model.generator.width": 128, "loss._target_": "adversarial.Reusing"},
    },
    "dcgan_tf": {
        **{"dataset.size": 28, "optimizer.lr": 1e-4, "optimizer.betas": [0.9, 0.999], "optimizer.eps": 1e-7},
        **{"loss._target_": "adversarial.Simultaneous", "train.batch_size": 256, "model.generator.latent": 100},
        **{"loss.payoff._target_": "payoffs.NonSaturating", "model.discriminator.dropout": 0.3},
    },
    "corrgan_original": {
        **{"dataset.window": 252, "optimizer.lr": 1e-4, "optimizer.betas": [0.9, 0.999], "train.batch_size": 128},
        **{"loss._target_": "adversarial.Simultaneous", "loss.payoff._target_": "payoffs.NonSaturating"},
        **{"model.generator.latent": 100, "model.generator.width": 64, "model.discriminator.dropout": 0.3},
    },
    "wgan": {
        **{"loss.n_critic": 5, "loss.constraints.clip.bound": 0.01, "train.batch_size": 64, "optimizer.lr": 5e-5},
        **{"optimizer._target_": "RMSprop", "model.discriminator.norm": "batch", "loss.warmup": None},
    },
    "wgan_gp_mnist": {
        **{"train.batch_size": 50, "train.default_steps": 200_000, "optimizer.lr": 1e-4, "optimizer.betas": [0.5, 0.9]},
        **{"model.generator.latent": 128, "loss.n_critic": 5, "dataset.size": 28},
    },
    "wgan_gp_cifar10": {
        **{"train.batch_size": 64, "train.default_steps": 100_000, "optimizer.lr": 2e-4, "optimizer.betas": [0, 0.9]},
        **{"loss.n_critic": 5, "loss.penalties.gradient_penalty.weight": 10, "model.discriminator.pooling": "mean"},
        **{"model.discriminator.norm": "none", "schedule._target_": "schedules.Linear", "schedule.end": 0},
    },
    "wgan_gp_toy": {
        **{"train.batch_size": 256, "train.default_steps": 100_000, "optimizer.betas": [0.5, 0.9], "loss.n_critic": 5},
        **{"loss.penalties.gradient_penalty.weight": 0.1, "model.discriminator.hidden": [512, 512, 512]},
        **{"optimizer.lr": 1e-4, "model.generator.activation": "relu"},
    },
    "improved_gan": {
        **{"loss.n_generator": 3, "optimizer.lr": 3e-4, "optimizer.betas": [0.5, 0.999], "train.batch_size": 100},
        **{"model.discriminator.minibatch.kernels": 100, "model.discriminator.minibatch.dims": 5},
        **{"model.discriminator.noise": 0.2, "model.discriminator.dropout": 0.5, "train.default_steps": 1200 * 500},
    },
    **{
        f"vgrow_{data}": {
            **{"optimizer._target_": "RMSprop", "optimizer.lr": 1e-4, "loss.inner": 20, "loss.pool": 20},
            **{"loss.eta": 0.5, "loss.n_critic": 1, "train.batch_size": 64, "model.generator.latent": 128},
            **{"dataset.size": 32, "model.width": 128, "loss.divergence._target_": "vgrow.KL"},
        }
        for data in ("mnist", "fashion")
    },
    **{
        name: {
            **{"dataset.p": p, "dataset.n": 50_000, "dataset.eps": 0.2, "dataset.shift": 5, "dataset.covariance": v},
            **{"model.discriminator.hidden": [20], "optimizer._target_": "SGD", "optimizer.discriminator.lr": 0.2},
            **{"optimizer.generator.lr": 0.02, "loss.n_critic": 5, "train.batch_size": 500},
            **{"loss.payoff._target_": payoff, "loss._target_": "adversarial.Adversarial", "dataset.freedom": None},
        }
        for name, p, v, payoff in (
            *(("huber", 50, 2, "NonSaturating"), ("huber_minimax", 50, 2, "Minimax")),
            *(("huber_demo", 100, 1, "NonSaturating"),),
        )
    },
    "huber_scatter": {
        **{"model.discriminator.hidden": [200, 25], "model.discriminator.activations": ["leaky_relu", "sigmoid"]},
        **{"model.discriminator.first_sd": 0.0025, "optimizer._target_": "SGD", "optimizer.generator.lr": 0.1},
        **{"loss.n_critic": 12, "loss.n_generator": 3, "loss.payoff._target_": "Minimax", "train.batch_size": 500},
        **{"schedule.factor": 0.2, "model.generator.start": "kendall"},
    },
    "huber_cauchy": {
        **{"model.discriminator.hidden": [50, 50, 25], "model.generator.radius": [24, 24, 24, 12, 12]},
        **{"optimizer.discriminator.lr": 0.1, "optimizer.generator.lr": 0.025, "loss.n_generator": 2},
        **{"dataset.freedom": 1, "dataset.p": 50},
    },
    "ebm_foster": {
        **{"dataset.size": 32, "train.batch_size": 128, "optimizer.lr": 1e-4, "optimizer.betas": [0.9, 0.999]},
        **{"loss.sampler.steps": 60, "loss.sampler.size": 10, "loss.sampler.sd": 0.005, "loss.sampler.clip": 0.03},
        **{"loss.replay.capacity": 8192, "loss.replay.restart": 0.05, "loss.weight": 0.1, "loss.moves": 1000},
        **{"loss.blur._target_": "Gaussian", "loss.blur.scale": 0.005, "model.energy.width": 16},
    },
    "ebm_du_mordatch": {
        **{
            "train.batch_size": 128,
            "optimizer._target_": "Capped",
            "optimizer.lr": 3e-4,
            "optimizer.betas": [0, 0.999],
        },
        **{"loss.sampler.steps": 60, "loss.replay.capacity": 10_000, "loss.replay.restart": 0.05, "loss.weight": 1},
        **{"loss.blur._target_": "Uniform", "loss.blur.scale": 1 / 256, "model.energy.width": 128},
    },
    "veegan_stacked": {"dataset.n": 128_000, "probes.modes.n": 26_000, "loss._target_": "veegan.Veegan"},
    "vae_pytorch": {
        **{"dataset._target_": "images.mnist", "dataset.size": 28, "model.encoder.hidden": [400]},
        **{"model.generator.latent": 20, "model.generator.likelihood._target_": "ContinuousBernoulli"},
        **{
            "optimizer.lr": 1e-3,
            "optimizer.betas": [0.9, 0.999],
            "train.batch_size": 128,
            "loss._target_": "elbo.Elbo",
        },
    },
    "iwae": {
        **{"dataset._target_": "images.mnist", "dataset.size": 28, "model.generator.hidden": [200, 200]},
        **{"model.generator.latent": 50, "model.generator.activation": "tanh", "model.generator.likelihood": None},
        **{"optimizer.generator.lr": 1e-3, "optimizer.generator.eps": 1e-4, "optimizer.betas": [0.9, 0.999]},
        **{"train.batch_size": 20, "loss._target_": "elbo.Iwae", "loss.samples": 50, "probes.test.samples": [5000]},
        **{"schedule._target_": "Stages", "probes.test.n": 10_000, "train.ema_halflife": 0},
    },
    "mimicry_cifar10": {
        **{"loss.n_critic": 5, "train.batch_size": 64, "train.default_steps": 100_000, "optimizer.lr": 2e-4},
        **{"optimizer.betas": [0, 0.9], "model.generator.latent": 128, "model.discriminator.spectral_norm": True},
        **{"schedule._target_": "schedules.Linear", "schedule.end": 0, "model.discriminator.pooling": "sum"},
        **{"loss.payoff._target_": "payoffs.Hinge", "train.ema_halflife": 0},
    },
    "quant_gan_paper": {
        **{"optimizer.discriminator.lr": 3e-4, "optimizer.generator.lr": 1e-4, "optimizer.betas": [0, 0.9]},
        **{"model.generator.width": 80, "model.generator.channels": 3, "dataset.window": 127, "dataset.stride": 1},
        **{"dataset.start": "2009-05-01", "dataset.end": "2018-12-31", "dataset.coding": "lambert"},
        **{"loss.payoff._target_": "payoffs.NonSaturating", "loss.penalties.r1.at": "real"},
    },
    "quant_gan_replication": {
        **{"optimizer.discriminator.lr": 1e-4, "optimizer.generator.lr": 3e-4, "optimizer.betas": [0, 0.9]},
        **{"model.generator.width": 80, "model.discriminator.spectral_norm": True, "dataset.coding": "lambert"},
    },
    "r3gan_cifar10": {
        **{"train.batch_size": 512, "optimizer.lr": 2e-4, "optimizer.betas": [0, 0.99], "train.precision": "bf16"},
        **{"model.generator.width": 768, "model.generator.latent": 64, "train.ema_halflife": 5_000_000},
        **{"loss.penalties.r1.weight": 0.05 / 2, "loss.penalties.r2.weight": 0.05 / 2, "schedule.images": 20_000_000},
        **{"loss.payoff._target_": "payoffs.Relativistic"},
    },
    "rbm_lecture": {
        **{"loss._target_": "contrastive.CD", "loss.steps": 5, "model.rbm.hidden": 500, "model.rbm.spread": 0.01},
        **{"optimizer._target_": "SGD", "optimizer.lr": 0.1, "train.batch_size": 64, "dataset.size": 28},
    },
    "rbm_tutorial": {
        **{"loss._target_": "contrastive.PCD", "loss.steps": 1, "loss.chains": 20, "model.rbm.spread": None},
        **{"model.rbm.hidden": 500, "optimizer.lr": 0.1, "train.batch_size": 20},
        **{"schedule._target_": "schedules.Constant"},
    },
    "rbm_digits": {
        **{"loss._target_": "contrastive.PCD", "dataset.size": 8, "model.rbm.hidden": 20},
        **{"schedule._target_": "schedules.Linear"},
    },
}
"""Experiment -> settings of the paper or of its code; of classes, the end of the name."""


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_the_papers(name: str) -> None:
    found = flatten(compose(f"experiment={name}"))
    for key, expected in SETTINGS[name].items():
        value = json.loads(found[key]) if isinstance(expected, list) else found[key]
        if key.endswith("_target_"):
            value = value[-len(expected) :]
        assert value == expected, f"{key}={value}"


@pytest.mark.parametrize(
    ("name", "shape", "generator", "discriminator"),
    [
        ("goodfellow2014", (1, 28, 28), 2_503_984, 1_231_441),
        ("dcgan_tf", (1, 28, 28), 2_305_472, 212_865),
        ("wgan_gp_mnist", (1, 28, 28), 1_554_177, 1_030_145),
        ("mimicry_cifar10", (3, 32, 32), 4_276_739, 1_053_825),
        ("r3gan_cifar10", (3, 32, 32), 20_732_160, 20_683_776),
    ],
)
def test_networks_are_as_large_as_the_papers(
    name: str, shape: tuple[int, ...], generator: int, discriminator: int
) -> None:
    model = compose(f"experiment={name}")["model"]
    for role, expected in (("generator", generator), ("discriminator", discriminator)):
        net: nn.Module = construct(model[role], f"model.{role}", (), Spec(shape, "image"))
        assert sum(p.numel() for p in net.parameters()) == expected


def test_pytorchs_vae_is_as_large_as_the_example() -> None:
    model = compose("experiment=vae_pytorch")["model"]
    nets = [construct(model[role], f"model.{role}", (), Spec((1, 28, 28), "image")) for role in model]
    assert sum(p.numel() for net in nets for p in net.parameters()) == 652_824


@pytest.mark.parametrize(
    ("name", "rows", "epochs"),
    [
        ("goodfellow2014", 60_000, 250),
        *((name, 50_000, 150) for name in ("huber", "huber_minimax", "huber_hard", "huber_demo", "huber_cauchy")),
        ("huber_small", 10_000, 60),
        ("huber_scatter", 50_000, 150),
        ("dcgan", 162_770, 5),
        ("ebm_foster", 60_000, 60),
        ("rbm_lecture", 60_000, 10),
        ("rbm_tutorial", 60_000, 15),
        ("dcgan_tf", 60_000, 30),
        ("improved_gan", 50_000, 1200),
        ("veegan_stacked", 128_000, 50),
        ("vae", 60_000, 30),
        ("vae_pytorch", 60_000, 10),
        ("iwae", 60_000, 3280),
        ("r3gan_cifar10", 1, 250e6),
    ],
)
def test_runs_are_as_long_as_they_say(name: str, rows: int, epochs: float) -> None:
    cfg = compose(f"experiment={name}")
    _, seen = plan(cfg["train"], construct(cfg["loss"], "loss"), rows)
    assert 0 <= seen - epochs * rows < cfg["train"]["batch_size"]


def rate(name: str, iteration: int) -> float:
    """The factor of the learning rate in an iteration of an experiment."""
    cfg = compose(f"experiment={name}")
    steps, total = plan(cfg["train"], construct(cfg["loss"], "loss"), 1)
    return construct(cfg["schedule"], "schedule")(iteration * total // steps, total)


def test_the_first_gan_divides_its_rate_with_each_batch() -> None:
    for batch in (0, 1, 1000, 150_000):
        assert rate("goodfellow2014", batch) == pytest.approx(1.000004**-batch, rel=1e-6)
    assert 0.1 * rate("goodfellow2014", 10_000_000) == pytest.approx(1e-6)


def test_the_rate_of_the_importance_weighted_autoencoder_falls_after_3_to_the_i_epochs() -> None:
    for i, epoch in enumerate([1, 4, 13, 40, 121, 364, 1093]):
        assert rate("iwae", 3000 * epoch - 1) == pytest.approx(10 ** (-i / 7), rel=1e-3)
        assert rate("iwae", 3000 * epoch) == pytest.approx(10 ** (-(i + 1) / 7), rel=1e-3)


@pytest.mark.parametrize(("name", "halvings"), [("vgrow_mnist", [400, 800]), ("vgrow_fashion", [400, 800, 1200])])
def test_variational_gradient_flow_halves_its_rate_and_lengthens_its_lessons(name: str, halvings: list[int]) -> None:
    for k, iteration in enumerate(halvings):
        assert (rate(name, iteration - 1), rate(name, iteration)) == (0.5**k, 0.5 ** (k + 1))
    assert rate(name, 1999) == 0.5 ** len(halvings)
    assert compose(f"experiment={name}")["loss"]["passes"] == [[0, 5], [200, 10], [1000, 15], [1500, 20]]


def test_rates_that_fall_to_their_end() -> None:
    assert rate("mimicry_cifar10", 50_000) == rate("wgan_gp_cifar10", 50_000) == pytest.approx(0.5)
    assert rate("improved_gan", 800 * 500) == 1 and rate("improved_gan", 1000 * 500) == pytest.approx(0.5, abs=1e-4)
    assert 2e-4 * rate("r3gan_cifar10", 400_000) == pytest.approx(5e-5)
    assert rate("r3gan_cifar10", 10_000_000 // 512) == pytest.approx((1 + 0.25) / 2, abs=1e-3)


def test_the_penalty_of_wgan_gp_on_mnist_is_the_papers_for_pixels_from_0_to_1() -> None:
    """10 (|grad| - 1)^2 of the critic as a function of pixels in [0, 1], at the same images."""
    torch.manual_seed(0)
    node = compose("experiment=wgan_gp_mnist")["loss"]["penalties"]["gradient_penalty"]
    ours: GradientNorm = construct(node | {"at": "real"}, "loss")
    D = wgan_gp.Discriminator(Spec((1, 8, 8), "image")).double()
    for p in D.parameters():
        p.data.mul_(3)
    x = torch.rand(5, 1, 8, 8, dtype=torch.float64) * 2 - 1

    class OfPixels(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return D.head(D.trunk(pixels)).squeeze(1)

    theirs = GradientNorm(at="real", target=1.0, weight=10.0)(OfPixels(), (x + 1) / 2, x)
    assert ours(D, x, x).item() == pytest.approx(theirs.item()) and theirs.item() > 1


def test_the_ring_of_wgan_gp_is_the_authors() -> None:
    source = construct(compose("experiment=wgan_gp_toy", "dataset.n=1000")["dataset"], "dataset")
    x = source.take(torch.arange(1000))
    assert float(x.norm(dim=1).mean()) == pytest.approx(2 / math.sqrt(2), rel=0.01)
    assert float(source.truth["sd"]) == pytest.approx(0.02 / 1.414, rel=1e-3)
