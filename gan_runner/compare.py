"""`python -m gan_runner.compare DIR... [--html FILE] [--csv FILE] [--figure FILE]`: runs side by side.

The table has what runs cost, their final metrics, and the settings in which they differ; the figure their samples and
metrics. Runs that differ in their seed alone are a group: the other files have means over seeds, and how sure they are.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_runner import config
from gan_runner.comparison import pictures, tables, words
from gan_runner.comparison.columns import side_by_side
from gan_runner.comparison.page import page
from gan_runner.comparison.papers import Papers
from gan_runner.comparison.study import Study, study
from gan_runner.console import say
from gan_runner.errors import MissingInput
from gan_runner.folder import read_json, write_text

WIDEST = 14
"""Columns shown at most; the CSV has all."""
MOST = 4
"""Metrics in the figure, and of groups on the terminal."""
FILES = {
    "html": "where a page of groups goes: means over seeds, intervals, curves, samples",
    "summary": "where a CSV of groups goes: means, standard deviations, intervals",
    "markdown": "the same as a Markdown table",
    "latex": "the same as a LaTeX table, of booktabs",
}
WRITERS = {"summary": tables.as_csv, "markdown": tables.as_markdown, "latex": tables.as_latex}


def main() -> None:
    from gan_runner.__main__ import run_safely

    parser = argparse.ArgumentParser(prog="python -m gan_runner.compare", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="run folders, or folders that hold some")
    parser.add_argument("--csv", type=Path, default=Path("compare.csv"), help="where the table goes (%(default)s)")
    parser.add_argument("--figure", type=Path, help="where the figure goes, a PNG; none by default")
    for name, what in FILES.items():
        parser.add_argument(f"--{name}", type=Path, help=what)
    parser.add_argument("--title", default="", help="of the HTML page; by default the names of the groups")
    parser.add_argument("--scores", action="store_true", help="of groups what evaluate recorded, not the last looks")
    args = parser.parse_args()
    files = {name: getattr(args, name) for name in FILES if getattr(args, name)}
    sys.exit(run_safely(lambda: compare(args.folders, args.csv, args.figure, files, args.title, scores=args.scores)))


def compare(
    folders: Sequence[Path],
    csv: Path,
    figure: Path | None = None,
    files: Mapping[str, Path] | None = None,
    title: str = "",
    *,
    scores: bool = False,
) -> int:
    """Print the table and write it as CSV; draw the figure and write files of groups if asked to.

    Args:
        files: of groups, by their names in `FILES`.
        title: of the HTML page.
        scores: of groups what `gan_runner.evaluate` recorded in place of the last looks in training.
    """
    found = runs(folders)
    if not found:
        names = ", ".join(map(str, folders))
        raise MissingInput(f"no run folder in {names}", "name folders under outputs/")
    rows = table(found)
    shown = [c for c in rows if not str(c).endswith(("_target_", "_floor", "_digest"))]
    say(rows[shown[:WIDEST]].to_string(index=False, float_format="%.4g", na_rep="", max_colwidth=80))
    groups = study([Papers(place) for place in found], scores)
    if scores and not groups.columns:
        what = "no complete run has a record of its last step"
        raise MissingInput(what, "evaluate runs first: python -m gan_runner.evaluate run=DIR", id="F04")
    if said := summary(groups):
        say(said)
    rows.to_csv(csv, index=False)
    say(f"\n{'table:':<10}{csv}, with all of its {len(rows.columns)} columns")
    if figure:
        draw(found, figure)
        say(f"{'figure:':<10}{figure}")
    for name, file in (files or {}).items():
        write_text(file, page(groups, title, never(folders)) if name == "html" else WRITERS[name](groups))
        say(f"{name + ':':<10}{file}")
    return 0


def runs(folders: Sequence[Path]) -> list[Path]:
    """Run folders among `folders` and below them."""
    return sorted({p.parent for folder in folders for p in folder.rglob("status.json")})


def never(folders: Sequence[Path]) -> list[str]:
    """Jobs of sweeps that ended before they were runs."""
    jobs = {p.parent for folder in folders for p in folder.rglob("exit.json")}
    return sorted(job.name for job in jobs - {*runs(folders)})


def summary(groups: Study) -> str:
    """Groups of several seeds in lines: means of the first metrics, and what differs in the first of them."""
    if all(len(group.seeds) < 2 for group in groups.groups) or not groups.columns:
        return ""
    lines = [line[: 2 + MOST] for line in tables.grid(groups, "{} *")]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    said = ["  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    said += ["", *words.conclusions(groups, groups.columns[0])]
    waiting = sum(len(group.unfinished) for group in groups.groups)
    said += [f"not averaged: {waiting} unfinished"] if waiting else []
    return "\n".join(["", *said, words.caution(groups)])


# -- the table -------------------------------------------------------------------------------------


def table(found: Sequence[Path]) -> Any:
    """One row a run: what was asked for that others were not, how far it came, its cost, its metrics, its settings."""
    import pandas as pd

    settings = pd.DataFrame([config.flatten(config.read(p)) for p in found])
    same = settings.columns[settings.astype(str).nunique(dropna=False) == 1]
    settings = settings.drop(
        columns=[*same, *[c for c in settings if c.startswith(("run.", "sweep", "resume"))]], errors="ignore"
    )
    status = pd.DataFrame([read_json(p / "status.json") for p in found]).reindex(columns=["state", "step"])
    results = [read_json(p / "result.json") for p in found]
    metrics = pd.DataFrame(side_by_side([Papers(p) for p in found]))
    parts = [
        pd.DataFrame({"run": [str(p) for p in found]}),
        pd.DataFrame(asked(found)),
        status,
        pd.DataFrame([cost(r) for r in results]),
        pd.DataFrame([tracks(r) for r in results]),
        metrics,
        settings,
    ]
    whole = pd.concat(parts, axis=1)
    return whole.loc[:, ~whole.columns.duplicated()]


def asked(found: Sequence[Path]) -> list[dict[str, str]]:
    """The words of each run's command line that not all runs share, as {key: value}."""
    said = [Papers(p).asked for p in found]
    keys = dict.fromkeys(k for words in said for k in words if not k.startswith(("run.", "sweep", "resume", "hydra")))
    differing = [k for k in keys if len({words.get(k) for words in said}) > 1]
    return [{k: words.get(k, "") for k in differing} for words in said]


def cost(result: dict[str, Any]) -> dict[str, float | None]:
    """Minutes of training itself, and milliseconds for each sample that a metric asked for."""
    training, sample = result.get("training_seconds"), result.get("seconds_per_sample")
    return {
        "minutes": None if training is None else training / 60,
        "ms_per_sample": None if sample is None else 1000 * sample,
    }


def tracks(result: dict[str, Any]) -> dict[str, Any]:
    """The metric that decides which checkpoint of a run is best, and its last value."""
    return {"track": result.get("track"), "value": result.get("metrics", {}).get(result.get("track"))}


# -- the figure ------------------------------------------------------------------------------------


def draw(found: Sequence[Path], out: Path) -> None:
    """Samples of each complete run below its name, and a panel for each of a few metrics and for what a sample costs.

    Metrics are those that all of them have, with a floor if any has one, the tracked one before all.
    """
    from gan_runner.pictures import comparison, png

    found = [p for p in found if read_json(p / "result.json")]
    if not found:
        raise MissingInput("no run is complete, so there is nothing to draw", "leave --figure out", id="F50")
    results = [read_json(p / "result.json") for p in found]
    names = [" ".join(words.values()) or p.name for words, p in zip(asked(found), found, strict=True)]
    metrics = side_by_side([Papers(p) for p in found])
    shared = [m for m in metrics[0] if all(math.isfinite(mine.get(m, math.nan)) for mine in metrics)]
    chosen = [m for m in shared if f"{m}_floor" in shared] or [m for m in shared if not m.endswith("_digest")]
    chosen.sort(key=lambda m: m != results[0].get("track"))
    bars = {m: [mine[m] for mine in metrics] for m in chosen[:MOST]}
    floors = {m: metrics[0].get(f"{m}_floor") for m in bars}
    costs = [cost(r)["ms_per_sample"] for r in results]
    if all(costs):
        bars["milliseconds a sample"] = [float(c or 0) for c in costs]
    grids = [_picture(p) for p in found]
    png.write(out, comparison.comparison(names, grids, bars, floors, logarithmic=("milliseconds a sample",)))


def _picture(place: Path) -> Any:
    from gan_runner.pictures import png

    file = pictures.samples(place)
    return png.read(file) if file else None


if __name__ == "__main__":
    main()
