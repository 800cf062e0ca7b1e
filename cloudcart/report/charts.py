"""The report's charts: those of all requests, and the order of all charts on the page.

One function per chart; each yields nothing when nothing was recorded for it. Drawing is ``svg``'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudcart.report.frame import HALF, WIDE, Drawn, bounds, highest, scenery, signal_of
from cloudcart.report.saturation import saturation_charts
from cloudcart.report.scoped_charts import scoped_charts
from cloudcart.report.series import Figures, Slice
from cloudcart.report.svg import Band, Bound, Chart, Line, Span, draw
from cloudcart.signals.amounts import format_amount


def draw_all(run: Mapping[str, Any], figures: Figures) -> list[Drawn]:
    """Return the charts of a run, in the order of the page."""
    behind = scenery(run, figures)
    return [
        *_latency(run, figures, behind),
        *_errors(run, figures, behind),
        *_traffic(run, figures, behind),
        *scoped_charts(run, figures, behind),
        *saturation_charts(run, figures, behind),
    ]


def _latency(run: Mapping[str, Any], figures: Figures, behind: Mapping[str, Any]) -> Iterator[Drawn]:
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
        description=f"{caption} The highest p99 is {highest(p99, 's')}.",
        unit="s",
        lines=[p50, p95, p99],
        bands=[Band(p50, p95, "band-95"), Band(p95, p99, "band-99")],
        bounds=_bounds(run, figures, "p50", "p95", "p99"),
        slices=[Span(part.start, part.end, _told(part)) for part in slices],
        **behind,
    )
    yield Drawn(chart.title, caption, draw(chart, "latency", *WIDE), wide=True)


def _errors(run: Mapping[str, Any], figures: Figures, behind: Mapping[str, Any]) -> Iterator[Drawn]:
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
        description=f"{caption} The highest share is {highest(bars, 'ratio')}.",
        unit="ratio",
        lines=[throttled] if any(value for _, value in throttled.points) else [],
        bars=bars,
        bounds=_bounds(run, figures, "errors"),
        least_top=0.02,
        slices=[Span(part.start, part.end, _told(part)) for part in slices],
        **behind,
    )
    yield Drawn(chart.title, caption, draw(chart, "errors", *HALF))


def _traffic(run: Mapping[str, Any], figures: Figures, behind: Mapping[str, Any]) -> Iterator[Drawn]:
    slices = figures.slices
    if not any(part.requests for part in slices):
        return
    line = Line("requests", [(part.middle, part.traffic) for part in slices], "traffic")
    caption = "Requests due a second, all routes."
    chart = Chart(
        title="Traffic",
        description=f"{caption} The highest is {highest(line, '1/s')}.",
        unit="1/s",
        lines=[line],
        bounds=_bounds(run, figures, "traffic"),
        slices=[Span(part.start, part.end, _told(part)) for part in slices],
        **behind,
    )
    yield Drawn(chart.title, caption, draw(chart, "traffic", *HALF))


def _bounds(run: Mapping[str, Any], figures: Figures, *signals: str) -> list[Bound]:
    """Return the bounds of objectives on all requests, on these signals."""
    return bounds(
        run,
        figures,
        [
            entry
            for entry in run.get("objectives") or ()
            if signal_of(entry) in signals and not entry.get("route") and entry.get("service") in (None, "gateway")
        ],
    )


def _told(part: Slice) -> str:
    head = f"{part.start:g} to {part.end:g} s: {part.requests:,} requests"
    if not part.requests:
        return head
    latencies = ", ".join(f"{name} {format_amount(getattr(part, name), 's')}" for name in ("p50", "p95", "p99"))
    return f"{head}\n{latencies}\nerrors {format_amount(part.errors, 'ratio')}"


def _length(slices: Iterable[Slice]) -> str:
    first = next(iter(slices))
    length = first.end - first.start
    return "half second" if length == 0.5 else "second" if length == 1 else f"{length:g} s"
