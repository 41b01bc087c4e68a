"""The worked examples of CONTRIBUTING.md, executed exactly as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_examples(cli, tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = re.findall(r"^`([\w/]+\.(?:py|yaml))`\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(files) == 6
    for name, content in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    mine = ["--config-dir", "my_configs", "trust=[my_gans,my_data,my_nets]"]
    done = cli(*mine, "loss=sigmoid", "dataset=moons", "model=affine", "train.steps=3", "run.dir=mine")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine/result.json").is_file()
    refused = cli("--config-dir", "my_configs", "loss=sigmoid", "train.steps=3")
    assert refused.returncode == 77
    assert "trust=[my_gans]" in refused.stderr and "Traceback" not in refused.stderr


def test_own_options_are_listed(cli, tmp_path: Path) -> None:
    (tmp_path / "my_configs/loss").mkdir(parents=True)
    (tmp_path / "my_configs/loss/sigmoid.yaml").write_text("# Total variation on probabilities\n")
    assert "Total variation on probabilities" in cli("--config-dir", "my_configs", "--help").stdout
