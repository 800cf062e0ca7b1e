"""The report's tables that say more about a verdict: who read what, the two arms, error budgets.

Rows of text for the page, from what ``run.json`` says; nothing is judged here. Objectives and faults are ``page``'s and
``words``' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cloudcart.report.series import PHASE_NAMES
from cloudcart.signals.amounts import format_amount
from cloudcart.signals.service_level import format_period


class Agreement(NamedTuple):
    """One signal as read by clients, by the gateway and by the service behind the route."""

    signal: str
    scope: str
    clients: str
    gateway: str
    service: str
    agrees: bool
    detail: str


class ArmsRow(NamedTuple):
    """One signal of visits that the faults spared, and of those that they could hit."""

    signal: str
    spared: str
    exposed: str
    difference: str
    interval: str
    samples: str
    word: str


class Budget(NamedTuple):
    """An error budget: how much of it the run spent, and how fast."""

    scope: str
    requests: int
    errors: int
    spent: str
    overspent: bool
    burn: str
    lasts: str


def agreements(run: Mapping[str, Any]) -> list[Agreement]:
    """Return who read what of each signal of requests that an objective is about."""
    return [
        Agreement(
            signal=entry["signal"],
            scope=_scope(entry.get("route"), entry.get("phase")),
            clients=_read(entry, "clients"),
            gateway=_read(entry, "gateway"),
            service=_behind(entry),
            agrees=entry["agrees"],
            detail=entry["detail"],
        )
        for entry in run.get("agreement") or ()
    ]


def _behind(entry: Mapping[str, Any]) -> str:
    name = next((who for who in entry["readings"] if who not in ("clients", "gateway")), None)
    return f"{_read(entry, name)} ({name})" if name else "no one service"


def _read(entry: Mapping[str, Any], who: str) -> str:
    return format_amount(entry["readings"].get(who), entry["unit"])


def _scope(route: str | None, phase: str | None) -> str:
    when = f"{PHASE_NAMES.get(phase, phase)} phase" if phase else "whole run"
    return ", ".join(part for part in (route, when) if part)


def arms(run: Mapping[str, Any]) -> list[ArmsRow]:
    """Return what the arms came to while faults acted; nothing without a control arm."""
    return [_arms_row(entry) for entry in (run.get("arms") or {}).get("differences", ())]


def _arms_row(entry: Mapping[str, Any]) -> ArmsRow:
    unit = entry["unit"]
    return ArmsRow(
        signal=entry["signal"],
        spared=format_amount(entry["before"], unit),
        exposed=format_amount(entry["after"], unit),
        difference=format_amount(entry["difference"], unit),
        interval=_interval(entry["low"], entry["high"], unit),
        samples=" and ".join(f"{count:,}" for count in entry["samples"]),
        word=entry["word"],
    )


def _interval(low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return "unbounded"
    if low is None or high is None:
        return f"up to {format_amount(high, unit)}" if low is None else f"from {format_amount(low, unit)} up"
    return f"{format_amount(low, unit)} to {format_amount(high, unit)}"


def budgets(run: Mapping[str, Any]) -> list[Budget]:
    """Return the error budgets that objectives are about."""
    return [_budget(entry) for entry in run.get("budgets") or ()]


def _budget(entry: Mapping[str, Any]) -> Budget:
    service = None if entry["source"] == "client" else entry["service"]
    scope = [f"{entry['slo'] * 100:g} % of requests without error", entry["route"], service]
    rates = [
        f"{PHASE_NAMES.get(name, name)} {format_amount(rate, 'count')}"
        for name, rate in entry["burn"].items()
        if rate is not None
    ]
    return Budget(
        scope=", ".join(part for part in scope if part),
        requests=entry["requests"],
        errors=entry["errors"],
        spent=format_amount(entry["spent"], "ratio"),
        overspent=entry["spent"] > 1,
        burn=", ".join(rates),
        lasts=_lasts(entry["seconds_left"], entry["period"]),
    )


def _lasts(seconds: float | None, period: float) -> str:
    if seconds is None:
        return "for ever"
    return f"{_rough(seconds)} of {format_period(period)}"


def _rough(seconds: float) -> str:
    """Return a time in its largest unit of which there is at least one, to three digits."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return format_amount(seconds, "s")
