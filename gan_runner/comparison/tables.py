"""A comparison as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re

from gan_runner.comparison.columns import Column
from gan_runner.comparison.groups import Group
from gan_runner.comparison.study import Study
from gan_runner.comparison.words import average, fewer, goal, number

FIELDS = (
    *("group", "metric", "protocol", "better", "seeds", "n", "mean", "sd", "low", "high"),
    *("bootstrap_low", "bootstrap_high", "real_rows", "best"),
)
"""Columns of the CSV: one line a group and column; low and high are Student's, seeds the list, n their number."""
SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "−": "$-$"},
    **{"↓": r"$\downarrow$", "↑": r"$\uparrow$"},
}


def as_csv(study: Study) -> str:
    """All means in full precision; `csv` and pandas read them back as they are."""
    file = io.StringIO()
    lines = csv.DictWriter(file, FIELDS, lineterminator="\n")
    lines.writeheader()
    for column in study.columns:
        best = study.best(column)
        for group in study.groups:
            if cell := study.cell(group, column):
                numbers = dict(zip(("low", "high"), cell.student, strict=True))
                numbers |= dict(zip(("bootstrap_low", "bootstrap_high"), cell.bootstrap, strict=True))
                numbers |= {"mean": cell.mean, "sd": cell.sd, "real_rows": study.floor(column)}
                said = {"group": group.name, "metric": column.metric, "protocol": column.says()}
                said |= {"better": study.direction(column), "best": int(group is best), "n": cell.n}
                said["seeds"] = " ".join(map(str, sorted(study.values(group, column))))
                lines.writerow(said | {k: "" if v is None or v != v else repr(v) for k, v in numbers.items()})
    return file.getvalue()


def grid(study: Study, mark: str = "{}") -> list[list[str]]:
    """Cells of the table, its heading first and what real rows score last; `mark` is put around the best."""
    best = {c: study.best(c) for c in study.columns}
    heads = [f"{study.headings[c]} {goal(study, c)}".strip() for c in study.columns]
    rows = [["", "seeds", *heads]]
    for g in study.groups:
        cells = [_cell(study, g, c, mark if best[c] is g else "{}") for c in study.columns]
        rows.append([g.name, str(len(g.seeds)), *cells])
    floors = [number(study.floor(c)) for c in study.columns]
    return [*rows, ["real rows", "", *floors]] if any(floors) else rows


def _cell(study: Study, group: Group, column: Column, mark: str) -> str:
    if not (cell := study.cell(group, column)):
        return ""
    few = fewer(group, cell)
    return mark.format(average(cell)) + (f" ({few})" if few else "")


def as_markdown(study: Study) -> str:
    """Mean ± standard deviation over seeds; bold where no other group's paired interval reaches it."""
    head, *rows = [[_plain(cell) for cell in row] for row in grid(study, "**{}**")]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _plain(text: str) -> str:
    """A cell of Markdown: no bars, line breaks or tags."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|").replace("<", "&lt;")


def as_latex(study: Study) -> str:
    """The same for `booktabs`."""
    head, *rows = grid(study, "\0{}\1")
    floors = rows.pop() if rows and rows[-1][0] == "real rows" and not rows[-1][1] else None
    lines = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule"]
    lines += [_line(head), r"\midrule", *map(_line, rows)]
    lines += [r"\midrule", _line(floors)] if floors else []
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _line(cells: list[str]) -> str:
    return " & ".join(map(_tex, cells)) + r" \\"


def _tex(text: str) -> str:
    text = "".join(SPECIAL.get(c, c) for c in re.sub(r"[^\S ]+", " ", text))
    return text.replace("\0", r"\textbf{").replace("\1", "}")
