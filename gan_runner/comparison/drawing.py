"""Drawings as SVG for pages: sharp at any size, their colours those of the page, their words read aloud.

Colours are classes, c0 to c7, that the page's style sheet gives a value in light, in dark and in print.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from gan_runner.comparison.curves import Curve
from gan_runner.comparison.words import number

COLOURS = 8
WIDTH, HEIGHT = 420, 250
NAMES = 24
"""Letters of a name beside a drawing at most."""
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 38
DECADES = 20
"""Ratio of the largest value to the smallest from which an axis is logarithmic, but for shares."""


def colour(i: int) -> str:
    """Class of the i-th group: a colour, and from the ninth on a dash pattern with it."""
    return f"c{i % COLOURS}" + (f" d{i // COLOURS % 3}" if i >= COLOURS else "")


# -- axes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values on the axis."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(decades) <= 3 else (1,)
            return [s * 10.0**d for d in decades for s in steps if self.low <= s * 10.0**d <= self.high]
        rough = (self.high - self.low) / most or 1.0
        unit = 10 ** math.floor(math.log10(rough))
        step = next(s * unit for s in (1, 2, 5, 10) if s * unit >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def scale(values: Sequence[float], start: float, end: float, log: bool | None = None) -> Scale:
    """An axis that has room for all values; logarithmic where they span much, unless told."""
    low, high = min(values), max(values)
    log = low > 0 and (high > max(DECADES * low, 1.5) if log is None else log)
    if log:
        return Scale(low / 1.1, high * 1.1, start, end, True)
    margin = 0.04 * (high - low) or abs(high) * 0.05 or 1.0
    return Scale(low if low == 0 else low - margin, high + margin, start, end)


def svg(inside: Sequence[str], title: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """A drawing, and its title for those who do not see it."""
    name = escape(title)
    head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{name}">'
    return "\n".join([head, f"<title>{name}</title>", *inside, "</svg>"])


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" class="{kind}"/>'


def path(points: Sequence[tuple[float, float]], kind: str, closed: bool = False) -> str:
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{steps}{"Z" if closed else ""}" class="{kind}"/>'


def axes(x: Scale, y: Scale, below: str) -> list[str]:
    """A frame with numbers at both sides and words below."""
    drawn = []
    for value in y.ticks():
        drawn += [
            line(x.start, y(value), x.end, y(value), "rule"),
            text(x.start - 6, y(value) + 4, short(value), "end"),
        ]
    for value in x.ticks(4):
        drawn += [
            line(x(value), y.start, x(value), y.start + 4, "axis"),
            text(x(value), y.start + 16, short(value), "middle"),
        ]
    drawn += [line(x.start, y.start, x.end, y.start, "axis"), text(x.end, y.start + 32, below, "end", "quiet")]
    return drawn


def short(value: float) -> str:
    """A number of an axis: 20k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}".replace("-", "−")
    return f"{value:.6g}".replace("-", "−")


# -- curves ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A curve to draw: its classes, and the words for whoever points at it."""

    curve: Curve
    kind: str
    name: str


def lines(found: Sequence[Line], title: str, below: str, floor: float | None = None) -> str:
    """Medians, and bands from the least to the largest."""
    known = [v for each in found for v in (*each.curve.low, *each.curve.high)]
    known += [floor] if floor is not None and math.isfinite(floor) else []
    x = scale([0.0, *(each.curve.x[-1] for each in found)], LEFT, WIDTH - RIGHT, log=False)
    x = Scale(0.0, x.high, x.start, x.end)
    y = scale(known, HEIGHT - BOTTOM, TOP)
    drawn = axes(x, y, below)
    for each in found:
        c, across = each.curve, [x(v) for v in each.curve.x]
        upper, lower = [*zip(across, map(y, c.high), strict=True)], [*zip(across, map(y, c.low), strict=True)]
        drawn.append(path([*upper, *reversed(lower)], f"band {each.kind}", closed=True))
    if floor is not None and math.isfinite(floor):
        drawn += [
            line(x.start, y(floor), x.end, y(floor), "floor"),
            text(x.end, y(floor) - 4, "real rows", "end", "quiet"),
        ]
    for each in found:
        points = [*zip((x(v) for v in each.curve.x), map(y, each.curve.middle), strict=True)]
        name = escape(each.name)
        drawn.append(f"<g><title>{name}</title>{path(points, f'line {each.kind}')}")
        drawn.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3" class="dot {each.kind}"/></g>')
    return svg(drawn, title)


# -- seeds and intervals ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """A line of `strips`: values of seeds, their mean, its interval."""

    name: str
    kind: str
    values: Sequence[float]
    mean: float
    interval: tuple[float, float]


def strips(found: Sequence[Strip], title: str, below: str, floor: float | None) -> str:
    """Each seed a ring, the mean a bar across its interval."""
    side, step = 34 + 6.6 * min(max(len(strip.name) for strip in found), NAMES), 26
    height = TOP + step * len(found) + BOTTOM
    known = [v for s in found for v in (*s.values, *s.interval) if math.isfinite(v)]
    known += [floor] if floor is not None and math.isfinite(floor) else []
    x = scale(known, side, WIDTH - RIGHT)
    bottom = TOP + step * len(found)
    drawn = []
    for value in x.ticks(4):
        drawn += [line(x(value), TOP, x(value), bottom, "rule"), text(x(value), bottom + 15, short(value), "middle")]
    drawn.append(text(WIDTH - RIGHT, bottom + 31, below, "end", "quiet"))
    if floor is not None and math.isfinite(floor):
        drawn.append(line(x(floor), TOP, x(floor), bottom, "floor"))
    for i, strip in enumerate(found):
        y = TOP + step * (i + 0.5)
        told = f"{strip.name}: {', '.join(map(number, strip.values))}; mean {number(strip.mean)}"
        drawn += [
            f"<g><title>{escape(told)}</title>",
            text(side - 10, y + 4, clipped(strip.name, NAMES), "end", "name"),
        ]
        if math.isfinite(strip.interval[0]):
            low, high = map(x, strip.interval)
            drawn.append(line(low, y, high, y, f"whisker {strip.kind}"))
        drawn.append(line(x(strip.mean), y - 8, x(strip.mean), y + 8, f"mean {strip.kind}"))
        drawn += [f'<circle cx="{x(v):.1f}" cy="{y:.1f}" r="4" class="ring {strip.kind}"/>' for v in strip.values]
        drawn.append("</g>")
    return svg(drawn, title, height=height)


def clipped(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


# -- parallel coordinates --------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """An axis of `parallel`: its name, a value for each line; numbers, or words in the order of their appearance."""

    name: str
    values: Sequence[float | str]


def parallel(found: Sequence[Axis], best_first: Sequence[int], shades: int, title: str, names: Sequence[str]) -> str:
    """A line for each group of runs across all axes, the last that of the metric (Inselberg 1985).

    Args:
        best_first: indices of lines; the better, the darker of so many `shades`.
    """
    width, top, bottom = max(180 * len(found), 720), 34, 284
    at = np.linspace(60, width - 60, len(found))
    drawn, across = [], []
    for x, axis in zip(at, found, strict=True):
        places, ticks = _placed(axis, bottom, top)
        across.append(places)
        drawn += [line(x, top, x, bottom, "axis"), text(x, top - 16, clipped(axis.name, 22), "middle", "name")]
        drawn += [text(x + 6, y + 4, words, "start", "quiet") for y, words in ticks]
    behind = []
    for rank, i in reversed([*enumerate(best_first)]):
        shade = f"s{rank * shades // max(len(best_first), 1)}" + (" leads" if rank == 0 else "")
        points = [(x, places[i]) for x, places in zip(at, across, strict=True)]
        behind.append(f"<g><title>{escape(names[i])}</title>{path(points, f'line {shade}')}</g>")
    return svg([*behind, *drawn], title, width, bottom + 14)


def _placed(axis: Axis, start: float, end: float) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights of an axis's values, and what stands beside it at which."""
    numbers = [v for v in axis.values if isinstance(v, float | int)]
    if len(numbers) == len(axis.values):
        s = scale(numbers, start, end, log=min(numbers) > 0 and max(numbers) >= 8 * min(numbers))
        shown = sorted(set(numbers)) if len(set(numbers)) <= 6 else s.ticks()
        return [s(v) for v in numbers], [(s(v), short(v)) for v in shown]
    words = [*dict.fromkeys(map(str, axis.values))]
    s = Scale(-0.5, len(words) - 0.5, start, end)
    return [s(words.index(str(v))) for v in axis.values], [(s(i), clipped(w, 16)) for i, w in enumerate(words)]


def legend(names: Mapping[str, str]) -> str:
    """Names beside their colours, as HTML.

    Args:
        names: to classes.
    """
    swatch = '<svg viewBox="0 0 26 10" aria-hidden="true"><path d="M1 5L25 5" class="line {}"/></svg>'
    items = "".join(f"<li>{swatch.format(kind)}{escape(name)}</li>" for name, kind in names.items())
    return f'<ul class="legend">{items}</ul>'
