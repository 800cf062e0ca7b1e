"""What all charts of a report have in common: their sizes, what happened when, which bounds they show.

Used by ``charts`` (all requests), ``scoped_charts`` (what an objective is about) and ``saturation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloudcart.report.series import PHASE_NAMES, Figures
from cloudcart.report.svg import Bound, Line, Span
from cloudcart.signals.amounts import format_amount

WIDE: Final = (1000, 270)
HALF: Final = (490, 190)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart on the page."""

    title: str
    caption: str
    svg: str
    wide: bool = False


def scenery(run: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """Return what stands behind every chart's lines: how long it is, its faults and its phases."""
    faults = [
        Span(fault["window"][0] - figures.origin, fault["window"][1] - figures.origin, fault["label"])
        for fault in run.get("faults") or ()
    ]
    phases = [
        Span(
            phase["start"] - figures.origin,
            phase["end"] - figures.origin,
            PHASE_NAMES.get(phase["name"], phase["name"]),
        )
        for phase in run.get("phases") or ()
    ]
    return {"end": figures.end, "faults": faults, "phases": phases}


def bounds(run: Mapping[str, Any], figures: Figures, objectives: Iterable[Mapping[str, Any]]) -> list[Bound]:
    """Return what these objectives allow, over the time that they are about; each bound once."""
    spans = {phase["name"]: (phase["start"], phase["end"]) for phase in run.get("phases") or ()}
    measured = [moment for name, span in spans.items() if name != "warmup" for moment in span]
    whole = (min(measured, default=figures.origin), max(measured, default=figures.origin + figures.end))
    found: dict[float, Bound] = {}
    for entry in objectives:
        if entry.get("bound"):
            start, end = (moment - figures.origin for moment in spans.get(entry.get("phase"), whole))
            found.setdefault(entry["bound"], Bound(entry["bound"], entry["objective"], start, end))
    return sorted(found.values())


def signal_of(objective: Mapping[str, Any]) -> str:
    """Return the name of the signal that an objective of ``run.json`` is about."""
    return str(objective["objective"].split()[0])


def highest(line: Line, unit: str) -> str:
    """Return the highest value of a line, as people read it."""
    return format_amount(max((value for _, value in line.points if value is not None), default=None), unit)


def peaks(lines: Iterable[Line], unit: str) -> str:
    """Return the highest value of each line, in words."""
    return "; ".join(f"{line.label} up to {highest(line, unit)}" for line in lines)
