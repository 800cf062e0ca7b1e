"""The report's charts: which figures are drawn how.

One function per chart; each returns None when nothing was recorded for it. Drawing is ``svg``'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudcart.report.series import PHASE_NAMES, Figures, Slice
from cloudcart.report.svg import Band, Bound, Chart, Line, Span, draw
from cloudcart.signals.amounts import format_amount
from cloudcart.signals.golden import golden_signal

SERVICE_STYLES: Final = ("gateway", "users", "products", "orders", "chaos", "notifications")
"""Services with a colour of their own, which is the same on every chart; others share the last style."""

_WIDE: Final = (1000, 270)
_HALF: Final = (490, 190)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart on the page."""

    title: str
    caption: str
    svg: str
    wide: bool = False


def draw_all(run: Mapping[str, Any], figures: Figures) -> list[Drawn]:
    """Return the charts of a run, in the order of the page."""
    scenery = {"end": figures.end, "faults": _faults(run, figures.origin), "phases": _phases(run, figures.origin)}
    return [
        *_latency(run, figures, scenery),
        *_errors(run, figures, scenery),
        *_traffic(run, figures, scenery),
        *_cpu(figures, scenery),
        *_lag(run, figures, scenery),
    ]


def _latency(run: Mapping[str, Any], figures: Figures, scenery: Mapping[str, Any]) -> Iterator[Drawn]:
    slices = figures.slices
    if not any(part.requests for part in slices):
        return
    p50, p95, p99 = (
        Line(name, [(part.middle, getattr(part, name)) for part in slices], name) for name in ("p50", "p95", "p99")
    )
    caption = (
        f"Seen by clients, counted from when each request was due; one point for every {_length(slices)}. "
        "Half of the requests lie below the p50 line, 1 in 20 above p95, 1 in 100 above p99."
    )
    chart = Chart(
        title="Latency",
        description=f"{caption} The highest p99 is {_highest(p99, 's')}.",
        unit="s",
        lines=[p50, p95, p99],
        bands=[Band(p50, p95, "band-95"), Band(p95, p99, "band-99")],
        bounds=_bounds(run, figures, "latency", "p50", "p95", "p99"),
        slices=[Span(part.start, part.end, _told(part)) for part in slices],
        **scenery,
    )
    yield Drawn(chart.title, caption, draw(chart, "latency", *_WIDE), wide=True)


def _errors(run: Mapping[str, Any], figures: Figures, scenery: Mapping[str, Any]) -> Iterator[Drawn]:
    slices = figures.slices
    if not any(part.requests for part in slices):
        return
    bars = Line("errors", [(part.middle, part.errors) for part in slices], "errors")
    throttled = Line("429", [(part.middle, part.throttled) for part in slices], "throttled")
    caption = "Requests without an answer or answered with 500 or above."
    if not any(value for _, value in bars.points):
        caption += " There were none."
    if any(value for _, value in throttled.points):
        caption += " The line: refused with 429."
    chart = Chart(
        title="Errors",
        description=f"{caption} The highest share is {_highest(bars, 'ratio')}.",
        unit="ratio",
        lines=[throttled] if any(value for _, value in throttled.points) else [],
        bars=bars,
        bounds=_bounds(run, figures, "errors", "errors"),
        least_top=0.02,
        slices=[Span(part.start, part.end, _told(part)) for part in slices],
        **scenery,
    )
    yield Drawn(chart.title, caption, draw(chart, "errors", *_HALF))


def _traffic(run: Mapping[str, Any], figures: Figures, scenery: Mapping[str, Any]) -> Iterator[Drawn]:
    slices = figures.slices
    if not any(part.requests for part in slices):
        return
    line = Line("requests", [(part.middle, part.traffic) for part in slices], "traffic")
    caption = "Requests due a second, all routes."
    chart = Chart(
        title="Traffic",
        description=f"{caption} The highest is {_highest(line, '1/s')}.",
        unit="1/s",
        lines=[line],
        bounds=_bounds(run, figures, "traffic"),
        slices=[Span(part.start, part.end, _told(part)) for part in slices],
        **scenery,
    )
    yield Drawn(chart.title, caption, draw(chart, "traffic", *_HALF))


def _cpu(figures: Figures, scenery: Mapping[str, Any]) -> Iterator[Drawn]:
    lines = _service_lines(figures.saturation.get("cpu", {}))
    if not lines:
        return
    caption = "CPU time of each service; 100 % is one core."
    chart = Chart(
        title="Saturation: CPU",
        description=f"{caption} {_peaks(lines, 'ratio')}.",
        unit="ratio",
        lines=lines,
        least_top=0.2,
        **scenery,
    )
    yield Drawn(chart.title, caption, draw(chart, "cpu", *_HALF))


def _lag(run: Mapping[str, Any], figures: Figures, scenery: Mapping[str, Any]) -> Iterator[Drawn]:
    lines = _service_lines(figures.saturation.get("lag", {}))
    if not lines:
        return
    caption = "Events published but not yet consumed, all topics."
    chart = Chart(
        title="Saturation: consumer lag",
        description=f"{caption} {_peaks(lines, 'count')}.",
        unit="count",
        lines=lines,
        bounds=_bounds(run, figures, "saturation", "lag"),
        least_top=10,
        **scenery,
    )
    yield Drawn(chart.title, caption, draw(chart, "lag", *_HALF))


def _service_lines(points: Mapping[str, Sequence[tuple[float, float]]]) -> list[Line]:
    order = sorted(points, key=lambda service: (_rank(service), service))
    return [
        Line(service, points[service], f"service-{SERVICE_STYLES[min(_rank(service), len(SERVICE_STYLES) - 1)]}")
        for service in order
    ]


def _rank(service: str) -> int:
    return SERVICE_STYLES.index(service) if service in SERVICE_STYLES else len(SERVICE_STYLES)


def _bounds(run: Mapping[str, Any], figures: Figures, family: str, *signals: str) -> list[Bound]:
    """Return the bounds that belong on a chart of all requests: of a family, or just these signals; each bound once."""
    spans = {phase["name"]: (phase["start"], phase["end"]) for phase in run.get("phases") or ()}
    measured = [moment for name, span in spans.items() if name != "warmup" for moment in span]
    whole = (min(measured, default=figures.origin), max(measured, default=figures.origin + figures.end))
    found: dict[float, Bound] = {}
    for entry in run.get("objectives") or ():
        signal = golden_signal(entry["objective"].split()[0])
        drawn = signal.name in signals if signals else signal.family == family
        if drawn and entry.get("bound") and not entry.get("route") and entry.get("service") in (None, "gateway"):
            start, end = (moment - figures.origin for moment in spans.get(entry.get("phase"), whole))
            found.setdefault(entry["bound"], Bound(entry["bound"], entry["objective"], start, end))
    return sorted(found.values())


def _faults(run: Mapping[str, Any], origin: float) -> list[Span]:
    return [
        Span(fault["window"][0] - origin, fault["window"][1] - origin, fault["label"])
        for fault in run.get("faults") or ()
    ]


def _phases(run: Mapping[str, Any], origin: float) -> list[Span]:
    return [
        Span(phase["start"] - origin, phase["end"] - origin, PHASE_NAMES.get(phase["name"], phase["name"]))
        for phase in run.get("phases") or ()
    ]


def _told(part: Slice) -> str:
    head = f"{part.start:g} to {part.end:g} s: {part.requests:,} requests"
    if not part.requests:
        return head
    latencies = ", ".join(f"{name} {format_amount(getattr(part, name), 's')}" for name in ("p50", "p95", "p99"))
    return f"{head}\n{latencies}\nerrors {format_amount(part.errors, 'ratio')}"


def _highest(line: Line, unit: str) -> str:
    return format_amount(max((value for _, value in line.points if value is not None), default=None), unit)


def _peaks(lines: Iterable[Line], unit: str) -> str:
    return "; ".join(f"{line.label} up to {_highest(line, unit)}" for line in lines)


def _length(slices: Iterable[Slice]) -> str:
    first = next(iter(slices))
    length = first.end - first.start
    return "half second" if length == 0.5 else "second" if length == 1 else f"{length:g} s"
