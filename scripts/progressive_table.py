"""The table of progressive growing: a row a data set and one of its real images, a column a resolution.

python scripts/progressive_table.py RUN ... [--out FILE]     RUN: a folder that experiment=progressive_... has trained
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gan_runner.folder import read_json
from gan_runner.pictures import growth, png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--out", type=Path, default=Path("progressive.png"), help="the picture (%(default)s)")
    args = parser.parse_args()
    rows = {}
    for run in args.runs:
        name = read_json(run / "manifest.json").get("data", {}).get("name", run.name)
        name = name if name not in rows else f"{name} ({run.name})"
        rows[name] = growth.kept(run)
        if real := growth.kept(run, "real"):
            rows[f"real {name}"] = real
    try:
        png.write(args.out, growth.table(rows))
    except ValueError as error:
        sys.exit(str(error))
    print(args.out)


if __name__ == "__main__":
    main()
