"""Trained models as files: the numbers are ours, whoever reads them, and nobody needs gan_runner for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_runner import export
from gan_runner.build import build
from gan_runner.datasets.columns import below
from gan_runner.draw import Draw
from gan_runner.errors import Fault
from gan_runner.functions import Function, function_of, law
from gan_runner.loop import Run
from gan_runner.models.maxout import Generator as Maxout
from gan_runner.restore import restore
from tests import short_runs
from tests.conftest import ROOT, compose, option_names
from tests.test_contract import play

Cli = Callable[..., CompletedProcess[str]]
PAGE = (ROOT / "docs/export.md").read_text()
READERS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHORT = ("train.steps=3", "train.batch_size=16", "probes=none", "run.dir=run")
MADE = {  # what the page says of each of its readers: the file, and the run that it is of
    "digits.pt2": (),
    "digits.onnx": (),
    "energy.pt2": ("loss=pcd",),
    "ring.safetensors": ("dataset=ring8",),
}


def needs(name: str) -> None:
    for package in export.FORMATS[name].packages:
        pytest.importorskip(package)


def function(run: Run) -> Function:
    return function_of(run.source, Draw(run.objective, run.state, torch.device("cpu")))


def far(cfg: dict[str, Any], name: str, folder: Path, run: Run) -> float:
    """How far a file is from the function of a run, whose untrained beginning `cfg` describes."""
    mine, form = function(run), export.FORMATS[name]
    form.write(mine, folder / f"f{form.suffix}")
    return mine.difference(form.read(folder / f"f{form.suffix}", lambda: function(build(cfg))))


# -- what the page says ----------------------------------------------------------------------------


@pytest.mark.parametrize(("out", "reader"), list(zip(MADE, READERS, strict=True)), ids=[*MADE])
def test_the_lines_of_the_page_give_our_numbers_where_gan_runner_cannot_be_imported(
    out: str, reader: str, cli: Cli, tmp_path: Path
) -> None:
    assert out in reader and len([line for line in reader.splitlines() if line]) <= 11
    needs(next(name for name, form in export.FORMATS.items() if out.endswith(form.suffix)))
    assert cli(*MADE[out], *SHORT).returncode == 0
    done = cli("run=run", f"out={out}", module="gan_runner.export")
    assert done.returncode == 0 and out in done.stdout, done.stderr
    facts = json.loads((tmp_path / f"{out}.json").read_text())
    assert 0 <= facts["largest_difference"] <= 1e-5 and facts["step"] == 3
    blocked = "import sys\nsys.modules['gan_runner'] = None\n"
    kept = "import numpy\nnumpy.savez('seen', **{k: numpy.asarray(globals()[k]) for k in {*'zxe'} & {*globals()}})"
    done = subprocess.run([sys.executable, "-I", "-c", blocked + reader + kept], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    seen = {name: torch.from_numpy(found) for name, found in np.load(tmp_path / "seen.npz").items()}
    source, draw, _ = restore(tmp_path / "run", "newest", 0, "cpu")
    if "e" in seen:
        ours, theirs = draw.objective.energy(draw.state.averaged(), seen["x"] / 127.5 - 1), seen["e"]
        assert ours is not None
    elif source.spec.kind == "image":
        ours, theirs = (draw.generate(seen["z"]) + 1) / 2, seen["x"] / 255
        assert (source.decode(draw.generate(seen["z"])).float() - seen["x"]).abs().max() <= 0.51
    else:
        ours, theirs = source.decode(draw.generate(seen["z"])), seen["x"]
    assert (ours - theirs).abs().max() <= 1e-5 * (ours.max() - ours.min()).clamp(min=1.0) and theirs.std() > 0


def test_blocked_is_blocked() -> None:
    program = "import sys\nsys.modules['gan_runner'] = None\nimport gan_runner"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    assert "ModuleNotFoundError" in done.stderr


# -- every kind of data and of model ---------------------------------------------------------------

KINDS = {
    "dcgan": (),
    "vae": ("loss=elbo",),
    "rbm": ("loss=cd",),
    "ebm_conv": ("loss=ebm", "model=ebm_conv"),
    "ebm": ("dataset=ring8", "dataset.n=300", "loss=ebm_langevin"),
    "table": ("dataset=wine",),
    "table_rbm": ("dataset=wine", "loss=cd"),
    "huber": ("dataset=huber", "dataset.n=300", "model=elliptical"),
    "tcn": ("dataset=sp500", "model=tcn", "model.width=4", "model.generator.standard=true"),
    "correlation": ("dataset=hcbm", "dataset.n=20"),
    "corrgan": ("dataset=hcbm", "dataset.n=20", "model=corrgan", "model.generator.width=4"),
    "growing": ("loss=progressive", "model=growing", "model.features=16", "model.base=128"),
    "veegan": ("dataset=ring8", "dataset.n=300", "loss=veegan", "model=veegan"),
}


@pytest.mark.parametrize("name", export.FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_files_give_our_numbers(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(name)
    monkeypatch.setattr("gan_runner.models.tcn.LONG", 256)  # days of the paths that the TCN is standardised by
    cfg = compose(*KINDS[kind], "train.batch_size=16", "probes=none", "train.steps=4")
    run = build(cfg)
    play(run)
    assert far(cfg, name, tmp_path, run) <= export.TOLERANCE


def test_a_file_makes_what_the_draw_makes(tmp_path: Path) -> None:
    """Rows of a table, category and decimals and all, are those that sampling writes."""
    run = build(compose("dataset=wine", "train.batch_size=16", "probes=none", "train.steps=4"))
    play(run)
    draw = Draw(run.objective, run.state, torch.device("cpu"))
    export.write_program(function(run), tmp_path / "f.pt2")
    made = torch.export.load(tmp_path / "f.pt2").module()(draw.latents(64))
    assert torch.equal(made, run.source.decode(draw(64))) and made.dtype == torch.float64


def test_adagan_is_its_mixture_and_f68_components_that_the_weights_lack_are_noticed(tmp_path: Path) -> None:
    rounds = ("loss.rounds=3", "loss.images=320", "loss.ratio=64", "train.images=960")
    cfg = compose("dataset=ring8", "dataset.n=300", "loss=adagan", *rounds, "train.batch_size=16", "probes=none")
    run = build(cfg)
    play(run)
    assert int(run.state.memory["stage"]) == 4
    assert far(cfg, "torch", tmp_path, run) <= export.TOLERANCE
    needs("safetensors")
    assert far(cfg, "safetensors", tmp_path, run) > 0.01


# -- energies --------------------------------------------------------------------------------------


def test_the_energy_of_a_boltzmann_machine_is_minus_log_of_the_sum_over_hidden_states(tmp_path: Path) -> None:
    run = build(compose("loss=pcd", "model.rbm.hidden=3", "train.batch_size=16", "probes=none", "train.steps=4"))
    play(run)
    export.write_program(function(run), tmp_path / "f.pt2")
    x = torch.randint(0, 2, (5, 1, 16, 16), generator=torch.Generator().manual_seed(0)) * 255.0
    found = torch.export.load(tmp_path / "f.pt2").module()(x)
    W, b, c = (p.double() for p in run.state.average["rbm"].parameters())
    v = x.flatten(1).double() / 255
    states = torch.tensor(list(product([0.0, 1.0], repeat=3))).double()
    energies = -(v @ b)[:, None] - states @ c - v @ W @ states.T
    torch.testing.assert_close(found.double(), -(-energies).logsumexp(1), rtol=1e-6, atol=1e-5)


def test_the_energy_of_a_network_is_minus_its_score_of_points_in_their_own_units(tmp_path: Path) -> None:
    run = build(compose("dataset=circles", "dataset.n=300", "loss=ebm_langevin", "probes=none", "train.steps=4"))
    play(run)
    assert run.source.coding is not None and (run.source.decode(run.source.data) - run.source.data).abs().max() > 1
    export.write_program(function(run), tmp_path / "f.pt2")
    points = run.source.decode(run.source.data[:5])
    found = torch.export.load(tmp_path / "f.pt2").module()(points)
    torch.testing.assert_close(found, -run.state.average["energy"](run.source.data[:5]), rtol=1e-5, atol=1e-5)


def test_only_chains_have_energies() -> None:
    for loss, model, chained in (("ns", "mlp", 0), ("elbo", "vae", 0), ("pcd", "rbm", 1), ("ebm_langevin", "ebm", 1)):
        run = build(compose("dataset=ring8", "dataset.n=300", f"loss={loss}", f"model={model}", "probes=none"))
        found = run.objective.energy(run.state, run.source.take(torch.arange(5)))
        assert (found is not None and found.shape == (5,)) if chained else found is None


# -- refusals --------------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_runs.run() == 0


def refused(**words: str) -> Fault:
    with pytest.raises(Fault) as caught:
        export.export(export.Settings("r", **words))
    return caught.value


def test_f68_a_file_that_gives_other_numbers_is_not_kept(trained: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert export.export(export.Settings("r", out="mine/f.pt2")) == 0
    Path("mine/f.pt2").write_bytes(b"older")
    good = export.FORMATS["torch"]

    def shifted(path: Path, untrained: Any) -> Callable[[Tensor], Tensor]:
        return lambda z: good.read(path, untrained)(z) * (1 + 1e-4)

    monkeypatch.setitem(export.FORMATS, "torch", export.Format(good.suffix, (), good.write, shifted))
    fault = refused(out="mine/f.pt2")
    assert fault.code == 1 and fault.id == "F68" and "choose format=onnx" in fault.fix
    assert Path("mine/f.pt2").read_bytes() == b"older"
    assert {p.name for p in Path("mine").iterdir()} == {"f.pt2", "f.pt2.json"}


def test_f68_a_model_that_cannot_be_followed_is_refused_in_one_line(
    trained: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_runner.functions.Samples.forward", lambda self, z: z * float(z.sum()))
    line = str(refused())
    assert "cannot follow this model" in line and "format=safetensors" in line and "\n" not in line


def test_words_that_make_no_sense_are_refused_before_anything_is_read(
    trained: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(format="tflite").fix == "choose from torch, onnx, safetensors"
    assert refused(out="f.bin").fix == "add .pt2" and refused(format="onnx", out="f.pt2").fix == "add .onnx"
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    missing = refused(out="f.onnx")
    assert missing.code == 69 and "pip install 'gan-runner[export]'" in missing.fix
    assert not Path("r/exports").exists()


def test_games_without_data_are_refused(tmp_path: Path) -> None:
    run = build(compose("experiment=saddle", "probes=none"))
    with pytest.raises(Fault, match="makes no samples"):
        function(run)


# -- parts -----------------------------------------------------------------------------------------


def test_latents_are_called_by_their_law() -> None:
    def named(*words: str) -> str:
        run = build(compose(*words, "train.batch_size=16", "probes=none"))
        return law(Draw(run.objective, run.state, torch.device("cpu")))

    assert named("dataset=ring8", "dataset.n=300") == "standard normal"
    assert named() == "uniform from -1 to 1"
    assert named("model=mlp_maxout") == f"uniform from {-Maxout.reach:.6g} to {Maxout.reach:.6g}"


def test_a_law_of_ones_own_gets_no_name_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    run = build(compose("dataset=ring8", "dataset.n=300", "probes=none"))
    draw = Draw(run.objective, run.state, torch.device("cpu"))
    monkeypatch.setattr(draw, "latents", lambda n: torch.randn(n, 4).abs())
    assert law(draw) == "drawn by the model's own noise()"


def test_differences_are_seen_in_each_column_and_gap() -> None:
    run = build(compose("dataset=ring8", "dataset.n=300", "probes=none"))
    mine = function(run)
    ours = mine(mine.given)
    size = float(ours[:, 1].max() - ours[:, 1].min())

    def other(z: Tensor) -> Tensor:
        return mine(z) + torch.tensor([0.0, 1e-3]) * size

    assert mine.span(torch.tensor([[0.0, 5.0], [torch.nan, 1005.0], [2.0, 15.0]])).tolist() == [[2, 1000]]
    assert mine.span(torch.full((3, 1), 700.0)).item() == pytest.approx(0.7), "a rounding of a constant is not infinite"
    assert mine.difference(mine) < 1e-6 and mine.difference(other) == pytest.approx(1e-3, rel=0.02)
    assert mine.difference(lambda z: mine(z).where(torch.tensor([True, False]), torch.nan)) == torch.inf


def test_counting_is_searching() -> None:
    points = torch.tensor([-1.0, 0.0, 0.0, 0.5, 2.0]).double()
    values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.2, 0.5, 2.0, 3.0]).double()
    assert torch.equal(below(points, values), torch.searchsorted(points, values))
    right = len(points) - below(-points, -values)
    assert torch.equal(right, torch.searchsorted(points, values, right=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", export.FORMATS)
@pytest.mark.parametrize("loss", option_names("loss"))
def test_every_loss(loss: str, name: str, tmp_path: Path) -> None:
    """On points; what needs other data is refused before."""
    needs(name)
    try:
        cfg = compose("dataset=ring8", "dataset.n=300", f"loss={loss}", "train.batch_size=16", "probes=none")
        run = build(cfg)
    except Fault:
        pytest.skip("not for points")
    assert loss == "saddle" or far(cfg, name, tmp_path, run) <= export.TOLERANCE
