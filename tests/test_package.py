"""What is shipped: the wheel holds the configuration and works from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("hatchling")


def test_the_wheel_works_anywhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    shipped = {p.relative_to(site / "gan_runner/configs") for p in (site / "gan_runner/configs").rglob("*.yaml")}
    assert shipped == {p.relative_to(ROOT / "configs") for p in (ROOT / "configs").rglob("*.yaml")}
    # -I keeps the checkout, also an editable one, out of sight; the wheel comes first
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import gan_runner.__main__ as m; print(m.__file__); m.main()"
    )
    for flags, word in ((["--cfg", "job", "dataset=huber"], "eps: 0.2"), (["--help"], "wgan_gp")):
        done = subprocess.run(
            [sys.executable, "-I", "-c", program, *flags], cwd=elsewhere, capture_output=True, text=True, env=os.environ
        )
        assert done.returncode == 0, done.stderr
        assert str(site) in done.stdout and word in done.stdout
    assert list(elsewhere.iterdir()) == []


def test_no_registry_is_named() -> None:
    """The repository names no package registry's host."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    hosts = ["py" + "pi.org", "python" + "hosted", "download.py" + "torch"]
    for name in listed:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".cfg", ""):
            text = path.read_text(errors="ignore")
            assert not [host for host in hosts if host in text], name
