"""The same objective read by three: the clients, the gateway, and the service behind it. Do they tell one story?

Clients count from when a request was due, the gateway from when it took it up, the service sees its own part only, so
the inner ones may be shorter, never longer. Where cache, retries or breaker stand between gateway and service, the two
answer different requests: that is said, and their figures are not held against each other. A disagreement is reported
beside the verdict; ``judgement`` asks whether traffic and errors as a whole agree well enough to conclude anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cloudcart.experiment.readings import Readings
from cloudcart.settings import SERVICES
from cloudcart.signals import TOLERANCE, Objective, Reading, golden_signal
from cloudcart.signals.amounts import format_amount

_SLACK: Final = 0.005  # seconds, or share of requests: where clocks start and edges cut differently
_EDGE: Final = 0.25  # seconds around an edge of the window in which a request may count on either side
_ELSEWHERE: Final = {"auth": "users"}
"""Services whose routes begin with something other than their name."""


def agreement(readings: Readings, objectives: Iterable[Objective]) -> list[dict[str, Any]]:
    """Return an entry for each signal of requests that an objective asks for: who read what, and whether it fits."""
    asked = {
        (objective.signal, objective.route, objective.phase): objective
        for objective in objectives
        if golden_signal(objective.signal).of_requests
        and objective.service in (None, "gateway", _behind(objective.route))
    }
    return [entry for objective in asked.values() if (entry := _entry(readings, objective))]


def _entry(readings: Readings, objective: Objective) -> dict[str, Any] | None:
    window = readings.window(objective)
    if window is None or window.seconds <= 0:
        return None
    service = _behind(objective.route)
    asked = {"clients": ("client", None), "gateway": ("scrape", "gateway")}
    if service:
        asked[service] = ("scrape", service)
    found = {
        who: readings.of_source(source, objective.signal, window, where, objective.route)
        for who, (source, where) in asked.items()
    }
    said = [_misfit("clients", found["clients"], "gateway", found["gateway"])]
    remark = ""
    if service:
        outer, inner = (
            readings.of_source("scrape", "traffic", window, who, objective.route) for who in ("gateway", service)
        )
        remark = _different_requests(outer, service, inner)
        said += [] if remark else [_misfit("gateway", found["gateway"], service, found[service])]
    misfits = [misfit for misfit in said if misfit]
    return {
        "signal": objective.signal,
        "unit": objective.unit,
        "route": objective.route,
        "phase": objective.phase,
        "readings": {who: reading.value for who, reading in found.items()},
        "agrees": not misfits,
        "detail": "; ".join([*misfits, remark] if remark else misfits),
    }


def _behind(route: str | None) -> str | None:
    """Return the service that answers a route of the gateway; None if that cannot be told."""
    parts = (route or "").rpartition(" ")[2].split("/")
    name = _ELSEWHERE.get(parts[2], parts[2]) if len(parts) > 2 else ""
    return name if name in SERVICES else None


def _misfit(outside: str, outer: Reading, inside: str, inner: Reading) -> str | None:
    """Say how the figure of who is further inside contradicts the other's; None where it does not, or nobody knows.

    Latency may be longer outside, where one also waits to be taken up. Shares of requests must be the same, within what
    both intervals allow.
    """
    if outer.value is None or inner.value is None:
        return None
    longer = _beyond(inner, outer)
    other = golden_signal(outer.signal).family != "latency" and _beyond(outer, inner)
    if not (longer or other):
        return None
    where = f" of {outer.route}" if outer.route else ""
    amounts = " and ".join(format_amount(reading.value, reading.unit) for reading in (outer, inner))
    return f"{outside} and {inside} disagree on {outer.signal}{where}: {amounts}"


def _different_requests(gateway: Reading, service: str, inner: Reading) -> str:
    """Say that the service answered other requests than the gateway did; empty if the same, or nobody knows."""
    if gateway.value is None or inner.value is None or not (_beyond(gateway, inner) or _beyond(inner, gateway)):
        return ""
    amounts = [format_amount(reading.value, reading.unit) for reading in (inner, gateway)]
    return f"{service} answered {amounts[0]} of the gateway's {amounts[1]} (cache, retries or breaker between them)"


def _beyond(larger: Reading, smaller: Reading) -> bool:
    """Say whether one is larger than the other by more than intervals, tolerance and slack together allow."""
    assert larger.value is not None
    assert smaller.value is not None
    low = larger.value if larger.low is None else larger.low
    high = smaller.value if smaller.high is None else smaller.high
    tolerance = max(TOLERANCE, 2 * _EDGE / smaller.window.seconds) if smaller.signal == "traffic" else TOLERANCE
    return low > high * (1 + tolerance) + _SLACK
