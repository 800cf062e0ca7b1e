"""Objectives: what must hold, as people write it: ``p99 < 2s``, ``errors < 1%``, ``recovery < 3s``, ``lag > 100``.

A frozen value: which signal, of which service, route and phase, read from which source, compared with which bound.
Made by the pytest markers and by SLOs; judged by ``judgement`` once a source has answered.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

from cloudcart.exceptions import UsageError
from cloudcart.signals.amounts import parse_amount
from cloudcart.signals.golden import GoldenSignal, Route, golden_signal
from cloudcart.signals.reading import Unit
from cloudcart.units import parse_share

Operator = Literal["<", "<=", ">", ">="]
Phase = Literal["steady", "fault", "recovery"]
SourceName = Literal["client", "scrape", "prometheus"]

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXT: Final = re.compile(r"\s*([a-z][a-z0-9_.]*)(?:\s+latency)?\s*(<=|>=|<|>)\s*(\S.*?)\s*")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_OPTIONS: Final = ("service", "route", "phase", "source", "name", "slo")


@dataclass(frozen=True, slots=True)
class Objective:
    """One thing that must hold. ``bound`` is in base units; ``phase`` None is the whole run after the warm-up.

    ``service`` None is the gateway for what requests tell, and the worst of all services for saturation. ``slo`` is the
    share of requests that must be good, for signals of an error budget.
    """

    text: str
    signal: str
    operator: Operator
    bound: float
    unit: Unit
    source: SourceName
    service: str | None = None
    route: str | None = None
    phase: Phase | None = None
    name: str | None = None
    slo: float | None = None

    @classmethod
    def parse(
        cls,
        text: str = "",
        *,
        service: str | None = None,
        route: str | None = None,
        phase: str | None = None,
        source: str | None = None,
        name: str | None = None,
        slo: str | float | None = None,
        **unknown: object,
    ) -> Self:
        """Read an objective.

        Args:
            text: ``SIGNAL OPERATOR BOUND``; signals are those of :mod:`cloudcart.signals.golden`, operators ``<``,
                ``<=``, ``>`` and ``>=``, bounds have their unit (``250ms``, ``1%``, ``30/s``, ``300MB``, ``100``).
            service: whose signal.
            route: only requests of this gateway template, as ``/api/orders`` or ``POST /api/orders``.
            phase: ``steady``, ``fault`` or ``recovery``; the whole run after the warm-up if not given.
            source: ``client`` (the load generator's rows; the default for what requests tell), ``scrape`` (the lab's
                own; the default for everything else) or ``prometheus``.
            name: what to call it in reports, if not by its text.
            slo: the share of requests that must be good, as ``99.9%``; for ``burn`` and ``alert``, which need it.
            unknown: anything else is refused with a sentence.

        Raises:
            UsageError: nonsense of any kind; the message says what to write instead.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise UsageError(f"{text!r} is not an objective; write a signal, an operator and a bound, as 'p99 < 2s'")
        if unknown:
            raise UsageError(f"{text!r}: there is no option {next(iter(unknown))!r}; choose from {', '.join(_OPTIONS)}")
        try:
            signal = golden_signal(match[1])
            bound = parse_amount(match[3], signal.unit)
            chosen = _source(signal, service, source)
            _check_scope(signal, service, phase)
            target = _target(signal, slo)
            where = None if route is None else str(_route(signal, route))
            _check_possible(match[2], bound, signal)
        except (UsageError, ValueError) as error:
            raise UsageError(f"objective {text!r}: {error}") from None
        return cls(
            text=f"{signal.name} {match[2]} {match[3]}",
            signal=signal.name,
            operator=match[2],  # type: ignore[arg-type]  # the expression lets no other through
            bound=bound,
            unit=signal.unit,
            source=chosen,
            service=service,
            route=where,
            phase=phase,  # type: ignore[arg-type]  # just checked
            name=name,
            slo=target,
        )

    def met_by(self, value: float) -> bool:
        """Say whether an exactly known value is on the good side of the bound."""
        return COMPARISONS[self.operator](value, self.bound)

    def __str__(self) -> str:
        scope = [part for part in (self.route, self.service, self.phase and f"{self.phase} phase") if part]
        return f"{self.name or self.text}{' · ' if scope else ''}{', '.join(scope)}"


def _source(signal: GoldenSignal, service: str | None, source: str | None) -> SourceName:
    if source is not None and source not in get_args(SourceName):
        raise UsageError(f"there is no source {source!r}; choose client, scrape or prometheus")
    at_the_gateway = service in (None, "gateway")
    if source is None:
        client_sees_it = signal.family == "recovery" or (_is_of_requests(signal) and at_the_gateway)
        return "client" if client_sees_it else "scrape"
    if signal.name in ("recovery", "alert") and source != "client":
        raise UsageError(f"{signal.name} is read from the client's rows; leave source out")
    if source == "client" and signal.family == "saturation":
        raise UsageError(f"the client does not see {signal.name}; use source='scrape'")
    if source == "client" and not at_the_gateway:
        raise UsageError(f"the client sees the gateway only, not {service}; use source='scrape'")
    return source  # type: ignore[return-value]  # checked against the literal above


def _check_scope(signal: GoldenSignal, service: str | None, phase: str | None) -> None:
    if service is not None and (not isinstance(service, str) or _NAME.fullmatch(service) is None):
        raise UsageError(f"{service!r} is not the name of a service; write one like 'gateway'")
    if phase is not None and phase not in get_args(Phase):
        raise UsageError(
            f"there is no phase {phase!r}; choose steady, fault or recovery, or leave it out for the whole run"
        )
    if signal.name in ("recovery", "alert") and (service is not None or phase is not None):
        since = "after the last heal" if signal.name == "recovery" else "since the first fault"
        raise UsageError(f"{signal.name} is about the whole shop {since}; leave service and phase out")


def _is_of_requests(signal: GoldenSignal) -> bool:
    return signal.of_requests or signal.family == "budget"


def _target(signal: GoldenSignal, slo: str | float | None) -> float | None:
    if slo is None and signal.family == "budget":
        raise UsageError(f"{signal.name} is about an error budget; say how many requests must be good, as slo='99.9%'")
    if slo is not None and signal.family != "budget":
        raise UsageError("slo= belongs to burn and alert; leave it out")
    if slo is None:
        return None
    target = parse_share(slo)
    if not 0 < target < 1:
        raise UsageError(f"slo={slo!r} leaves no budget, or nothing to keep; write one like '99.9%'")
    return target


def _route(signal: GoldenSignal, route: str) -> Route:
    if not _is_of_requests(signal):
        raise UsageError(f"{signal.name} has no routes; leave route out")
    return Route.parse(str(route))


def _check_possible(comparison: str, bound: float, signal: GoldenSignal) -> None:
    if comparison == "<" and bound == 0:
        raise UsageError("nothing is below zero, so this can never hold; write a bound above zero")
    if signal.family == "errors" and ((comparison == ">" and bound >= 1) or bound > 1):
        raise UsageError("a share lies between 0% and 100%; write a bound that it can reach")
