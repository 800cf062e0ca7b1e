"""Charts of finished runs for notebooks: golden signals over time with shaded faults, percentile curves, comparisons.

Each function draws into an Axes of matplotlib (a new one unless given) and returns it, so that a notebook can change
what it likes. The report's own charts are ``report.charts``; both are made from the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cloudcart.analysis import Run
from cloudcart.exceptions import MissingExtraError, UsageError
from cloudcart.report.series import Figures, Slice, gather
from cloudcart.signals import Reading, RowsSource, Window
from cloudcart.signals.amounts import format_amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAULT: Final = "#d9480f"
_SHADES: Final = {"p50": "#164f8d", "p95": "#3b82cf", "p99": "#6fabe6"}
_SIDES: Final = ("#164f8d", "#b74a00")
_TAIL: Final = 0.9999
_SIGNALS: Final = ("p50", "p95", "p99", "errors")
_MARK: Final[Mapping[str, Any]] = {"fmt": "o", "capsize": 4}
_UNITS: Final = {"cpu": "share of a core", "memory": "bytes", "loop_lag": "s", "pool": "share in use", "lag": "events"}


def latency(run: Run, *, route: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw p50, p95 and p99 over time as clients saw them, in seconds, with the bands between them.

    Args:
        run: the run.
        route: requests of this route only, as ``POST /api/orders``.
        ax: where to draw.

    Raises:
        MissingExtraError: matplotlib or pyarrow is not installed.
    """
    ax, figures = _axes(ax), gather(run.record, run.directory, route)
    lines = {name: [_number(getattr(part, name)) for part in figures.slices] for name in _SHADES}
    middles = [part.middle for part in figures.slices]
    for name, colour in _SHADES.items():
        ax.plot(middles, lines[name], color=colour, label=name)
    ax.fill_between(middles, lines["p50"], lines["p95"], color=_SHADES["p95"], alpha=0.25, linewidth=0)
    ax.fill_between(middles, lines["p95"], lines["p99"], color=_SHADES["p99"], alpha=0.2, linewidth=0)
    return _finish(ax, run, figures, f"Latency{_of(route)}", "s")


def errors(run: Run, *, route: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the share of requests that failed (no answer, or 500 and above) over time; see :func:`latency`."""
    ax, figures = _axes(ax), gather(run.record, run.directory, route)
    middles, shares = _points(figures.slices, "errors")
    width = figures.slices[0].end - figures.slices[0].start if figures.slices else 1.0
    ax.bar(middles, shares, width=width * 0.9, color="#bb1e2d", label="failed")
    return _finish(ax, run, figures, f"Errors{_of(route)}", "share of requests")


def traffic(run: Run, *, route: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw requests due a second over time; see :func:`latency`."""
    ax, figures = _axes(ax), gather(run.record, run.directory, route)
    ax.plot(*_points(figures.slices, "traffic"), color=_SHADES["p50"], label="requests")
    return _finish(ax, run, figures, f"Traffic{_of(route)}", "requests/s")


def saturation(run: Run, signal: str = "cpu", *, services: Iterable[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw a signal of saturation over time, one line a service.

    Args:
        run: the run.
        signal: ``cpu``, ``memory``, ``loop_lag``, ``pool`` or ``lag``; any signal of ``signals.parquet`` will do.
        services: these only.
        ax: where to draw.

    Raises:
        UsageError: nothing of that name was recorded.
        MissingExtraError: matplotlib or pyarrow is not installed.
    """
    ax, figures = _axes(ax), gather(run.record, run.directory)
    if signal not in figures.saturation:
        known = ", ".join(sorted(figures.saturation)) or "nothing at all"
        raise UsageError(f"{run.directory.name} has no signal {signal!r}; recorded: {known}")
    for service, points in figures.saturation[signal].items():
        if services is None or service in services:
            ax.plot([moment for moment, _ in points], [value for _, value in points], label=service)
    return _finish(ax, run, figures, f"Saturation: {signal}", _UNITS.get(signal, ""))


def overview(run: Run) -> Figure:
    """Draw a run on one page: latency, errors, traffic, CPU."""
    figure, axes = _pyplot().subplots(2, 2, figsize=(12, 6.5), sharex=True, layout="constrained")
    latency(run, ax=axes[0, 0])
    errors(run, ax=axes[0, 1])
    traffic(run, ax=axes[1, 0])
    saturation(run, ax=axes[1, 1])
    figure.suptitle(f"{run.name}: {run.verdict}")
    return figure  # type: ignore[no-any-return]


def percentiles(
    *runs: Run,
    phase: str | None = "fault",
    route: str | None = None,
    labels: Sequence[str] | None = None,
    since: str = "due",
    ax: Axes | None = None,
) -> Axes:
    """Draw latency against the percentile, stretched towards the tail as HdrHistogram's plots are.

    Args:
        runs: one curve each.
        phase: requests of this phase; None: all after the warm-up.
        route: requests of this route only.
        labels: names of the curves; the runs' names unless given.
        since: what latency counts from: ``due``, or ``sent`` (what a closed loop sees).
        ax: where to draw.
    """
    ax = _axes(ax)
    for run, label in zip(runs, labels or [run.name for run in runs], strict=True):
        ordered = sorted(_rows(run, since).latencies(_window(run, phase), route))
        shares = [min(rank / len(ordered), _TAIL) for rank in range(len(ordered))]
        ax.step([1 / (1 - share) for share in shares], ordered, where="post", label=label)
    marks = {"50 %": 2, "90 %": 10, "99 %": 100, "99.9 %": 1000}
    ax.set_xscale("log")
    ax.set_xticks(list(marks.values()), list(marks))
    ax.minorticks_off()
    ax.set(xlabel="percentile", ylabel="s", ylim=(0, None), title=f"Latency by percentile{_of(route)}{_in(phase)}")
    ax.grid(visible=True, alpha=0.3)
    ax.legend(loc="upper left", frameon=False)
    return ax


def compare(a: Run, b: Run, *, phase: str | None = "fault", route: str | None = None) -> Figure:
    """Draw two runs beside each other: p95 and errors over time, percentile curves, and readings with intervals.

    Where two intervals (95 %) do not overlap the runs differ; where they do, these runs cannot tell.
    """
    figure, axes = _pyplot().subplots(2, 2, figsize=(12, 7), layout="constrained")
    for run, colour in zip((a, b), _SIDES, strict=True):
        figures = gather(run.record, run.directory, route)
        for ax, signal in ((axes[0, 0], "p95"), (axes[0, 1], "errors")):
            ax.plot(*_points(figures.slices, signal), color=colour, label=run.name)
    for ax, title, unit in ((axes[0, 0], "p95 latency", "s"), (axes[0, 1], "Errors", "share of requests")):
        _finish(ax, a, gather(a.record, a.directory), f"{title}{_of(route)}", unit)
    percentiles(a, b, phase=phase, route=route, ax=axes[1, 0])
    for line, colour in zip(axes[1, 0].lines, _SIDES, strict=True):
        line.set_color(colour)
    axes[1, 0].legend(loc="upper left", frameon=False)
    _intervals(axes[1, 1], a, b, phase, route)
    return figure  # type: ignore[no-any-return]


def _intervals(ax: Axes, a: Run, b: Run, phase: str | None, route: str | None) -> None:
    """Draw each run's readings relative to the first one's, so that seconds and shares fit on one axis."""
    first = readings(a, phase=phase, route=route)
    for offset, run, colour in ((0.15, a, _SIDES[0]), (-0.15, b, _SIDES[1])):
        for row, (signal, reading) in enumerate(readings(run, phase=phase, route=route).items()):
            unit = first[signal].value or reading.value
            if not unit or reading.value is None:
                continue
            low, high = (reading.value if end is None else end for end in (reading.low, reading.high))
            value, place = reading.value / unit, offset - row
            ax.errorbar([value], [place], xerr=[[value - low / unit], [high / unit - value]], color=colour, **_MARK)
            told = format_amount(reading.value, reading.unit)
            ax.annotate(told, (high / unit, place), (6, 0), textcoords="offset points", va="center", color=colour)
    ax.set_yticks([-row for row in range(len(_SIGNALS))], list(_SIGNALS))
    ax.set(xlabel=f"times what {a.name} had, 95 % interval", title=f"Readings{_in(phase)}", xlim=(0, None))
    ax.grid(visible=True, axis="x", alpha=0.3)


def readings(run: Run, *, phase: str | None = None, route: str | None = None) -> Mapping[str, Reading]:
    """Return p50, p95, p99 and errors of a run as clients saw them, with their 95 % intervals.

    Args:
        run: the run.
        phase: requests of this phase; None: all after the warm-up.
        route: requests of this route only.
    """
    rows, window = _rows(run), _window(run, phase)
    return {signal: rows.read(signal, window, route=route) for signal in _SIGNALS}


def _rows(run: Run, since: str = "due") -> RowsSource:
    if since not in ("due", "sent"):
        raise UsageError(f"latency counts from 'due' or 'sent', not from {since!r}")
    return RowsSource(run.directory / "requests.parquet", since="sent" if since == "sent" else "due")


def _window(run: Run, phase: str | None) -> Window:
    spans = {it["name"]: Window(it["start"], it["end"], it["name"]) for it in run.record["phases"]}
    if phase is None:
        measured = [span for name, span in spans.items() if name != "warmup"]
        return Window(min(span.start for span in measured), max(span.end for span in measured))
    if phase not in spans:
        raise UsageError(f"{run.name} has no phase {phase!r}; there are {', '.join(spans)}")
    return spans[phase]


def _points(slices: Iterable[Slice], signal: str) -> tuple[list[float], list[float]]:
    slices = list(slices)
    return [part.middle for part in slices], [_number(getattr(part, signal)) for part in slices]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value  # which matplotlib leaves out of a line


def _of(route: str | None) -> str:
    return f" of {route}" if route else ""


def _in(phase: str | None) -> str:
    return f", {phase} phase" if phase else ""


def _finish(ax: Axes, run: Run, figures: Figures, title: str, unit: str) -> Axes:
    """Shade the faults, mark the phases, name the axes."""
    for number, fault in enumerate(run.record["faults"]):
        start, end = (moment - figures.origin for moment in fault["window"])
        ax.axvspan(start, end, color=_FAULT, alpha=0.1, linewidth=0, label="fault" if number == 0 else None)
    for phase in run.record["phases"][1:]:
        ax.axvline(phase["start"] - figures.origin, color="grey", linestyle=":", linewidth=1)
    ax.set(title=title, xlabel="seconds since the start of load", ylabel=unit, xlim=(0, figures.end), ylim=(0, None))
    ax.grid(visible=True, alpha=0.3)
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small"
    )  # beside, not over, the lines
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    found: Axes = _pyplot().subplots(figsize=(9, 3.6), layout="constrained")[1]
    return found


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise MissingExtraError("matplotlib", "analysis") from None
    return pyplot
