"""What every test shares: one thread, one cache folder, silence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(tmp_path: Path, cache: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a module of the package as a user would, in an empty folder; `outputs/` lands there."""

    def run(*args: str, module: str = "gan_runner", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "GAN_RUNNER_DATA": str(cache), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", module, *args]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=timeout)

    return run


def compose(*overrides: str) -> dict[str, Any]:
    """The plain configuration that the command line would compose."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    from gan_runner import config

    config.register()
    with initialize_config_dir(str(config.config_dir()), version_base="1.3"):
        cfg = hydra_compose("config", overrides=["run.name=test", "sweep=test", *overrides])
    config.check(cfg)
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def option_names(group: str) -> list[str]:
    return sorted(p.stem for p in (ROOT / "configs" / group).glob("*.yaml"))
