"""Chaos Toolkit's experiments as ours: what maps becomes an :class:`Experiment`, and each activity gets a line
that says what became of it.

``activities`` reads the file, ``actions`` and ``probes`` say what its parts mean; here they become a schedule. The file
is never executed. Called by ``cloudcart import chaostoolkit``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cloudcart.documents import Document, read_document
from cloudcart.exceptions import FaultError
from cloudcart.experiment.chaostoolkit.actions import meaning
from cloudcart.experiment.chaostoolkit.activities import Activity, activities
from cloudcart.experiment.chaostoolkit.meanings import Begins, Ends, Meaning, Names, Needless, Unknown, Waits
from cloudcart.experiment.chaostoolkit.probes import of_hypothesis
from cloudcart.experiment.experiment import Experiment, ScheduledFault
from cloudcart.faults import Fault, parse_fault
from cloudcart.lab.links import CALLS
from cloudcart.load import LoadProfile
from cloudcart.settings import SERVICES, WITH_REDIS
from cloudcart.signals import Objective

_WARMUP: Final = 2.0
_STEADY: Final = 5.0  # seconds before the method, in which the hypothesis is looked at
_VISITS: Final = 450.0  # after it, likewise: that many can say of 1 % of errors, or of a p99, whether it holds
_SHORTEST: Final = 5.0  # seconds that a fault lasts at least: a method may end right after its action

Outcome = Literal["mapped", "not needed", "not mapped"]


class Line(NamedTuple):
    """What became of one activity."""

    name: str
    outcome: Outcome
    text: str

    def __str__(self) -> str:
        return f"{self.outcome:<11} {self.name}: {self.text}"


class Imported(NamedTuple):
    """An experiment, and a line for each activity of the file that it was made from."""

    experiment: Experiment
    lines: tuple[Line, ...]


def import_chaostoolkit(
    path: Path, *, names: Mapping[str, str] | None = None, journey: str = "browse", rate: float = 30.0
) -> Imported:
    """Read a Chaos Toolkit experiment, in JSON or YAML.

    Args:
        path: its file.
        names: what names in it mean here, as ``{"catalog-api": "products", "db": "products->postgres"}``.
        journey: the load, since the file has none.
        rate: arrivals a second.

    Raises:
        UsageError: it is no such file; the message names file, line and field.
    """
    document = read_document(path)
    if not isinstance(document.values.get("method"), list):
        raise document.error("a Chaos Toolkit experiment has a method, which is a list of activities", ("method",))
    course = _Course(Names(names or {}))
    for activity in activities(document, "method"):
        course.take(activity)
    for activity in activities(document, "rollbacks"):
        course.roll_back(activity)
    faults, length = course.finished()
    hypothesis = [(probe, *_hypothesis(probe)) for probe in activities(document, "steady-state-hypothesis")]
    objectives = tuple(dict.fromkeys(objective for _, found, _ in hypothesis for objective in found))
    load = LoadProfile(model="open", journey=journey, rate=rate, duration=length + _VISITS / rate, warmup=_WARMUP)
    experiment = Experiment(
        name=re.sub(r"\W+", "_", path.stem).strip("_") or "imported",
        claim=_claim(document),
        load=load,
        faults=tuple(faults),
        objectives=tuple(Objective.parse(text, route=route, phase="recovery") for text, route in objectives),
        steady=tuple(Objective.parse(text, route=route, phase="steady") for text, route in objectives),
    )
    return Imported(experiment, (*(line for _, _, line in hypothesis), *course.lines, *_rest(document)))


def _claim(document: Document) -> str:
    hypothesis = document.values.get("steady-state-hypothesis")
    title = hypothesis.get("title") if isinstance(hypothesis, dict) else None
    return str(title or document.values.get("title") or document.values.get("description") or "")


def _hypothesis(probe: Activity) -> tuple[list[tuple[str, str | None]], Line]:
    said = of_hypothesis(probe)
    if not said.objectives:
        outcome: Outcome = "not needed" if said.instead == "nothing" else "not mapped"
        instead = "" if said.instead == "nothing" else f"; write {said.instead}"
        return [], Line(probe.name, outcome, f"{said.note}{instead}")
    where = f" of {said.route}" if said.route else ""
    note = f" ({said.note})" if said.note else ""
    text = f"{' and '.join(said.objectives)}{where}, before and after{note}"
    return [(objective, said.route) for objective in said.objectives], Line(probe.name, "mapped", text)


def _rest(document: Document) -> list[Line]:
    """Say of what else the file has that it is left out."""
    why = {
        "controls": "code of yours that Chaos Toolkit calls around activities; write a pytest fixture",
        "secrets": "nothing here needs them",
    }
    return [
        Line(name, "not needed" if name == "secrets" else "not mapped", why[name])
        for name in why
        if document.values.get(name)
    ]


@dataclass
class _Open:
    """A fault that has begun."""

    fault: Fault
    begins: Begins
    start: float
    end: float | None = None


@dataclass
class _Course:
    """Goes through the activities as Chaos Toolkit would, one after the other, and notes when what begins and ends."""

    names: Names
    now: float = _STEADY
    lines: list[Line] = field(default_factory=list)
    _open: list[_Open] = field(default_factory=list)

    def take(self, activity: Activity) -> None:
        """Go through one activity of the method."""
        self.now += activity.before
        if activity.kind == "probe":
            text = "the load asks all the time, and the report shows it; for a verdict write an objective"
            self._note(activity, "not needed", text)
        else:
            self._act(activity, meaning(activity, self.names))
        self.now += activity.after

    def roll_back(self, activity: Activity) -> None:
        """Go through one activity of the rollbacks: every fault ends by itself, so there is nothing to do."""
        found = meaning(activity, self.names) if activity.kind == "action" else None
        if isinstance(found, Begins | Unknown):
            self._note(
                activity, "not mapped", "every fault is healed when the method is over; this does more than that"
            )
        else:
            self._note(activity, "not needed", "every fault is healed when the method is over")

    def finished(self) -> tuple[list[ScheduledFault], float]:
        """Return the schedule, and when the last fault is over."""
        over = max([self.now, *(one.start + _SHORTEST for one in self._open)])
        ends = [max(over if one.end is None else one.end, one.start + 1.0) for one in self._open]
        faults = [
            ScheduledFault(fault=one.fault, start=one.start, duration=end - one.start)
            for one, end in zip(self._open, ends, strict=True)
        ]
        return faults, max([over, *ends])

    def _act(self, activity: Activity, found: Meaning) -> None:
        if isinstance(found, Begins):
            self._begin(activity, found)
        elif isinstance(found, Ends):
            ended = self._end(found.key)
            self._note(activity, "mapped" if ended else "not needed", f"ends {ended}" if ended else "it ends nothing")
        elif isinstance(found, Waits):
            self._note(activity, "mapped", f"{found.seconds:g} seconds pass")
            self.now += 0.0 if activity.background else found.seconds
        elif isinstance(found, Needless):
            self._note(activity, "not needed", found.why)
        else:
            self._note(activity, "not mapped", f"{found.why}; write {found.instead}")

    def _begin(self, activity: Activity, found: Begins) -> None:
        try:
            fault = parse_fault(found.document)
            _require_link(fault)
        except FaultError as error:
            self._note(activity, "not mapped", f"{error}; write a fault of 'cloudcart faults'")
            return
        end = None if found.duration is None else self.now + found.duration
        self._open.append(_Open(fault, found, self.now, end))
        self._note(activity, "mapped", f"{fault.label}{f' ({found.note})' if found.note else ''}")

    def _end(self, key: str) -> str:
        ended = [one for one in self._open if key and one.end is None and one.begins.key == key]
        for one in ended:
            one.end = self.now
        return ", ".join(one.fault.label for one in ended)

    def _note(self, activity: Activity, outcome: Outcome, text: str) -> None:
        self.lines.append(Line(activity.name or activity.does, outcome, text))


def _require_link(fault: Fault) -> None:
    """Refuse a link that the shop does not have: the run would find out when the fault is due."""
    service, peer = fault.target.service, fault.target.link
    if fault.place == "link" and peer == "redis" and service not in WITH_REDIS:
        raise FaultError(f"{service} does not use Redis")
    if fault.place == "link" and peer in SERVICES and peer not in CALLS.get(service, ()):  # type: ignore[call-overload]
        raise FaultError(f"{service} does not call {peer}")


def heading(path: Path, imported: Imported) -> str:
    """Return what the head of the new file says: where it comes from, and what became of each activity."""
    lines = "\n".join(str(line) for line in imported.lines)
    return f"Made from {path.name}, an experiment of Chaos Toolkit. What became of each activity:\n{lines}"


__all__ = ["Imported", "Line", "heading", "import_chaostoolkit"]
