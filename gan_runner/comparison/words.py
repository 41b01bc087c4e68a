"""Numbers of a comparison in words that claim no more than the seeds can carry."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_runner.comparison.columns import Column
from gan_runner.comparison.groups import Group
from gan_runner.comparison.statistics import Difference, Interval, Mean, least
from gan_runner.comparison.study import PAIRED, Study


def number(value: float | None) -> str:
    """Four digits; a true minus sign."""
    if value is None or not math.isfinite(value):
        return ""
    text = f"{value:.4g}" if abs(value) < 1e4 or abs(value) >= 1e7 else f"{value:,.0f}"
    return text.replace("-", "−")


def rounded(value: float, like: float) -> str:
    """A value with as many decimals as two digits of `like` have: no more than is known of it."""
    if not math.isfinite(value):
        return ""
    if not math.isfinite(like) or like <= 0:
        return number(value)
    decimals = max(1 - math.floor(math.log10(like)), 0)
    return f"{value:,.{min(decimals, 6)}f}".replace("-", "−")


def average(cell: Mean) -> str:
    """mean ± sd, the mean alone of one seed."""
    if cell.n < 2 or cell.sd == 0:
        return number(cell.mean)
    return f"{rounded(cell.mean, cell.sd)} ± {rounded(cell.sd, cell.sd)}"


def interval(low_high: Interval) -> str:
    low, high = low_high
    if not math.isfinite(low):
        return ""
    return f"{rounded(low, high - low)} to {rounded(high, high - low)}"


def seeds(n: int) -> str:
    return f"{n} seed" if n == 1 else f"{n} seeds"


def conclusions(study: Study, column: Column) -> list[str]:
    """A sentence for each pair of groups in a column, or one of the first of many if they have an order."""
    pairs, heading = study.pairs(column), study.headings[column]
    if len(study.groups) > PAIRED and pairs:
        return [leader(pairs, heading)] if study.direction(column) else []
    return [sentence(*pair, heading) for pair in pairs]


def sentence(a: Group, b: Group, found: Difference, heading: str) -> str:
    """What a difference says, and what it does not."""
    size, (low, high) = abs(found.mean), found.student
    way = "lower" if found.mean < 0 else "higher"
    if found.n < 2:
        return f"{heading}: {a.name} is {way} than {b.name} by {number(size)} on one seed, which shows nothing."
    if found.sd == 0:
        by = f"{a.name} is {way} than {b.name} by {number(size)}" if size else f"{a.name} and {b.name} are the same"
        return f"{heading}: {by} on each of {seeds(found.n)}; there is no spread, so there is no interval."
    if found.excludes_zero:
        near, far = sorted((abs(low), abs(high)))
        span = f"95 % interval {rounded(near, found.sd)} to {rounded(far, found.sd)}, {seeds(found.n)}"
        return f"{heading}: {a.name} is {way} than {b.name} by {rounded(size, found.sd)} ({span}; {chance(found)})."
    by, span = rounded(found.mean, found.sd), f"95 % interval {interval(found.student)}, {seeds(found.n)}"
    return f"{heading}: no difference is shown; {a.name} less {b.name} is {by} ({span}; {chance(found)})."


def leader(pairs: Sequence[tuple[Group, Group, Difference]], heading: str) -> str:
    """What sets the first of many groups apart from the others."""
    apart = sum(found.excludes_zero for _, _, found in pairs)
    few = min(found.n for _, _, found in pairs)
    return (
        f"{heading}: {pairs[0][0].name} is first. The 95 % interval of the paired difference excludes 0 from {apart} "
        f"of the {len(pairs)} others ({seeds(few)}, each interval for itself)."
    )


def chance(found: Difference) -> str:
    """The sign-flip p, and that it can be no smaller where it is as small as can be."""
    least_of_all = found.p <= least(found.n) * (1 + 1e-9)
    return f"p = {found.p:.2g}" + (f", the least that {seeds(found.n)} can give" if least_of_all else "")


def caution(study: Study) -> str:
    """What the number of seeds allows to say at all."""
    cells = [study.cell(group, column) for group in study.groups if group.runs for column in study.columns]
    few = min((cell.n for cell in cells if cell), default=0)
    if few < 2:
        return "Some settings have one seed or none: nothing can be said of what another seed would have given."
    told = f"With {seeds(few)} the sign-flip test can give no p below {least(few):.2g}"
    if least(few) > 0.05:
        told += ", so that nothing here is significant at the 5 % level by it; 6 seeds are the fewest that can be"
    return (
        f"{told}. Student's interval may exclude zero with fewer, on the strength of its assumption that differences "
        "between seeds are Gaussian, which so few cannot check."
    )


def fewer(group: Group, cell: Mean) -> str:
    """That some seeds of a group have no finite value, or no run that is complete."""
    return f"{cell.n} of {seeds(len(group.begun))}" if cell.n < len(group.begun) else ""


def listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def goal(study: Study, column: Column) -> str:
    return {"lower": "↓", "higher": "↑"}.get(study.direction(column), "")
