"""The report's charts of saturation: how full each service was, one chart for each signal.

What every run shows comes first; an outbox and dead letters are shown where an objective is about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from cloudcart.report.frame import HALF, Drawn, bounds, peaks, signal_of
from cloudcart.report.series import Figures
from cloudcart.report.svg import Chart, Line, draw
from cloudcart.signals.golden import golden_signal

SERVICE_STYLES: Final = ("gateway", "users", "products", "orders", "chaos", "notifications")
"""Services with a colour of their own, which is the same on every chart; others share the last style."""


class Saturation(NamedTuple):
    """A signal's chart. ``asked`` lists the signals of which an objective makes it worth showing; empty: always."""

    signal: str
    title: str
    caption: str
    least_top: float
    bounds_of: tuple[str, ...]
    asked: tuple[str, ...] = ()


CHARTS: Final = (
    Saturation("cpu", "CPU", "CPU time of each service; 100 % is one core.", 0.2, ("cpu",)),
    Saturation("memory", "memory", "Resident memory of each service.", 1e6, ("memory",)),
    Saturation(
        "loop_lag", "event-loop lag", "How late each service's event loop runs a timer, p99.", 0.005, ("loop_lag",)
    ),
    Saturation("pool", "connection pool", "Share of each service's database connections in use.", 0.2, ("pool",)),
    Saturation("lag", "consumer lag", "Events published but not yet consumed, all topics.", 10, ("lag", "lag_end")),
    Saturation("outbox", "outbox", "Events committed but not yet published.", 10, ("outbox",), ("outbox",)),
    Saturation(
        "dead_letters",
        "dead letters",
        "Messages that could not be read and were set aside, added up.",
        5,
        ("dead_letters",),
        ("dead_letters",),
    ),
)
_COUNTED: Final = ("dead_letters",)
"""Signals that are counted from scrape to scrape and shown added up."""


def saturation_charts(run: Mapping[str, Any], figures: Figures, behind: Mapping[str, Any]) -> Iterator[Drawn]:
    """Yield a chart for each signal of saturation that was recorded.

    Args:
        run: what ``run.json`` says.
        figures: the run over time.
        behind: what stands behind the lines (``frame.scenery``).
    """
    objectives = [entry for entry in run.get("objectives") or () if not entry.get("route")]
    named = {signal_of(entry) for entry in objectives}
    for it in CHARTS:
        lines = service_lines(figures.saturation.get(it.signal, {}))
        if not lines or (it.asked and not named & set(it.asked)):
            continue
        if it.signal in _COUNTED:
            lines = [_added_up(line) for line in lines]
        unit = golden_signal(it.signal).unit
        chart = Chart(
            title=f"Saturation: {it.title}",
            description=f"{it.caption} {peaks(lines, unit)}.",
            unit=unit,
            lines=lines,
            bounds=bounds(run, figures, [entry for entry in objectives if signal_of(entry) in it.bounds_of]),
            least_top=it.least_top,
            **behind,
        )
        yield Drawn(chart.title, it.caption, draw(chart, it.signal.replace("_", "-"), *HALF))


def service_lines(points: Mapping[str, Sequence[tuple[float, float]]]) -> list[Line]:
    """Return a line for each service, in an order that is the same on every chart."""
    order = sorted(points, key=lambda service: (_rank(service), service))
    return [Line(service, points[service], service_style(service)) for service in order]


def service_style(service: str) -> str:
    """Return the class of a service's line."""
    return f"service-{SERVICE_STYLES[min(_rank(service), len(SERVICE_STYLES) - 1)]}"


def _rank(service: str) -> int:
    return SERVICE_STYLES.index(service) if service in SERVICE_STYLES else len(SERVICE_STYLES)


def _added_up(line: Line) -> Line:
    totals = accumulate(value or 0.0 for _, value in line.points)
    return Line(
        line.label, [(moment, total) for (moment, _), total in zip(line.points, totals, strict=True)], line.style
    )
