"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gan_runner"
LEAVES = {"errors", "folder", "datasets.spec"}

# room: (modules of ours that it may import, by prefix; other people's packages that it may import)
ROOMS = {
    "models": ({"models"}, {"torch"}),
    "schedules": (set(), {"torch"}),
    "parallel": (set(), {"torch"}),
    "optimizers": (set(), {"torch"}),
    "datasets": (
        {"datasets"},
        {"torch", "numpy", "pandas", "torchvision", "PIL", "filelock", "arch", "scipy", "sklearn"},
    ),
    "losses": ({"losses", "state"}, {"torch"}),
    "metrics": ({"metrics", "pictures"}, {"torch", "numpy", "scipy", "sklearn", "filelock", "arch", "torch_fidelity"}),
    "pictures": ({"pictures", "metrics"}, {"torch", "numpy", "PIL", "matplotlib", "scipy", "sklearn"}),
    "state": ({"parallel", "schedules"}, {"torch"}),
    "loop": (
        {"state", "parallel", "program", "datasets.draws", "losses.objective", "metrics.probe", "watch.alarm"},
        {"torch"},
    ),
    "watch": ({"watch", "metrics.probe"}, {"torch"}),
    "program": ({"state", "optimizers"}, {"torch"}),
    "checkpoint": ({"folder"}, {"torch"}),
    "folder": (set(), set()),
    "signals": (set(), set()),
    "logbook": ({"console", "folder", "pictures.png"}, {"torch", "tensorboard"}),
    "console": (set(), set()),
    "draw": ({"loop", "state", "losses.objective", "models.packing"}, {"torch"}),
    "config": ({"folder"}, {"hydra", "omegaconf", "yaml"}),
    "comparison": ({"comparison", "config", "metrics.better", "__version__"}, {"numpy", "scipy", "PIL"}),
}
HYDRA = {"__main__", "config", "usage", "sweep", "train"}


def imports(path: Path) -> set[str]:
    """Absolute names imported anywhere in a file, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def inside(name: str, prefixes: set[str]) -> bool:
    return any(name == p or name.startswith(p + ".") for p in prefixes)


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_rooms_import_what_they_may(path: Path) -> None:
    name = name_of(path)
    room = name if name in ROOMS else name.split(".")[0]
    if room not in ROOMS:
        return
    ours, theirs = ROOMS[room]
    for imported in imports(path):
        first, _, rest = imported.partition(".")
        if first == "gan_runner":
            assert inside(rest, ours | LEAVES), f"{name} imports {imported}"
        else:
            assert first in theirs or first in sys.stdlib_module_names, f"{name} imports {imported}"


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_single_owners(path: Path) -> None:
    """One module each knows Hydra's side, torch.distributed, matplotlib and unpickling."""
    name, found, text = name_of(path), imports(path), path.read_text()
    if any(i.startswith(("hydra", "omegaconf")) for i in found):
        assert name in HYDRA
    if any(i.startswith("torch.distributed") for i in found):
        assert name == "parallel"
    if any(i.startswith("matplotlib") for i in found):
        assert name == "pictures.figure"
    for banned in ("weights_only=False", "pickle.load", "allow_pickle=True", "joblib.load", "dcp.load"):
        assert banned not in text, f"{name}: {banned}"
    if "torch.load(" in text:
        assert text.count("torch.load(") == text.count("weights_only=True"), name


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 380
