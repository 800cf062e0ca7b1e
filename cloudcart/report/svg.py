"""Draws a chart as inline SVG: lines, bands and bars over time, fault windows shaded, phases marked.

No script, no colours of its own: shapes have classes, the page's style sheet gives them colours for light, dark and
paper. Lines are labelled where they end, so that nobody must match a legend; pointing at a slice of time shows its
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final, NamedTuple

from cloudcart.report.scale import Scale, round_ticks
from cloudcart.signals.amounts import format_amount
from cloudcart.signals.reading import Unit

_LEFT: Final = 58
_RIGHT: Final = 96
_TOP: Final = 22
_BOTTOM: Final = 34
_LABEL_HEIGHT: Final = 15
_FAULT_HEIGHT: Final = 19
_LETTER: Final = 6.2  # width of a letter at 12 px, about
_NEAR: Final = 2.0  # a bound further above the data than this many times is left out, or nothing else could be seen

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; a point without a value is a gap. ``style`` is a class of the style sheet."""

    label: str
    points: Sequence[Point]
    style: str


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two lines."""

    lower: Line
    upper: Line
    style: str


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of time: a fault's window, or a phase."""

    start: float
    end: float
    label: str


class Bound(NamedTuple):
    """What an objective allows, drawn over the stretch of time that it is about."""

    value: float
    label: str
    start: float = 0.0
    end: float = math.inf


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows; times are seconds since the start of load, ``slices`` what pointing at it shows."""

    title: str
    description: str
    unit: Unit
    end: float
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    bars: Line | None = None
    bounds: Sequence[Bound] = ()
    least_top: float = 0.0
    faults: Sequence[Span] = ()
    phases: Sequence[Span] = ()
    slices: Sequence[Span] = ()


def draw(chart: Chart, name: str, width: int = 1000, height: int = 260) -> str:
    """Return the chart as an SVG element.

    Args:
        chart: what to show.
        name: unique on the page; ids begin with it.
        width: of the drawing, in units that are pixels at full size.
        height: likewise.
    """
    ticks = round_ticks(_top(chart), 4)
    x = Scale(0.0, max(chart.end, 1e-9), _LEFT, width - _RIGHT)
    y = Scale(0.0, ticks[-1], height - _BOTTOM, _TOP + _FAULT_HEIGHT * _rows(chart.faults, x))
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(chart.title)}</title><desc id="{name}-d">{escape(chart.description)}</desc>',
        *_fault_shades(chart.faults, x, height),
        *_y_axis(ticks, chart.unit, x, y),
        *_x_axis(chart, x, height),
        *_phase_marks(chart.phases, x, height),
        *(_band(band, x, y) for band in chart.bands),
        *_bars(chart, x, y),
        *(_line(line, x, y) for line in chart.lines),
        *_bounds(chart, x, y),
        *_end_labels(chart.lines, x, y),
        *_fault_labels(chart.faults, x),
        *_slices(chart.slices, x, y),
        "</svg>",
    ]
    return "".join(parts)


def _top(chart: Chart) -> float:
    """Return where the y axis must reach: over the data, and over a bound that is not far above it."""
    shown = [*chart.lines, *([chart.bars] if chart.bars else [])]
    highest = max((value for line in shown for _, value in line.points if value is not None), default=0.0)
    top = max(highest * 1.05, chart.least_top)
    near = [bound.value for bound in chart.bounds if bound.value <= _NEAR * top]
    return max([top, *(bound * 1.08 for bound in near)]) or 1.0


def _y_axis(ticks: Sequence[float], unit: Unit, x: Scale, y: Scale) -> Iterator[str]:
    for tick in ticks:
        place = y(tick)
        style = "axis" if tick == 0 else "grid"
        yield f'<line class="{style}" x1="{x.start}" x2="{x.end}" y1="{place:.1f}" y2="{place:.1f}"/>'
        yield _text("tick", x.start - 8, place + 4, "0" if tick == 0 else format_amount(tick, unit), "end")


def _x_axis(chart: Chart, x: Scale, height: int) -> Iterator[str]:
    for tick in round_ticks(max(chart.end, 1e-9), 10 if x.end > 600 else 5):
        if tick <= chart.end:
            yield _text("tick", x(tick), height - _BOTTOM + 16, f"{tick:g} s", "middle")


def _phase_marks(phases: Sequence[Span], x: Scale, height: int) -> Iterator[str]:
    for phase in phases:
        start, end = x(phase.start), x(phase.end)
        if phase.start > 0:
            yield f'<line class="edge" x1="{start:.1f}" x2="{start:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>'
        if end - start > _LETTER * len(phase.label):
            yield _text("phase", (start + end) / 2, height - 4, phase.label, "middle")


class _Placed(NamedTuple):
    """A fault and where its label stands."""

    fault: Span
    row: int
    place: float
    anchor: str


def _placed(faults: Sequence[Span], x: Scale) -> list[_Placed]:
    """Give each fault's label a row in which it does not run into another's; near the end it is written backwards."""
    ends: list[float] = []
    placed = []
    for fault in sorted(faults, key=lambda fault: fault.start):
        start, end, width = x(fault.start), x(fault.end), _LETTER * len(fault.label) + 12
        backwards = start + width > x.end + _RIGHT
        left, right = (min(start, end - width), end) if backwards else (start, max(end, start + width))
        row = next((i for i, taken in enumerate(ends) if taken < left), len(ends))
        ends[row : row + 1] = [right]
        placed.append(_Placed(fault, row, *((end - 6, "end") if backwards else (start + 6, "start"))))
    return placed


def _rows(faults: Sequence[Span], x: Scale) -> int:
    return max((placed.row + 1 for placed in _placed(faults, x)), default=0)


def _fault_shades(faults: Sequence[Span], x: Scale, height: int) -> Iterator[str]:
    for fault, row, *_ in _placed(faults, x):
        start, top = x(fault.start), _TOP - 8 + _FAULT_HEIGHT * row
        width = max(1.5, x(fault.end) - start)
        yield (
            f'<rect class="fault" x="{start:.1f}" y="{top}" width="{width:.1f}" height="{height - _BOTTOM - top}"/>'
            f'<rect class="fault-bar" x="{start:.1f}" y="{top}" width="{width:.1f}" height="2"/>'
        )


def _fault_labels(faults: Sequence[Span], x: Scale) -> Iterator[str]:
    for fault, row, place, anchor in _placed(faults, x):
        yield _text("fault-label", place, _TOP + 6 + _FAULT_HEIGHT * row, fault.label, anchor)


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _runs(points: Iterable[Point]) -> Iterator[list[tuple[float, float]]]:
    """Yield the stretches between gaps."""
    for known, run in groupby(points, key=lambda point: point[1] is not None):
        if known:
            yield [(moment, value) for moment, value in run if value is not None]


def _path(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    return "L".join(f"{x(moment):.1f} {y(value):.1f}" for moment, value in points)


def _line(line: Line, x: Scale, y: Scale) -> str:
    runs = list(_runs(line.points))
    path = "".join(f"M{_path(run, x, y)}" for run in runs if len(run) > 1)
    dots = "".join(
        f'<circle class="dot {line.style}" cx="{x(run[0][0]):.1f}" cy="{y(run[0][1]):.1f}" r="2"/>'
        for run in runs
        if len(run) == 1
    )
    return (f'<path class="line {line.style}" d="{path}"/>' if path else "") + dots


def _band(band: Band, x: Scale, y: Scale) -> str:
    both = [
        (moment, None if low is None or high is None else (low, high))
        for (moment, low), (_, high) in zip(band.lower.points, band.upper.points, strict=True)
    ]
    areas = []
    for known, run in groupby(both, key=lambda point: point[1] is not None):
        edges = [(moment, pair) for moment, pair in run if pair is not None]
        if known and len(edges) > 1:
            there = _path(((moment, high) for moment, (_, high) in edges), x, y)
            back = _path(((moment, low) for moment, (low, _) in reversed(edges)), x, y)
            areas.append(f"M{there}L{back}Z")
    return f'<path class="band {band.style}" d="{"".join(areas)}"/>' if areas else ""


def _bars(chart: Chart, x: Scale, y: Scale) -> Iterator[str]:
    if chart.bars is None or not chart.slices:
        return
    for (_, value), part in zip(chart.bars.points, chart.slices, strict=True):
        if value:
            left, top = x(part.start), y(value)
            yield (
                f'<rect class="bar {chart.bars.style}" x="{left + 0.5:.1f}" y="{top:.1f}" '
                f'width="{max(1.0, x(part.end) - left - 1):.1f}" height="{y(0) - top:.1f}"/>'
            )


def _bounds(chart: Chart, x: Scale, y: Scale) -> Iterator[str]:
    for bound in chart.bounds:
        if bound.value <= y.high:
            place, start, end = y(bound.value), x(bound.start), x(bound.end)
            yield f'<line class="bound" x1="{start:.1f}" x2="{end:.1f}" y1="{place:.1f}" y2="{place:.1f}"/>'
            yield _bound_label(bound.label, start, end, place, x)


def _bound_label(label: str, start: float, end: float, place: float, x: Scale) -> str:
    """Write a bound's label where no data is in its way: behind its line, before it, or above where it begins."""
    width = _LETTER * len(label) + 12
    if x.end - end >= width:
        return _text("bound-label", end + 6, place + 4, label)
    if start - x.start >= width:
        return _text("bound-label", start - 6, place + 4, label, "end")
    return _text("bound-label", start + 6, place - 5, label)


def _end_labels(lines: Sequence[Line], x: Scale, y: Scale) -> Iterator[str]:
    """Label each line at its last value, moved apart where labels would overlap."""
    ends = [
        (y(run[-1][1]), line) for line in lines if (run := [point for part in _runs(line.points) for point in part])
    ]
    ends.sort(key=lambda end: end[0])
    places = [place for place, _ in ends]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + _LABEL_HEIGHT)
    lowest = y.start + 4
    for i in reversed(range(len(places))):
        places[i] = min(places[i], lowest - _LABEL_HEIGHT * (len(places) - 1 - i))
    for place, (_, line) in zip(places, ends, strict=True):
        yield _text(f"end-label {line.style}", x.end + 8, place + 4, line.label)


def _slices(slices: Sequence[Span], x: Scale, y: Scale) -> Iterator[str]:
    for part in slices:
        left = x(part.start)
        yield (
            f'<rect class="slice" x="{left:.1f}" y="{y.end:.1f}" width="{max(0.5, x(part.end) - left):.1f}" '
            f'height="{y.start - y.end:.1f}"><title>{escape(part.label)}</title></rect>'
        )
