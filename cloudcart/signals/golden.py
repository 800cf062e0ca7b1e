"""The golden signals by name: what ``p99``, ``errors``, ``cpu`` or ``lag`` mean, in which unit, and who can measure
them.

The vocabulary of objectives and sources; nothing is measured here. The four golden signals (latency, traffic, errors,
saturation) are those of Google's Site Reliability Engineering, chapter 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from cloudcart.exceptions import UsageError
from cloudcart.signals.reading import Unit

Family = Literal["latency", "traffic", "errors", "saturation", "faults", "recovery", "budget"]

_PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class GoldenSignal:
    """A signal's name, family, unit and meaning; ``share`` only for percentiles."""

    name: str
    family: Family
    unit: Unit
    meaning: str
    share: float | None = None

    @property
    def of_requests(self) -> bool:
        """It is made of requests, so it has a route and can be read from the client's rows."""
        return self.family in ("latency", "traffic", "errors")


SIGNALS: Final[Mapping[str, GoldenSignal]] = MappingProxyType(
    {
        signal.name: signal
        for signal in (
            GoldenSignal("mean", "latency", "s", "mean latency"),
            GoldenSignal(
                "errors", "errors", "ratio", "share of requests without an answer or answered with 500 or above"
            ),
            GoldenSignal("throttled", "errors", "ratio", "share of requests refused with 429, which are not errors"),
            GoldenSignal("traffic", "traffic", "1/s", "requests a second"),
            GoldenSignal("cpu", "saturation", "ratio", "CPU time a second of the process, in shares of one core"),
            GoldenSignal("memory", "saturation", "bytes", "resident memory of the process, the highest seen"),
            GoldenSignal(
                "memory_growth",
                "saturation",
                "bytes",
                "memory of the process at the window's end less at its start",
            ),
            GoldenSignal("loop_lag", "saturation", "s", "how late the event loop runs a timer, 99th percentile"),
            GoldenSignal("pool", "saturation", "ratio", "share of database connections in use, the highest seen"),
            GoldenSignal(
                "lag", "saturation", "count", "events published but not yet consumed by a service, the highest seen"
            ),
            GoldenSignal(
                "lag_end",
                "saturation",
                "count",
                "events published but not yet consumed by a service at the window's end",
            ),
            GoldenSignal(
                "outbox", "saturation", "count", "events of a service committed but not yet published, the highest seen"
            ),
            GoldenSignal(
                "dead_letters", "saturation", "count", "messages that a service could not read and has set aside"
            ),
            GoldenSignal("injected", "faults", "count", "requests that a fault acted on"),
            GoldenSignal(
                "burn", "budget", "count", "how many times too fast errors use up the budget that slo= leaves"
            ),
            GoldenSignal("alert", "budget", "s", "time from the first fault to a page about the burn rate of slo="),
            GoldenSignal("recovery", "recovery", "s", "time from the last heal until the shop is as good as before"),
        )
    }
)
"""Every signal with a fixed name. Percentiles (``p50``, ``p99.9``) come beside these, see :func:`golden_signal`."""


def golden_signal(name: str) -> GoldenSignal:
    """Return the signal of this name.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    if name in SIGNALS:
        return SIGNALS[name]
    match = _PERCENTILE.fullmatch(name)
    if match is None or not 0 < float(match[1]) < 100:
        raise UsageError(
            f"there is no signal {name!r}; choose p50, p90, p95, p99, p99.9 or one of {', '.join(SIGNALS)}"
        )
    share = float(match[1]) / 100
    return GoldenSignal(name, "latency", "s", f"latency that {match[1]} % of requests stay within", share)


@dataclass(frozen=True, slots=True)
class Route:
    """Some requests: all of one route template, of one method if given. A parameter's name does not matter."""

    path: str
    method: str = ""

    @classmethod
    def parse(cls, text: str) -> Route:
        """Read ``/api/orders`` or ``POST /api/orders``.

        Raises:
            UsageError: it is neither.
        """
        method, _, path = text.strip().rpartition(" ")
        method = method.strip()
        if not path.startswith("/") or not (method == "" or method.isalpha()):
            raise UsageError(f"{text!r} is not a route; write '/api/orders' or 'POST /api/orders'")
        return cls(path, method.upper())

    def __str__(self) -> str:
        return f"{self.method} {self.path}".strip()

    def matches(self, method: str, path: str) -> bool:
        """Say whether requests of this method and route template are meant."""
        return self.method in ("", method) and _anonymous(self.path) == _anonymous(path)

    def at(self, service: str) -> Route:
        """Return the route as ``service`` knows it: behind the gateway, paths have no ``/api``."""
        inner = self.path.removeprefix("/api") if service != "gateway" and self.path.startswith("/api/") else self.path
        return Route(inner, self.method)


def _anonymous(path: str) -> str:
    return re.sub(r"\{[^}/]*\}", "{}", path)
