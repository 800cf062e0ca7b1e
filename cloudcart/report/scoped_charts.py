"""The report's charts of what objectives are about: one route's latency or errors, one service's, each with its bound.

All requests together are ``charts``'. Objectives on the same signals of the same requests share a chart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cloudcart.report.frame import HALF, Drawn, bounds, highest, signal_of
from cloudcart.report.series import Figures, Scope
from cloudcart.report.svg import Chart, Line, draw
from cloudcart.signals.golden import golden_signal

_TITLES: Final = {"latency": "Latency", "errors": "Errors", "throttled": "Refused (429)", "traffic": "Traffic"}
_LEAST_TOPS: Final = {"errors": 0.02, "throttled": 0.02}
_STYLES: Final = {"errors": "errors", "throttled": "throttled", "traffic": "traffic", "p50": "p50", "p99": "p99"}


def scoped_charts(run: Mapping[str, Any], figures: Figures, behind: Mapping[str, Any]) -> Iterator[Drawn]:
    """Yield a chart for each route or service that objectives on requests name.

    Args:
        run: what ``run.json`` says.
        figures: the run over time.
        behind: what stands behind the lines (``frame.scenery``).
    """
    groups: dict[tuple[Scope, str], list[Mapping[str, Any]]] = defaultdict(list)
    for entry in run.get("objectives") or ():
        scope = Scope.of(entry)
        if scope is not None:
            groups[scope, _kind(signal_of(entry))].append(entry)
    for number, ((scope, kind), objectives) in enumerate(groups.items()):
        chart = _chart(run, figures, behind, scope, kind, objectives)
        if chart is not None:
            yield Drawn(chart.title, _caption(scope), draw(chart, f"scope-{number}", *HALF))


def _chart(
    run: Mapping[str, Any],
    figures: Figures,
    behind: Mapping[str, Any],
    scope: Scope,
    kind: str,
    objectives: Sequence[Mapping[str, Any]],
) -> Chart | None:
    points = figures.scoped.get(scope, {})
    signals = dict.fromkeys(signal_of(entry) for entry in objectives)
    lines = [Line(name, points[name], _STYLES.get(name, "p95")) for name in signals if points.get(name)]
    if not any(value is not None for line in lines for _, value in line.points):
        return None
    unit = golden_signal(next(iter(signals))).unit
    return Chart(
        title=f"{_TITLES[kind]}: {scope}",
        description=f"{_caption(scope)} {'; '.join(f'{line.label} up to {highest(line, unit)}' for line in lines)}.",
        unit=unit,
        lines=lines,
        bounds=bounds(run, figures, objectives),
        least_top=_LEAST_TOPS.get(kind, 0.0),
        **behind,
    )


def _kind(signal: str) -> str:
    family = golden_signal(signal).family
    return signal if family == "errors" else family


def _caption(scope: Scope) -> str:
    return f"As {scope.service} counted it." if scope.service else "Seen by clients."
