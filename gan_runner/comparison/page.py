"""A comparison as one HTML page that needs nothing else: no network, no scripts, its pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from gan_runner import __version__
from gan_runner.comparison.columns import Column
from gan_runner.comparison.groups import Group, commands
from gan_runner.comparison.papers import Papers
from gan_runner.comparison.plots import games, grids, note, progress, section, spread, sweep
from gan_runner.comparison.study import PAIRED, Study
from gan_runner.comparison.words import average, caution, conclusions, fewer, goal, interval, listed, number, seeds

MOST = 6
"""Columns of the first table; the others are behind a fold."""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

STAR = (
    " ★ is better than each other line by a paired interval that excludes 0, has no seed missing, and is no better than"
    " real rows."
)
NO_STAR = " No line is marked best: none is better than each other one by a paired interval that excludes 0."
HOW = """<details>
<summary>How to read the intervals</summary>
<dl>
<dt>± sd</dt><dd>The standard deviation over training seeds (n − 1 in the denominator): how far one run is from another,
not how well the mean is known.</dd>
<dt>95 % interval</dt><dd>Student's t interval of the mean, right where seeds scatter like a Gaussian.</dd>
<dt>bootstrap</dt><dd>The percentile interval of 10,000 resamples, fixed seed. It is too narrow for few seeds: of three
it is merely their range, and covers the median of what they come from 75 times in 100.</dd>
<dt>paired difference</dt><dd>Runs of the same seed are compared with each other; the interval is Student's of these
differences.</dd>
<dt>p</dt><dd>Of the exact sign-flip test: the share of all choices of signs of the differences whose mean is as far
from 0. It assumes only that either sign is as likely where nothing differs; k seeds can give no less than
2 / 2<sup>k</sup>.</dd>
<dt>★</dt><dd>Stands only where the paired interval from each other line excludes 0, and never for better than real
rows, which is a sign of collapse or copies. Each interval is for itself: of many true zeros, one in twenty is
excluded.</dd>
<dt>real rows</dt><dd>What rows of the data score in place of samples.</dd>
</dl>
</details>
"""


def page(study: Study, name: str = "", absent: Sequence[str] = ()) -> str:
    """The page.

    Args:
        name: its title; by default that of the groups.
        absent: jobs that never became runs.
    """
    groups = [group.name for group in study.groups]
    title = name or (listed(groups) if len(groups) <= 4 else f"{len(groups)} settings compared")
    parts = [
        f"<h1>{escape(title)}</h1>\n<p class='lead'>{escape(lead(study))}</p>",
        findings(study),
        table(study),
        sweep(study),
        spread(study),
        progress(study),
        games(study),
        grids(study),
        differences(study),
        unfinished(study, absent),
        provenance(study),
    ]
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return PAGE.format(title=escape(title), style=style, body="\n".join(part for part in parts if part))


# -- words and tables ------------------------------------------------------------------------------


def lead(study: Study) -> str:
    """What was compared."""
    varied = listed([*dict.fromkeys(k.lstrip("+") for group in study.groups for k in group.varied)])
    data = listed(sorted({str(run.manifest.get("data", {}).get("name", "")) for run in study.readings} - {""}))
    counts = sorted({len(group.seeds) for group in study.groups})
    many = seeds(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    apart = f"They differ in {varied}." if varied else ""
    return f"{len(study.groups)} settings, {many} each" + (f", on {data}. " if data else ". ") + apart


def findings(study: Study) -> str:
    """What differs in the tracked metric, and what so many seeds can show."""
    warned = f"<p class='caution'>{escape(caution(study))}</p>"
    if not study.columns or len(study.groups) < 2:
        return warned
    items = "".join(f"<li>{escape(words)}</li>\n" for words in conclusions(study, study.columns[0]))
    return section("What it shows", f"<ul class='findings'>\n{items}</ul>", warned)


def table(study: Study) -> str:
    """Means over seeds; the columns that do not fit below a fold."""
    if not study.columns:
        return "<p>No run has metrics to compare.</p>"
    first, more = study.columns[:MOST], study.columns[MOST:]
    fold = f"<details><summary>{len(more)} further metrics</summary>{means(study, more)}</details>" if more else ""
    told = "Mean ± standard deviation over seeds, below it the 95 % interval of the mean; ↓ lower, ↑ higher is better."
    stars = any(study.best(c) for c in study.columns)
    told += STAR if stars else NO_STAR
    return section("Scores", means(study, first), note(told), fold, HOW)


def means(study: Study, columns: Sequence[Column]) -> str:
    heads = ["settings", "seeds", *(f"{study.headings[c]} {goal(study, c)}".strip() for c in columns), "minutes"]
    best = {c: study.best(c) for c in columns}
    rows = []
    for group in study.groups:
        cells = "".join(mean_cell(study, group, c, best[c] is group) for c in columns)
        rows.append(f"{th(group.name, 'row')}<td>{len(group.seeds)}</td>{cells}<td>{minutes(group)}</td>")
    if any(floors := [number(study.floor(c)) for c in columns]):
        cells = "".join(f"<td>{floor}</td>" for floor in floors)
        rows.append(f"{th('real rows', 'row')}<td></td>{cells}<td></td>")
    return wide("".join(th(head, "col") for head in heads), rows, floors=any(floors))


def mean_cell(study: Study, group: Group, column: Column, best: bool) -> str:
    if not (cell := study.cell(group, column)):
        return "<td>not measured</td>" if group.runs else "<td></td>"
    said = (interval(cell.student) if cell.sd else "", fewer(group, cell))
    below = "".join(f"<small>{escape(words)}</small>" for words in said if words)
    return f"<td class='best'><b>{average(cell)}</b>{below}</td>" if best else f"<td>{average(cell)}{below}</td>"


def minutes(group: Group) -> str:
    """Of training itself, on average."""
    took = [run.result["training_seconds"] for run in group.runs if run.result.get("training_seconds") is not None]
    return f"{sum(took) / len(took) / 60:.1f}" if took else ""


def differences(study: Study) -> str:
    """All pairs in all columns, behind a fold."""
    rows = [
        th(study.headings[column], "row")
        + f"<td class='left'>{escape(a.name)} − {escape(b.name)}</td>"
        + "".join(
            f"<td>{cell}</td>"
            for cell in (number(d.mean), interval(d.student), interval(d.bootstrap), f"{d.p:.2g}", d.n)
        )
        for column in study.columns
        for a, b, d in study.pairs(column)
    ]
    if not rows:
        return ""
    heads = ("metric", "difference", "mean", "95 % interval", "bootstrap", "p", "seeds")
    whole = wide("".join(th(head, "col") for head in heads), rows)
    few = note("Of so many settings, those from the first in each metric alone.") if len(study.groups) > PAIRED else ""
    fold = f"<details><summary>{len(rows)} differences</summary>{whole}{few}</details>"
    return section("Paired differences", fold)


def th(words: str, scope: str) -> str:
    return f"<th scope='{scope}'>{escape(words)}</th>"


def wide(head: str, rows: Sequence[str], floors: bool = False) -> str:
    """A table that scrolls by itself where the page is narrow."""
    body = [f"<tr>{row}</tr>" for row in rows]
    body[-1:] = [body[-1].replace("<tr>", "<tr class='floor'>", 1)] if floors else body[-1:]
    lines = "\n".join(body)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"


# -- where it is from ------------------------------------------------------------------------------


def unfinished(study: Study, absent: Sequence[str]) -> str:
    """Runs that count for nothing, and jobs that never became runs."""
    runs = [(f"{g.name}, seed {run.seed}: {run.state}", run.place) for g in study.groups for run in g.unfinished]
    items = [f"<li>{escape(words)} <small>({escape(str(place))})</small></li>" for words, place in runs]
    items += [f"<li>{escape(name)}: never began</li>" for name in absent]
    said = "These runs are not complete: no number on this page is of them."
    return section("Not averaged", f"<p>{said}</p><ul>{''.join(items)}</ul>") if items else ""


def provenance(study: Study) -> str:
    """What the numbers depend on, and how to make them again."""
    runs = [run for group in study.groups for run in group.runs]
    facts = {
        "numbers": [study.source],
        "seeds": sorted({", ".join(map(str, group.seeds)) or "none" for group in study.groups}),
        "data": datasets(runs),
        "versions": sorted({f"{k} {v}" for run in runs for k, v in run.manifest.get("versions", {}).items()}),
        "devices": sorted({f"{m['device']}, threads {m['threads']}" for r in runs if "threads" in (m := r.manifest)}),
        "page": [f"gan_runner {__version__}"],
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape('; '.join(said))}</dd>" for name, said in facts.items() if said)
    protocols = dict.fromkeys(column.protocol for column in study.columns)
    told = "".join(f"<li>{escape(protocol_words(study, p))}</li>" for p in protocols)
    again = "\n".join(commands([run for g in study.groups for run in (*g.runs, *g.unfinished)]))
    fold = f"<details><summary>Protocols</summary><ul class='note'>{told}</ul></details>" if told else ""
    return section("Where it is from", f"<dl>{items}</dl>", fold, f"<p>Again:</p><pre>{escape(again)}</pre>")


def datasets(runs: Sequence[Papers]) -> list[str]:
    """Names, sizes and digests of the runs' data."""
    told = [run.manifest["data"] for run in runs if "data" in run.manifest]
    found = {f"{d.get('name')}, {d.get('rows'):,} rows, digest {str(d.get('digest'))[:12]}" for d in told}
    return sorted(found) if len(found) <= 4 else [f"{len(found)} digests"]


def protocol_words(study: Study, protocol: tuple[tuple[str, str], ...]) -> str:
    of = [c for c in study.columns if c.protocol == protocol]
    return f"{', '.join(c.metric for c in of)}: {of[0].says()}"
