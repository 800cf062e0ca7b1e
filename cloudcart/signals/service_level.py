"""A service-level objective as somebody would run it: which requests are good, how many must be, over which period.

Made from an :class:`~cloudcart.signals.objective.Objective`, so that what a scenario claims is what production is
watched by. ``slo`` has the arithmetic of budgets; ``prometheus_rules`` and ``openslo`` write it down for other tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from cloudcart.exceptions import UsageError
from cloudcart.signals.amounts import format_amount
from cloudcart.signals.golden import Route, golden_signal
from cloudcart.signals.objective import Objective
from cloudcart.signals.slo import Slo

PERIOD: Final = 30 * 86_400.0
"""Seconds of the usual period."""

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_PERIOD: Final = re.compile(r"(\d+)([smhdw])")


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """A share of requests that must be good.

    ``threshold`` None: good is any answer that is no error; else an answer within so many seconds. ``route`` is as the
    service knows it.
    """

    name: str
    slo: Slo
    service: str
    route: Route | None = None
    threshold: float | None = None

    @classmethod
    def of(
        cls, objective: Objective, *, period: float = PERIOD, time_scale: float = 1.0, name: str = ""
    ) -> Self | None:
        """Return what an objective says of single requests; None for one that does not (recovery, lag, traffic).

        ``errors < 1%`` is: 99 % of requests are answered without error. ``p99 < 2s`` is: 99 % are answered within 2 s.
        ``burn`` and ``alert`` are about the budget of ``slo=``.
        """
        signal = golden_signal(objective.signal)
        good = {"errors": 1 - objective.bound, "burn": objective.slo, "alert": objective.slo}
        target = signal.share if signal.share is not None else good.get(signal.name)
        if target is None or (objective.operator not in ("<", "<=") and signal.family != "budget"):
            return None
        threshold = objective.bound if signal.share is not None else None
        service = objective.service or "gateway"
        route = Route.parse(objective.route).at(service) if objective.route else None
        chosen = name or objective.name or _described(service, route, threshold)
        return cls(_slug(chosen), Slo(target, period, time_scale), service, route, threshold)

    @property
    def description(self) -> str:
        """It in a sentence."""
        where = f" of {self.route}" if self.route else ""
        good = f"within {format_amount(self.threshold, 's')}" if self.threshold else "without error"
        return f"{self.slo.target * 100:g} % of requests{where} to {self.service} are answered {good}"


def service_levels(
    objectives: Iterable[Objective], *, period: float = PERIOD, time_scale: float = 1.0, prefix: str = ""
) -> list[ServiceLevel]:
    """Return the service levels that objectives say, each once, with different names."""
    found: dict[ServiceLevel, ServiceLevel] = {}
    names: set[str] = set()
    for objective in objectives:
        level = ServiceLevel.of(objective, period=period, time_scale=time_scale)
        if level is None or level in found:
            continue
        name = unused = _slug(f"{prefix}-{level.name}") if prefix else level.name
        number = 1
        while unused in names:
            number += 1
            unused = f"{name[:60]}-{number}"
        names.add(unused)
        found[level] = ServiceLevel(unused, level.slo, level.service, level.route, level.threshold)
    return list(found.values())


def parse_period(text: str) -> float:
    """Return the seconds of a period like ``30d``, ``4w`` or ``1h`` (OpenSLO's duration shorthand).

    Raises:
        UsageError: it is none.
    """
    match = _PERIOD.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise UsageError(f"{text!r} is not a period; write a whole number and s, m, h, d or w, as 30d")
    return int(match[1]) * _UNITS[match[2]]


def format_period(seconds: float) -> str:
    """Return a time in the largest unit in which it is whole (Prometheus's and OpenSLO's notation)."""
    for unit, size in reversed(_UNITS.items()):
        if unit != "w" and seconds >= size and (seconds / size).is_integer():
            return f"{seconds / size:.0f}{unit}"
    return f"{max(1, round(seconds * 1000))}ms"


def _described(service: str, route: Route | None, threshold: float | None) -> str:
    kind = "latency" if threshold else "availability"
    return " ".join(part for part in (service, str(route or ""), kind) if part)


def _slug(text: str) -> str:
    """Return a name of lower-case letters, digits and dashes, 63 at most (RFC 1123, as OpenSLO asks)."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower().removeprefix("/")).strip("-")
    return slug[:63].rstrip("-") or "slo"
