"""Figures of a comparison, each a section of the page; the same numbers stand in its tables."""

from __future__ import annotations

from html import escape
from pathlib import Path

from gan_runner.comparison import curves, drawing, pictures
from gan_runner.comparison.study import Study
from gan_runner.comparison.words import number

MOST = 6
"""Metrics that have a panel."""
CURVES = 4
"""Metrics drawn over the images seen."""
GROUPS = 12
"""Groups whose losses and samples are shown."""
GRIDS = 3
"""Seeds whose samples are shown."""
SHADES = 5


def section(heading: str, *parts: str) -> str:
    return "\n".join([f"<h2>{escape(heading)}</h2>", *parts])


def panels(drawn: list[str]) -> str:
    return "<div class='panels'>" + "\n".join(drawn) + "</div>"


def note(words: str) -> str:
    return f"<p class='note'>{escape(words)}</p>"


def kinds(study: Study) -> dict[str, str]:
    """The colour of each group."""
    return {group.name: drawing.colour(i) for i, group in enumerate(study.groups)}


def figure(caption: str, drawn: str, quiet: str = "") -> str:
    return f"<figure><figcaption>{escape(caption)} <span>{escape(quiet)}</span></figcaption>{drawn}</figure>"


def spread(study: Study) -> str:
    """Every seed of every group in a few metrics."""
    kind, drawn = kinds(study), []
    for column in study.columns[:MOST]:
        strips = [
            drawing.Strip(g.short, kind[g.name], [*study.values(g, column).values()], cell.mean, cell.student)
            for g in study.groups
            if (cell := study.cell(g, column))
        ]
        if strips:
            told = "; ".join(f"{s.name} {', '.join(map(number, s.values))}" for s in strips)
            heading, better = study.headings[column], study.direction(column)
            below = f"{better} is better" if better else ""
            drawn.append(figure(heading, drawing.strips(strips, f"{heading}: {told}", below, study.floor(column))))
    how = "A ring is a seed, the bar their mean, the line its 95 % interval; dashed is what real rows score."
    return section("Seed by seed", panels(drawn), note(how)) if drawn else ""


def seen(study: Study) -> str:
    """What curves are drawn over."""
    kinds = {run.manifest.get("spec", {}).get("kind") for run in study.readings}
    return "images seen" if kinds == {"image"} else "rows seen"


def progress(study: Study) -> str:
    """Metrics over what of the data was seen."""
    kind, drawn, known = kinds(study), [], curves.names(study.groups, "eval/")
    floors = {column.metric: study.floor(column) for column in reversed(study.columns)}
    for metric in dict.fromkeys(column.metric for column in study.columns):
        found = [(g, curves.curve(g, f"eval/{metric}")) for g in study.groups if f"eval/{metric}" in known]
        lines = [drawing.Line(c, kind[g.name], g.name) for g, c in found if c]
        if lines and len(drawn) < CURVES:
            ends = "; ".join(f"{line.name} ends at {number(line.curve.middle[-1])}" for line in lines)
            told = f"Median {metric} over the {seen(study)}: {ends}"
            drawn.append(figure(metric, drawing.lines(lines, told, seen(study), floors[metric])))
    how = "Median of the seeds, and a band from the least to the largest; as far as all seeds of a line have come."
    return section(f"Over the {seen(study)}", drawing.legend(kind), panels(drawn), note(how)) if drawn else ""


def games(study: Study) -> str:
    """The losses of each group in a panel of its own: those of different methods have different units."""
    kind, drawn = kinds(study), []
    names = curves.names(study.groups, "game/", "_loss")[:2]
    styles = dict(zip(names, ("solid", "dashed"), strict=False))
    for group in study.groups[:GROUPS]:
        found = [(name, curves.curve(group, name)) for name in names]
        lines = [drawing.Line(c, f"{kind[group.name]} {styles[n]}", n[5:].replace("_", " ")) for n, c in found if c]
        if lines:
            told = ", ".join(f"{line.name} {line.kind.split()[-1]}" for line in lines)
            drawn.append(figure(group.name, drawing.lines(lines, f"{group.name}: {told}", seen(study)), told))
    how = "A panel each, since losses of different methods have different units: levels say nothing across panels."
    return section("Losses", panels(drawn), note(how)) if drawn else ""


def grids(study: Study) -> str:
    """Samples of each group's first seeds, and rows of the data."""
    rows = []
    for group in study.groups[:GROUPS]:
        found = [(run.seed, file) for run in group.runs if (file := pictures.samples(run.place))][:GRIDS]
        rows.append((group.name, [picture(file, f"samples of {group.name}", f"seed {seed}") for seed, file in found]))
    real = next((file for run in study.readings if (file := run.place / "pictures/real.png").exists()), None)
    rows += [("real rows", [picture(real, "rows of the data", "")])] if real else []
    shown = [f"<div><h3>{escape(name)}</h3>{''.join(cells)}</div>" for name, cells in rows if any(cells)]
    return section("Samples", "<div class='grids'>" + "\n".join(shown) + "</div>") if shown else ""


def picture(file: Path, alt: str, caption: str) -> str:
    """Nothing where the file cannot be read."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    alt = f"{alt}, {caption}" if caption else alt
    url = pictures.inline(file)
    return f"<figure><img src='{url}' alt='{escape(alt)}'>{words}</figure>" if url else ""


def sweep(study: Study) -> str:
    """Parallel coordinates, where two or more numbers were varied."""
    groups = study.ranked(study.columns[0]) if study.columns else []
    keys = groups[0].varied if groups else {}
    axes = [drawing.Axis(key, [numeric(group.varied[key]) for group in groups]) for key in keys]
    if sum(all(isinstance(v, float) for v in axis.values) for axis in axes) < 2:
        return ""
    means = [cell.mean for group in groups if (cell := study.cell(group, study.columns[0]))]
    names = [f"{group.name}: {number(value)}" for group, value in zip(groups, means, strict=True)]
    told = f"Parallel coordinates of {len(groups)} settings; the first is {names[0]}"
    whole = [*axes, drawing.Axis(study.headings[study.columns[0]], means)]
    drawn = drawing.parallel(whole, range(len(groups)), SHADES, told, names)
    how = "A line for each setting, by its mean over seeds: the more it stands out, the better; the first is thick."
    return section("The sweep", f"<div class='wide'>{drawn}</div>", note(how))


def numeric(words: str) -> float | str:
    try:
        return float(words)
    except ValueError:
        return words
