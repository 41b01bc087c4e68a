"""What must be refused before a run starts or goes on: the code, the line, and that nothing was touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from gan_runner import build as building
from gan_runner import checkpoint, construct, folder, resume, train
from gan_runner.errors import Fault, MissingInput, Unsafe, UsageError
from tests.conftest import compose, option_names
from tests.short_runs import configured, every_file, refusal, run, status


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# -- F03, F38, F51, F58, F62: before anything starts ------------------------------------------------


def test_f03_a_place_that_cannot_be_written_is_refused_before_the_data_are_read() -> None:
    Path("file").touch()
    with pytest.raises(Fault, match="F03") as caught:
        train.train(compose("run.dir=file/r", "dataset=folder", "dataset.path=nowhere"), [])
    assert caught.value.code == 73


def test_f62_a_disk_too_small_for_the_plan_creates_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
    fault = refusal()
    assert (fault.code, fault.id) == (74, "F62") and "1 MiB" in fault.what and "run.preflight=false" in fault.fix
    assert list(tmp_path.iterdir()) == []
    assert run("run.preflight=false") == 0


@pytest.mark.parametrize(("device", "count"), [("cuda", 0), ("cuda:7", 1)])
def test_f38_a_missing_device_is_told_before_the_data_are_read(
    device: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    cfg = compose("dataset=folder", "dataset.path=nowhere", f"device={device}")
    with pytest.raises(Fault, match=r"F38.*device=auto") as caught:
        train.train(cfg, [])
    assert caught.value.code == 69 and not Path("outputs").exists()


@pytest.mark.parametrize(("rows", "fits"), [(1, False), (15, False), (16, True)])
def test_f51_fewer_rows_than_a_batch_are_refused_with_both_numbers(rows: int, fits: bool) -> None:
    if fits:
        assert run(f"dataset.n={rows}", "train.steps=1") == 0
    else:
        fault = refusal(f"dataset.n={rows}")
        assert fault.code == 65 and f"{rows} rows" in fault.what and "batch_size=16" in fault.what
        assert not Path("r").exists()


@pytest.mark.parametrize("model", option_names("model"))
def test_f58_a_batch_of_one_is_refused_where_batch_norm_would_average_it(model: str) -> None:
    try:
        made = building.build(compose(f"model={model}", "dataset=digits", "train.batch_size=1", "probes=none"))
    except UsageError as fault:
        assert fault.id in ("F58", "F59") and fault.fix
    else:
        assert not any("BatchNorm" in type(m).__name__ for m in made.state.nets.modules())


# -- F07, F08, F09, F22, F24, F25: resuming --------------------------------------------------------


def test_f07_every_pair_of_recipes_is_refused_with_what_differs() -> None:
    """Each two models, two data sets and two losses; a run that is already complete is no exception."""
    for group in ("model", "dataset", "loss"):
        recipes = {option: compose(f"{group}={option}") for option in option_names(group)}
        for option, cfg in recipes.items():
            place = Path(f"{group}-{option}")
            place.mkdir()
            folder.write_text(place / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(cfg)))
            folder.Status(place).write("completed", step=1, budget=resume.budget(cfg))
            for other in [name for name, its in recipes.items() if its[group] != cfg[group]]:
                with pytest.raises(MissingInput) as caught:
                    train.train(recipes[other] | {"resume": str(place)}, [])
                assert caught.value.id == "F07" and f"{group}." in caught.value.what and "->" in caught.value.what
            assert {p.name for p in place.iterdir()} == {"config.yaml", "status.json"}


def test_f07_a_checkpoint_of_other_networks_is_refused() -> None:
    assert run() == 0
    path = Path("r/ckpt/step-00000012")
    state = checkpoint.load(path)[0]
    state["nets"] = {k: v[:1] for k, v in state["nets"].items()}
    checkpoint.save(Path("r/ckpt"), state, step=13, facts={})
    fault = refusal("resume=r", "train.steps=20")
    assert (fault.code, fault.id) == (66, "F07") and "step-00000013" in fault.what


def test_f08_free_settings_change_and_others_only_by_force() -> None:
    assert run() == 0
    changes = ("resume=r", "train.steps=18", "train.batch_size=32", "optimizer.lr=0.125")
    fault = refusal(*changes)
    assert (fault.code, fault.id) == (2, "F08") and "'resume_force=[train.batch_size]'" in fault.fix
    assert run(*changes, "resume_force=[train.batch_size]") == 0
    state = checkpoint.newest(Path("r/ckpt"))[1]
    assert state["clock"] == {"step": 18, "seen": 12 * 16 + 6 * 32}
    assert state["players"]["generator"]["param_groups"][0]["lr"] == 0.125


def test_f22_f24_what_costs_bits_is_told_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run() == 0
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    with pytest.warns(UserWarning, match=r"train\.threads: 0 -> 2: going on, but not bit-exact"):
        assert run("resume=r", "train.steps=14", "train.threads=2") == 0
    assert status()["not_bit_exact"] == ["train.threads: 0 -> 2"]
    for change in ("program=compiled", "precision=bf16", "matmul=high", "channels_last=false"):
        with pytest.warns(UserWarning, match="not bit-exact"):
            assert len(resume.check_same(Path("r"), configured(f"train.{change}"))) == 1
    assert resume.check_same(Path("r"), configured("optimizer.lr=0.1")) == []


def test_f25_a_completed_run_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    before = every_file()
    assert run("resume=r") == 0 and "nothing to do (step 12/12)" in capsys.readouterr().out
    assert every_file() == before
    assert run("resume=r", "train.steps=14") == 0
    before = every_file()
    for budget in (12, 14):
        assert run("resume=r", f"train.steps={budget}") == 0
        assert "nothing to do (step 14/14)" in capsys.readouterr().out
    assert every_file() == before


# -- F64, F65: strangers ---------------------------------------------------------------------------

FOREIGN = [
    "os.system",
    "torch.load",
    "torch.hub.load",
    "numpy.load",
    "builtins.open",
    "builtins.eval",
    "subprocess.run",
    "shutil.copy",
    "pathlib.Path.touch",
    "pandas.read_pickle",
    "gan_runner.datasets.images.replace",
    "gan_runner.losses.payoffs.torch",
    "gan_runner.checkpoint.load",
]


@pytest.mark.parametrize(("norm", "warned"), [("none", False), ("batch", True)])
def test_batch_norm_beside_a_gradient_penalty_is_warned_of(
    norm: str, warned: bool, recwarn: pytest.WarningsRecorder
) -> None:
    building.build(compose("loss=wgan_gp", "dataset=digits", "model.width=4", f"discriminator_norm={norm}"))
    assert warned == any("mixes samples" in str(w.message) for w in recwarn)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("group", sorted(construct.ROOMS))
def test_f64_no_yaml_names_code_outside_its_room(name: str, group: str) -> None:
    with pytest.raises((Unsafe, UsageError)) as caught:
        construct.construct({"_target_": name}, group)
    assert caught.value.code == 77 or "does not exist" in caught.value.what


def test_a_class_in_the_wrong_case_is_named_as_it_is() -> None:
    with pytest.raises(UsageError, match="does not exist") as caught:
        construct.construct({"_target_": "gan_runner.losses.veegan.VEEGAN"}, "loss")
    assert caught.value.fix == "did you mean gan_runner.losses.veegan.Veegan?"


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a\0b", "link/x"])
def test_f65_a_run_name_cannot_lead_out_of_its_root(name: str, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir(), (tmp_path / "secret").mkdir()
    (tmp_path / "outputs/link").symlink_to(tmp_path / "secret")
    cfg = configured()
    cfg["run"] |= {"dir": None, "name": name}
    with pytest.raises(Unsafe, match="F65"):
        train.train(cfg, [])
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["link", "outputs", "secret"]


def test_f65_long_names_are_hashed_or_refused() -> None:
    cfg = configured()
    cfg["run"] |= {"dir": None, "name": "x" * 300}
    assert train.train(cfg, [])[0] == 0
    assert len(next(Path("outputs").iterdir()).name) < 255
    assert refusal(f"run.dir={'x' * 300}").code == 73
    assert refusal(f"resume={'x' * 300}").code == 66
    cfg["run"]["dir"] = "a\0b"
    with pytest.raises(Unsafe, match="F65"):
        train.train(cfg, [])
