"""Service levels as Prometheus rules: a recorded error ratio for each window, and the alerts on their burn rates.

Windows and thresholds are those of Google's Site Reliability Workbook, chapter 5, "6: Multiwindow, Multi-Burn-Rate
Alerts". Returns plain values, the shape of a rules file; writing YAML is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cloudcart.signals.metric_source import CLOUDCART, MetricNames
from cloudcart.signals.service_level import ServiceLevel, format_period
from cloudcart.signals.slo import BurnAlert

ALERT: Final = "ErrorBudgetBurn"
RECORD: Final = "slo:sli_error:ratio_rate"
_LONGEST_INTERVAL: Final = 30.0


def prometheus_rules(levels: Iterable[ServiceLevel], names: MetricNames = CLOUDCART) -> dict[str, Any]:
    """Return the content of a rules file: one group of rules for each service level.

    Every window must hold two scrapes at least: with a time scale, scrape accordingly often.
    """
    return {"groups": [_group(level, names) for level in levels]}


def _group(level: ServiceLevel, names: MetricNames) -> dict[str, Any]:
    alerts = level.slo.alerts()
    windows = sorted({window for alert in alerts for window in (alert.short, alert.long)})
    interval = min(_LONGEST_INTERVAL, windows[0] / 2)
    return {
        "name": f"slo-{level.name}",
        "interval": format_period(interval),
        "rules": [
            *(_recording(level, window, names) for window in windows),
            *(_alerting(level, alert) for alert in alerts),
        ],
    }


def _recording(level: ServiceLevel, window: float, names: MetricNames) -> dict[str, Any]:
    return {
        "record": f"{RECORD}{format_period(window)}",
        "expr": error_ratio(level, format_period(window), names),
        "labels": {"slo": level.name, "service": level.service},
    }


def error_ratio(level: ServiceLevel, window: str, names: MetricNames = CLOUDCART) -> str:
    """Return the PromQL of the share of bad requests over a window, as ``5m``."""
    total = f"sum(rate({total_counter(level, names)}[{window}]))"
    if level.threshold is None:
        return f"sum(rate({_counter(names.requests, level, names, _failed(names))}[{window}])) / {total}"
    return f"1 - sum(rate({good_counter(level, names)}[{window}])) / {total}"


def total_counter(level: ServiceLevel, names: MetricNames = CLOUDCART) -> str:
    """Return the selector of the counter of all requests."""
    metric = names.requests if level.threshold is None else f"{names.duration}_count"
    return _counter(metric, level, names)


def good_counter(level: ServiceLevel, names: MetricNames = CLOUDCART) -> str:
    """Return the selector of the counter of good requests."""
    if level.threshold is None:
        return _counter(names.requests, level, names, _failed(names).replace("=~", "!~"))
    return _counter(f"{names.duration}_bucket", level, names, f'le="{float(level.threshold)}"')


def _failed(names: MetricNames) -> str:
    return f'{names.status}=~"5..|0"'


def _counter(metric: str, level: ServiceLevel, names: MetricNames, *matchers: str) -> str:
    chosen = [f'service="{level.service}"']
    if level.route is not None:
        chosen += [f'{names.method}="{level.route.method}"'] if level.route.method else []
        chosen.append(f'{names.route}="{level.route.path}"')
    return f"{metric}{{{', '.join((*chosen, *matchers))}}}"


def _alerting(level: ServiceLevel, alert: BurnAlert) -> dict[str, Any]:
    burn_rate = alert.burn_rate(level.slo.period / level.slo.time_scale)
    limit = f"({burn_rate:g} * {level.slo.budget:.6g})"
    long, short = (f'{RECORD}{format_period(window)}{{slo="{level.name}"}}' for window in (alert.long, alert.short))
    return {
        "alert": ALERT,
        "expr": f"{long} > {limit} and {short} > {limit}",
        "labels": {"severity": alert.severity, "slo": level.name, "window": format_period(alert.long)},
        "annotations": {
            "summary": f"{level.name} burns its error budget {burn_rate:g} times too fast",
            "description": f"{level.description}. At this rate {alert.budget_share:.0%} of the budget of "
            f"{format_period(level.slo.period)} goes within {format_period(alert.long)}.",
        },
    }
