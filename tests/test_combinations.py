"""Every shipped dataset x model x loss either trains two steps or is refused with a line that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_runner.build import build
from gan_runner.errors import UsageError
from tests import data_fixtures
from tests.conftest import compose, option_names
from tests.test_contract import play

DATASETS = option_names("dataset")
SMALL = {
    "correlations": ["dataset.window=10"],
    "hcbm": ["dataset.n=10"],
    "huber": ["dataset.n=200", "dataset.p=5"],
    "mnist": ["train.batch_size=4"],
    **{name: ["dataset.n=200"] for name in ("stacked_mnist", "stacked_fashion")},
    **{name: ["dataset.n=200"] for name in ("toy2d", "ring8", "grid25", "swissroll", "spiral", "circles", "gmm")},
}

FILES = {"folder": "pictures", "table": "table.csv", "correlations": "prices.csv", "numbers": "prices.csv"}

NARROW = {  # what fits together does not depend on widths
    **{
        name: ["model.width=8"]
        for name in ("dcgan", "dcgan_half", "dcgan_packed", "resnet", "vae_conv", "veegan_dcgan", "vgrow")
    },
    "corrgan": ["model.generator.width=4"],
    "ebm_resnet": ["model.width=4"],
    "dcgan_tf": ["model.generator.width=8", "model.discriminator.width=8"],
    "growing": ["model.features=16", "model.base=128"],
    "improved": ["model.generator.width=32", "model.discriminator.width=8"],
    "r3gan": ["model.width=32"],
    **{name: ["model.width=4"] for name in ("tcn", "svnn", "csvnn")},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_fixtures.make_everything(tmp_path_factory.mktemp("data"))


def verdict(root: Path, dataset: str, model: str, loss: str) -> str:
    """ "trains" or the refusal."""
    where = [f"data_dir={root}", *([f"dataset.path={root}/{FILES[dataset]}"] if dataset in FILES else [])]
    # the probes suit the dataset by construction; what is judged here are dataset, model and loss
    sizes = [*SMALL.get(dataset, []), *NARROW.get(model, []), "train.batch_size=4", "probes=none", "train.steps=2"]
    sizes += ["loss.warmup.updates=6"] if loss == "wgan_warmup" else []
    try:
        run = build(compose(f"dataset={dataset}", f"model={model}", f"loss={loss}", *where, *sizes))
    except UsageError as fault:
        assert fault.fix and fault.id in str(fault)
        return str(fault)
    silent = play(run)
    assert silent.steps == 2
    assert all(v.isfinite().all() for logs in silent.logs for v in logs.values())
    return "trains"


def check(root: Path, dataset: str, model: str, losses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data_fixtures.trust_any_md5(monkeypatch)
    verdicts = {loss: verdict(root, dataset, model, loss) for loss in losses}
    refusals = {v for v in verdicts.values() if v != "trains"}
    shapes = {v for v in refusals if "needs the roles" not in v}
    assert len(shapes) <= 1, "what a model can make does not depend on the loss"
    for line in refusals:
        assert "fix: " in line and "\n" not in line


@pytest.mark.parametrize("model", option_names("model"))
@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset_and_model(dataset: str, model: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(root, dataset, model, ["ns"], monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", option_names("model"))
@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset_model_and_loss(dataset: str, model: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(root, dataset, model, option_names("loss"), monkeypatch)


@pytest.mark.parametrize("dataset", DATASETS)
def test_each_dataset_brings_a_model_that_fits(dataset: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_fixtures.trust_any_md5(monkeypatch)
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from gan_runner import config

    with initialize_config_dir(str(config.config_dir()), version_base="1.3"):
        cfg = hydra_compose("config", [f"dataset={dataset}"], return_hydra_config=True)
    model = cfg.hydra.runtime.choices.model
    assert verdict(root, dataset, model, "ns") == "trains"
