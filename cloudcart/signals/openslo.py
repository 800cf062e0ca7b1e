"""Service levels as OpenSLO documents (https://openslo.com, apiVersion openslo/v1).

Returns plain values, one per document; writing YAML is the command line's. OpenSLO knows one window for each condition,
so the short window of a pair is not in there; ``prometheus_rules`` has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from cloudcart.signals.prometheus_rules import good_counter, total_counter
from cloudcart.signals.service_level import ServiceLevel, format_period
from cloudcart.signals.slo import BurnAlert

VERSION: Final = "openslo/v1"
_ON_CALL: Final = "on-call"


def openslo(levels: Iterable[ServiceLevel]) -> list[dict[str, Any]]:
    """Return the documents: the services, whom to tell, and each service level with its alerts."""
    chosen = list(levels)
    services = [_service(name) for name in sorted({level.service for level in chosen})]
    return [*services, _target(), *(document for level in chosen for document in _level(level))]


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _service(name: str) -> dict[str, Any]:
    return _document("Service", name, {"description": f"The {name} service of CloudCart's shop."})


def _target() -> dict[str, Any]:
    return _document("AlertNotificationTarget", _ON_CALL, {"target": _ON_CALL, "description": "Whoever is on call."})


def _level(level: ServiceLevel) -> Iterator[dict[str, Any]]:
    policies = [(f"{level.name[:55]}-{format_period(alert.long)}", alert) for alert in level.slo.alerts()]
    yield _document(
        "SLO",
        level.name,
        {
            "description": level.description,
            "service": level.service,
            "indicator": {"metadata": {"name": level.name}, "spec": {"ratioMetric": _ratio(level)}},
            "timeWindow": [{"duration": format_period(level.slo.period), "isRolling": True}],
            "budgetingMethod": "Occurrences",
            "objectives": [{"displayName": level.description, "target": round(level.slo.target, 9)}],
            "alertPolicies": [name for name, _ in policies],
        },
    )
    for name, alert in policies:
        yield _document("AlertPolicy", name, _policy(name, level, alert))


def _ratio(level: ServiceLevel) -> dict[str, Any]:
    return {
        "counter": True,
        "good": _metric(good_counter(level)),
        "total": _metric(total_counter(level)),
    }


def _metric(selector: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": f"sum({selector})"}}}


def _policy(name: str, level: ServiceLevel, alert: BurnAlert) -> dict[str, Any]:
    condition = {
        "kind": "burnrate",
        "threshold": round(alert.burn_rate(level.slo.period / level.slo.time_scale), 6),
        "lookbackWindow": format_period(alert.long),
        "alertAfter": "0m",
    }
    return {
        "alertWhenBreaching": True,
        "alertWhenResolved": False,
        "alertWhenNoData": False,
        "conditions": [
            {
                "kind": "AlertCondition",
                "metadata": {"name": name},
                "spec": {"severity": alert.severity, "condition": condition},
            }
        ],
        "notificationTargets": [{"targetRef": _ON_CALL}],
    }
