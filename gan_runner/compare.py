"""`python -m gan_runner.compare DIR... [--csv FILE]`: runs side by side.

The table has the settings in which they differ and their final metrics.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_runner.console import say
from gan_runner.errors import MissingInput

WIDEST = 14
"""Columns shown at most; the CSV has all."""


def main() -> None:
    from gan_runner.__main__ import run_safely

    parser = argparse.ArgumentParser(prog="python -m gan_runner.compare", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="run folders, or folders that hold some")
    parser.add_argument("--csv", type=Path, default=Path("compare.csv"), help="where the table goes (%(default)s)")
    args = parser.parse_args()
    sys.exit(run_safely(lambda: compare(args.folders, args.csv)))


def compare(folders: Sequence[Path], csv: Path) -> int:
    """Print the table and write it as CSV."""
    found = runs(folders)
    if not found:
        names = ", ".join(map(str, folders))
        raise MissingInput(f"no run folder in {names}", "name folders under outputs/")
    rows = table(found)
    shown = [c for c in rows if not str(c).endswith(("_target_", "_floor", "_digest"))]
    say(rows[shown[:WIDEST]].to_string(index=False, float_format="%.4g", na_rep="", max_colwidth=80))
    rows.to_csv(csv, index=False)
    say(f"\ntable:  {csv}, with all of its {len(rows.columns)} columns")
    return 0


def runs(folders: Sequence[Path]) -> list[Path]:
    """Run folders among `folders` and below them."""
    return sorted({p.parent for folder in folders for p in folder.rglob("status.json")})


def table(found: Sequence[Path]) -> Any:
    """One row a run: name, state, step, the settings in which runs differ, the final metrics."""
    import pandas as pd

    from gan_runner.config import flatten, read

    settings = pd.DataFrame([flatten(read(p)) for p in found])
    same = settings.columns[settings.astype(str).nunique(dropna=False) == 1]
    settings = settings.drop(
        columns=[*same, *[c for c in settings if c.startswith(("run.", "sweep", "resume"))]], errors="ignore"
    )
    status = pd.DataFrame([_read(p / "status.json") for p in found]).reindex(columns=["state", "step"])
    metrics = pd.DataFrame([_read(p / "result.json").get("metrics", {}) for p in found])
    tracked = pd.DataFrame([tracks(p) for p in found])
    return pd.concat([pd.DataFrame({"run": [str(p) for p in found]}), status, tracked, settings, metrics], axis=1)


def tracks(place: Path) -> dict[str, Any]:
    """The metric that decides which checkpoint of a run is best, and its last value."""
    result = _read(place / "result.json")
    return {"track": result.get("track"), "value": result.get("metrics", {}).get(result.get("track"))}


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


if __name__ == "__main__":
    main()
