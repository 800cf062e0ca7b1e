"""The same objective read by three: the clients, the gateway, and the service behind it. Do they tell one story?

Clients count from when a request was due, the gateway from when it took it up, the service sees its own part only, so
the inner ones may be shorter, never longer. A disagreement is reported beside the verdict; ``judgement`` asks whether
traffic and errors as a whole agree well enough to conclude anything.
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
        if golden_signal(objective.signal).of_requests and objective.service in (None, "gateway")
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
    detail = _misfit(found["clients"], found["gateway"])
    return {
        "signal": objective.signal,
        "unit": objective.unit,
        "route": objective.route,
        "phase": objective.phase,
        "readings": {who: reading.value for who, reading in found.items()},
        "agrees": detail is None,
        "detail": detail or "",
    }


def _behind(route: str | None) -> str | None:
    """Return the service that answers a route of the gateway; None if that cannot be told."""
    parts = (route or "").rpartition(" ")[2].split("/")
    name = _ELSEWHERE.get(parts[2], parts[2]) if len(parts) > 2 else ""
    return name if name in SERVICES else None


def _misfit(clients: Reading, gateway: Reading) -> str | None:
    """Say how the gateway's figure contradicts the clients'; None where it does not, or nobody knows.

    Latency may be longer for clients, who also wait to be taken up. Shares of requests must be the same, within what
    both intervals allow.
    """
    if clients.value is None or gateway.value is None:
        return None
    longer = _beyond(gateway, clients)
    other = golden_signal(clients.signal).family != "latency" and _beyond(clients, gateway)
    if not (longer or other):
        return None
    unit = clients.unit
    where = f" of {clients.route}" if clients.route else ""
    return (
        f"clients and gateway disagree on {clients.signal}{where}: {format_amount(clients.value, unit)} and "
        f"{format_amount(gateway.value, unit)}"
    )


def _beyond(larger: Reading, smaller: Reading) -> bool:
    """Say whether one is larger than the other by more than intervals, tolerance and slack together allow."""
    assert larger.value is not None
    assert smaller.value is not None
    low = larger.value if larger.low is None else larger.low
    high = smaller.value if smaller.high is None else smaller.high
    tolerance = max(TOLERANCE, 2 * _EDGE / smaller.window.seconds) if smaller.signal == "traffic" else TOLERANCE
    return low > high * (1 + tolerance) + _SLACK
