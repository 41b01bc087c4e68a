"""Laws of the generator of rows, and of a whole run on a user's table by the commands alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from gan_runner import checkpoint
from gan_runner.build import build
from gan_runner.datasets.columns import Columns
from gan_runner.datasets.spec import Spec
from gan_runner.datasets.table import encode_file
from gan_runner.models.table import Generator, gumbel, one_of
from gan_runner.restore import restore
from tests import data_fixtures
from tests.conftest import compose, option_names
from tests.test_contract import differing, play

GROUPS = (1, 3, 1, 2)
SPEC = Spec((7,), "table", groups=GROUPS)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def made(n: int = 500, **settings: Any) -> tuple[Generator, Tensor, Tensor]:
    G = Generator(SPEC, **{"latent": 4, "hidden": [16], **settings})
    z = G.noise(n)
    return G, z, G(z)


# -- rows ------------------------------------------------------------------------------------------


def test_every_category_is_one_of_its_levels_and_numbers_are_free() -> None:
    G, z, x = made()
    assert z.shape == (500, 4 + 5) and x.shape == (500, 7)
    for part, size in zip(x.split(GROUPS, 1), GROUPS, strict=True):
        if size > 1:
            assert ((part == 0) | (part == 1)).all() and torch.equal(part.sum(1), torch.ones(500))
        else:
            assert len(part.unique()) == 500 and part.abs().max() > 0.5
    assert torch.equal(x, G(z)), "a sample is a function of its latents"


def test_levels_are_drawn_with_the_probabilities_of_their_logits() -> None:
    logits = torch.tensor([0.5, -1.0, 2.0])
    drawn = one_of(logits + gumbel(torch.randn(200_000, 3)), 0.5).mean(0)
    torch.testing.assert_close(drawn, logits.softmax(0), atol=0.005, rtol=0)


def test_gumbel_numbers_have_the_gumbel_distribution() -> None:
    g = gumbel(torch.randn(200_000).double())
    for at in (-1.0, 0.0, 1.0, 3.0):
        assert float((g <= at).double().mean()) == pytest.approx(float(np.exp(-np.exp(-at))), abs=0.005)
    assert gumbel(torch.tensor([-6.0, 6.0])).isfinite().all()


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_the_gradient_through_a_category_is_that_of_its_softmax(temperature: float) -> None:
    logits, weight = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.randn(5, 3).double()
    (hard,) = torch.autograd.grad((one_of(logits, temperature) * weight).sum(), logits)
    (soft,) = torch.autograd.grad(((logits / temperature).softmax(1) * weight).sum(), logits)
    torch.testing.assert_close(hard, soft)
    assert hard.abs().sum() > 0


def test_a_table_without_groups_is_one_of_numbers() -> None:
    G = Generator(Spec((3,), "table"), latent=4, hidden=[], norm="none")
    (layer,) = G.net
    z = G.noise(6)
    assert G.latent == 4 and isinstance(layer, nn.Linear) and torch.equal(G(z), layer(z))


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        (Spec((1, 8, 8), "image"), {}, "choose model=mlp"),
        (Spec((2, 12), "series"), {}, "choose model=mlp"),
        (SPEC, {"temperature": 0.0}, "temperature=0.0"),
        (SPEC, {"latent": 0}, "latent=0"),
        (SPEC, {"norm": "batches"}, "norm=batches"),
    ],
)
def test_what_cannot_be_made_is_refused(spec: Spec, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Generator(spec, **settings)


# -- runs ------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, 120)
    frame = pd.DataFrame(
        {
            "age": age,
            "city": rng.choice(["Rome", "Oslo", "Bonn"], 120),
            "income": (age * 100 + rng.exponential(900, 120)).round(2),
            "owner": age + rng.normal(0, 9, 120) > 50,
        }
    )
    frame.loc[::9, "income"] = np.nan
    frame.to_csv(tmp_path / "people.csv", index=False)
    return tmp_path / "people.csv"


SHORT = ("train.batch_size=32", "model.generator.hidden=[16]", "model.discriminator.hidden=[16]", "train.log_every=5")


def settings(file: Path, *overrides: str) -> dict[str, Any]:
    data = ("dataset=table", f"dataset.path={file}", "dataset.label=owner", "dataset.missing=keep")
    return compose(*data, *SHORT, "train.steps=12", *overrides)


@pytest.mark.parametrize("loss", ["ns", "wgan_gp", "r3gan", "ns_consensus"])
def test_a_resumed_run_on_a_table_ends_in_the_same_bits(loss: str, file: Path, tmp_path: Path) -> None:
    whole, first, second = (build(settings(file, f"loss={loss}", "probes=none")) for _ in range(3))
    before = {k: v.detach().clone() for k, v in whole.state.nets.named_parameters()}
    play(whole)
    play(first, until=5)
    checkpoint.save(tmp_path, first.state.state_dict(), step=5, facts={})
    second.state.load_state_dict(checkpoint.newest(tmp_path)[1])
    play(second)
    assert differing(whole, second) == []
    still = [k for k, v in whole.state.nets.named_parameters() if torch.equal(v, before[k])]
    assert set(still) <= {"discriminator.head.bias"}


def test_a_packed_discriminator_judges_rows_of_a_table(file: Path) -> None:
    run = build(settings(file, "model.discriminator.pack=4", "probes=none"))
    assert play(run).steps == 12
    scores = run.objective.judge(run.state.nets, run.source.take(torch.arange(32)))
    assert scores is not None and scores.shape == (8,)


def test_a_users_table_by_the_commands_alone(cli: Any, file: Path, tmp_path: Path) -> None:
    """Train, and sample from the folder without the file: names, types, ranges and levels are those of the data."""
    words = ("dataset=table", f"dataset.path={file}", "dataset.label=owner", "dataset.missing=keep", "strict=true")
    done = cli(*words, *SHORT, "train.steps=20", "probes.fidelity.n=60", "probes.utility.n=60", "run.dir=r")
    assert done.returncode == 0, done.stderr
    expected = pd.read_csv(file)
    file.unlink()
    done = cli("run=r", "n=100", "out=made.csv", module="gan_runner.sample")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "made.csv")
    assert len(found) == 100 and list(found) == list(expected) and found.dtypes.tolist() == expected.dtypes.tolist()
    for name in ("age", "income"):
        assert expected[name].min() <= found[name].min() and found[name].max() <= expected[name].max()
        assert found[name].dropna().nunique() > 9
    assert set(found["city"]) <= {"Rome", "Oslo", "Bonn"} and found["income"].isna().any()
    cents = found["income"].dropna() * 100
    assert np.allclose(cents, cents.round())
    metrics = json.loads((tmp_path / "r/result.json").read_text())["metrics"]
    for name in ("ks_mean", "tv_mean", "association_error", "detection_auroc", "tstr_accuracy", "neighbour_ratio"):
        assert {name, f"{name}_floor", f"{name}_independent", f"{name}_copula"} <= metrics.keys()
    assert {"marginals.png", "associations.png"} <= {p.name for p in (tmp_path / "r/pictures").iterdir()}
    source, _, _ = restore(tmp_path / "r", "newest", 0, "cpu")
    assert isinstance(source.coding, Columns) and source.spec.groups == (1, 3, 2, 1, 2)
    again = source.frame(encode_file(tmp_path / "made.csv", source.coding))
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(again.to_csv(index=False))), found)


def test_older_run_folders_without_groups_are_restored(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gan_runner import train

    monkeypatch.chdir(tmp_path)
    assert (
        train.train(compose("dataset=ring8", "dataset.n=64", *SHORT, "probes=none", "train.steps=2", "run.dir=r"), [])[
            0
        ]
        == 0
    )
    manifest = json.loads(Path("r/manifest.json").read_text())
    assert manifest["spec"].pop("groups") == []
    Path("r/manifest.json").write_text(json.dumps(manifest))
    assert restore(Path("r"), "newest", 0, "cpu")[0].spec.groups == ()


@pytest.mark.parametrize("name", ["table", *(n for n in option_names("dataset") if n in ("wine", "breast_cancer"))])
def test_tables_bring_their_model_and_their_probes(name: str, tmp_path: Path) -> None:
    data_fixtures.make_everything(tmp_path)
    cfg = compose(f"dataset={name}", *([f"dataset.path={tmp_path}/table.csv"] if name == "table" else []))
    assert cfg["model"]["generator"]["_target_"].endswith("models.table.Generator") and "utility" in cfg["probes"]
