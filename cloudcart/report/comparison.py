"""Two runs, or two sets of runs, beside each other: what differs in what was read, and in how it was done.

Takes what ``run.json`` says, no rows. Single runs are compared by the intervals of their readings, several by what
differs from run to run (``signals.repeats``), which includes what no interval of a single run knows. Called by
``cloudcart report A B`` and the pytest plugin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Final

from cloudcart.signals import Difference, Reading, difference, difference_of_runs
from cloudcart.signals.difference import same_question

Run = Mapping[str, Any]
_CIRCUMSTANCES: Final = ("name", "seed", "command", "backend", "settings", "load", "versions", "machine")
_OFTEN_MISSING: Final = "not recorded"


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs or sets of runs."""

    differences: tuple[Difference, ...]
    verdicts: tuple[tuple[str, str, str], ...]
    changes: tuple[tuple[str, str, str], ...]
    runs: tuple[int, int]

    def of(self, signal: str, phase: str, service: str | None = None) -> Difference | None:
        """Return one difference; ``service`` None is what clients saw."""
        for found in self.differences:
            reading = found.before
            at = None if reading.source == "client" else reading.service
            if (reading.signal, reading.window.name, at) == (signal, phase, service):
                return found
        return None

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "runs": list(self.runs),
            "differences": [found.document() for found in self.differences],
            "verdicts": [{"what": what, "before": a, "after": b} for what, a, b in self.verdicts],
            "changes": [{"what": what, "before": a, "after": b} for what, a, b in self.changes],
        }


def compare(before: Sequence[Run], after: Sequence[Run]) -> Comparison:
    """Return what differs; the first run of each side stands for its circumstances and verdicts."""
    return Comparison(
        differences=tuple(_differences(before, after)),
        verdicts=tuple(_verdicts(before[0], after[0])),
        changes=tuple(_changes(before[0], after[0])),
        runs=(len(before), len(after)),
    )


def _differences(before: Sequence[Run], after: Sequence[Run]) -> Iterable[Difference]:
    first, second = _by_question(before), _by_question(after)
    for question in first:
        if question in second:
            yield _difference(first[question], second[question])


def _by_question(runs: Sequence[Run]) -> dict[tuple[Any, ...], list[Reading]]:
    found: dict[tuple[Any, ...], list[Reading]] = defaultdict(list)
    for run in runs:
        for reading in run.get("readings") or ():
            found[same_question(reading)].append(Reading.of_document(reading))
    return found


def _difference(before: Sequence[Reading], after: Sequence[Reading]) -> Difference:
    if len(before) == len(after) == 1:
        return difference(before[0], after[0])
    values = [[reading.value for reading in readings if reading.value is not None] for readings in (before, after)]
    found = difference_of_runs(*values)
    if found is None:
        return difference(before[0], after[0])
    means = [
        replace(readings[0], value=fmean(numbers), samples=sum(reading.samples for reading in readings))
        for readings, numbers in zip((before, after), values, strict=True)
    ]
    return Difference(means[0], means[1], *found)


def _verdicts(before: Run, after: Run) -> Iterable[tuple[str, str, str]]:
    """Yield each objective and invariant with its two verdicts, the whole run's first."""
    yield "the run", before["verdict"], after["verdict"]
    for kind in ("objectives", "invariants"):
        first, second = ({_name(found): found["verdict"] for found in run.get(kind) or ()} for run in (before, after))
        for name in dict.fromkeys((*first, *second)):
            yield name, first.get(name, _OFTEN_MISSING), second.get(name, _OFTEN_MISSING)


def _name(found: Mapping[str, Any]) -> str:
    if "objective" not in found:
        return str(found["name"])
    scope = ", ".join(str(part) for part in (found["route"], found["service"], found["phase"]) if part)
    return f"{found['objective']}{f' ({scope})' if scope else ''}"


def _changes(before: Run, after: Run) -> Iterable[tuple[str, str, str]]:
    """Yield what was done differently: seed, settings, load, faults, versions, machine."""
    flat = [_flat({name: run.get(name) for name in _CIRCUMSTANCES} | _faults(run)) for run in (before, after)]
    for name in dict.fromkeys((*flat[0], *flat[1])):
        first, second = (part.get(name, _OFTEN_MISSING) for part in flat)
        if first != second:
            yield name, first, second


def _faults(run: Run) -> dict[str, Any]:
    return {f"fault {number}": fault.get("document") for number, fault in enumerate(run.get("faults") or (), 1)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = str(value)
    return found
