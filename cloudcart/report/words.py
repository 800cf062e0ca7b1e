"""A run in sentences: what was done, what was broken, what came of it. For somebody who was not there.

Made from the same figures as the charts; nothing is judged here that ``signals`` has not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cloudcart.report.series import Figures, Slice
from cloudcart.signals import binomial_interval
from cloudcart.signals.amounts import format_amount

HEADLINES: Final = {
    "pass": "The claim holds",
    "fail": "The claim does not hold",
    "inconclusive": "No verdict is possible",
}
_LIMITS: Final = ("first", "skip", "every", "max_active", "ramp")
_LOAD: Final = ("journey", "rate", "users", "stages", "duration", "warmup")
_CONFIDENCE: Final = 0.999


def story(run: Mapping[str, Any], figures: Figures) -> list[str]:
    """Return what happened, a sentence or two per paragraph."""
    said = (_load(run), _settings(run), *_broken(run, figures), _effect(run, figures), _arms(run), _after(run))
    return [sentence for sentence in said if sentence]


def _load(run: Mapping[str, Any]) -> str:
    load = run.get("load")
    if not load:
        return ""
    journey, duration = load.get("journey", "load"), _seconds(load.get("duration"))
    if load.get("users"):
        how = f"{load['users']:,} users went through the journey '{journey}' again and again"
    elif load.get("rate"):
        how = f"{load['rate']:g} visits a second arrived for the journey '{journey}'"
    else:
        how = f"visits arrived for the journey '{journey}' at a rate that changed in stages"
    warmup = _seconds(load.get("warmup"))
    return f"For {duration}, {how}." + (
        f" The first {warmup} are warm-up and not measured." if _is_some(warmup) else ""
    )


def _settings(run: Mapping[str, Any]) -> str:
    changed = [f"{name}={value}" for name, value in (run.get("settings") or {}).items()]
    return f"The shop ran with {', '.join(changed)}." if changed else ""


def _seconds(value: object) -> str:
    """Durations of a profile are text with a unit already; a bare number is seconds."""
    return value if isinstance(value, str) else f"{value:g} s" if isinstance(value, int | float) else "a while"


def _is_some(duration: str) -> bool:
    return duration not in ("a while", "0s", "0 s")


def _broken(run: Mapping[str, Any], figures: Figures) -> Iterator[str]:
    faults = run.get("faults") or ()
    if not faults:
        yield "Nothing was broken: this run is a control."
    for fault in faults:
        start, end = (moment - figures.origin for moment in fault["window"])
        share = fault.get("probability", 1.0)
        chance = f" (with a probability of {format_amount(share, 'ratio')})" if share < 1 else ""
        hit = f"it hit {fault['injected']:,} of the {fault['drawn']:,} requests it could hit"
        yield f"From {start:.1f} s to {end:.1f} s, {fault['label']}{chance}: {hit}."


def _effect(run: Mapping[str, Any], figures: Figures) -> str:
    phases = {phase.name: phase for phase in figures.phases if phase.requests}
    steady, fault = phases.get("steady"), phases.get("fault")
    if not run.get("faults") or steady is None or fault is None:
        return ""
    return (
        f"While it was broken, p99 latency was {_seen(fault, 'p99', 's')} (before: {_seen(steady, 'p99', 's')}) and "
        f"{_seen(fault, 'errors', 'ratio')} of requests failed (before: {_seen(steady, 'errors', 'ratio')})."
    )


def _seen(phase: Slice, signal: str, unit: str) -> str:
    return format_amount(getattr(phase, signal), unit)


def _arms(run: Mapping[str, Any]) -> str:
    """Say what visits that the faults could hit had beyond those that they spared; nothing without a control arm."""
    arms = run.get("arms")
    if not arms:
        return ""
    said = []
    for found in arms["differences"]:
        if found["signal"] in ("mean", "errors") and None not in (found["low"], found["high"]):
            low, value, high = (format_amount(found[name], found["unit"]) for name in ("low", "difference", "high"))
            name = "mean latency" if found["signal"] == "mean" else "the share of failed requests"
            said.append(f"{name} differed by {value} (95 % interval {low} to {high}: {found['word']})")
    share = format_amount(arms["control"], "ratio")
    return f"{share} of visits were spared at the same time. Against them, {' and '.join(said)}." if said else ""


def _after(run: Mapping[str, Any]) -> str:
    if not run.get("faults"):
        return ""
    seconds = run.get("recovery_seconds")
    if seconds is None:
        return "That it became as good as before was not seen."
    if seconds == 0:
        return "As soon as the last fault was healed, it was as good as before."
    return f"{format_amount(seconds, 's')} after the last heal it was as good as before."


def counts(run: Mapping[str, Any]) -> str:
    """Return how many objectives and invariants held, as ``3 of 4 objectives and 4 of 4 invariants held``."""
    parts = []
    for what in ("objectives", "invariants"):
        entries = run.get(what) or ()
        if entries:
            held = sum(entry["verdict"] == "pass" for entry in entries)
            noun = what if len(entries) > 1 else what.removesuffix("s")
            parts.append(f"{held} of {len(entries)} {noun}")
    return f"{' and '.join(parts)} held" if parts else "nothing was checked"


def open_points(run: Mapping[str, Any]) -> list[str]:
    """Return what did not hold or could not be shown, a sentence each, the worst first."""
    order = {"fail": 0, "inconclusive": 1}
    found = [
        (order[entry["verdict"]], f"{entry['objective']}{_during(entry)}: {entry['reason']}")
        for entry in run.get("objectives") or ()
        if entry["verdict"] in order
    ] + [
        (order[entry["verdict"]], f"{entry['name']}: {entry['detail']}")
        for entry in run.get("invariants") or ()
        if entry["verdict"] in order
    ]
    return [sentence for _, sentence in sorted(found, key=lambda point: point[0])]


def _during(entry: Mapping[str, Any]) -> str:
    parts = [entry.get("route"), f"{entry['phase']} phase" if entry.get("phase") else None]
    said = ", ".join(part for part in parts if part)
    return f" ({said})" if said else ""


@dataclass(frozen=True, slots=True)
class Account:
    """A fault's accounting: what it was drawn for, what it hit, and what chance allows."""

    label: str
    target: str
    kind: str
    start: float
    end: float
    drawn: int
    injected: int
    expected: str
    fits: bool | None


def accounts(run: Mapping[str, Any], figures: Figures) -> list[Account]:
    """Return the accounting of every fault, in order of time."""
    found = [_account(fault, figures.origin) for fault in run.get("faults") or ()]
    return sorted(found, key=lambda account: account.start)


def _account(fault: Mapping[str, Any], origin: float) -> Account:
    expected, fits = _expected(fault)
    return Account(
        label=fault["label"],
        target=fault["target"],
        kind=fault["kind"],
        start=fault["window"][0] - origin,
        end=fault["window"][1] - origin,
        drawn=fault["drawn"],
        injected=fault["injected"],
        expected=expected,
        fits=fits,
    )


def _expected(fault: Mapping[str, Any]) -> tuple[str, bool | None]:
    """Return how many hits the probability lets expect, and whether the hits are among them (99.9 %)."""
    document = fault.get("document") or {}
    own = {"every"} if fault["kind"] == "loop_block" else set()  # not of requests: from one block to the next
    limits = [f"{name}={document[name]}" for name in _LIMITS if name in document and name not in own]
    if limits:
        return f"limited by {', '.join(limits)}", None
    drawn, probability = fault["drawn"], fault.get("probability", 1.0)
    if not drawn:
        return "no request came by", False
    low, high = binomial_interval(drawn, probability, _CONFIDENCE)
    fits = low <= fault["injected"] <= high
    if low == high:
        return f"{low:,} (all of them)" if probability == 1 else f"{low:,}", fits
    return f"{probability * drawn:,.0f} (between {low:,} and {high:,})", fits


def when(started_at: str) -> str:
    """Return a time for people, as ``7 October 2025, 14:03 UTC``; the text as it is if it is no time."""
    try:
        moment = datetime.fromisoformat(started_at)
    except ValueError:
        return started_at
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def facts(run: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return what somebody needs to know to compare this run with another: load, seed, settings, machine, versions."""
    machine, load, generator = (run.get(name) or {} for name in ("machine", "load", "generator"))
    found = [
        ("Seed", str(run.get("seed", ""))),
        ("Load", generator.get("load") or ", ".join(f"{name} {load[name]}" for name in _LOAD if load.get(name))),
        (
            "Settings changed",
            ", ".join(f"{name}={value}" for name, value in (run.get("settings") or {}).items()) or "none",
        ),
        ("Load generator", _generator(generator)),
        ("Machine", _machine(machine)),
        ("Versions", ", ".join(f"{name} {value}" for name, value in (run.get("versions") or {}).items())),
        ("Folder", str(run.get("directory", ""))),
    ]
    return [(name, value) for name, value in found if value]


def _generator(generator: Mapping[str, Any]) -> str:
    parts = []
    if "saturated" in generator:
        parts.append(
            f"was the bottleneck: {generator['saturated']}" if generator["saturated"] else "was not the bottleneck"
        )
    if generator.get("lateness_p99") is not None:
        parts.append(f"visits began up to {format_amount(generator['lateness_p99'], 's')} late (p99)")
    cpu = generator.get("cpu", generator.get("cpu_share"))
    if cpu is not None:
        parts.append(f"used {format_amount(cpu, 'ratio')} of a core")
    return ", ".join(parts)


def _machine(machine: Mapping[str, Any]) -> str:
    if not machine:
        return ""
    memory = format_amount(machine.get("memory_bytes"), "bytes")
    return f"{machine.get('cpus')} cores, {memory}, {machine.get('platform')}, Python {machine.get('python')}"
