"""From what a run saw to what it means: every objective judged, every fault accounted for, one verdict.

Pure: takes evidence, returns the fields of ``run.json``. ``run.py`` gathers the evidence; ``signals`` knows statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cloudcart.experiment.agreement import agreement
from cloudcart.experiment.arms import compare_arms, read_rows
from cloudcart.experiment.budgets import budgets
from cloudcart.experiment.experiment import Experiment
from cloudcart.experiment.readings import Readings, overview
from cloudcart.lab import InjectedFault, InvariantResult
from cloudcart.signals import (
    TOLERANCE,
    Judgement,
    MetricNames,
    Objective,
    PrometheusSource,
    Reading,
    RowsSource,
    Scrape,
    ScrapeSource,
    Source,
    Verdict,
    Window,
    clopper_pearson,
    disagreement,
    judge,
    merge,
)

_COMPARED: Final = ("traffic > 0/s", "errors <= 100%")
"""Signals in which client and gateway must agree, written as objectives that say nothing."""

_EDGE: Final = 0.25
"""Seconds around an edge in which a request may be on one side for the client and on the other for the gateway."""

_ACCOUNTING_CONFIDENCE: Final = 0.999
"""A fault's count outside this interval around its probability means that it did not act as declared."""


@dataclass(frozen=True)
class Evidence:
    """Everything that a run saw."""

    experiment: Experiment
    phases: Sequence[Window]
    requests: Path
    scrapes: Sequence[Scrape]
    faults: Sequence[InjectedFault]
    recovery: Reading | None
    load_doubts: Sequence[str]
    invariants: Sequence[InvariantResult]
    prometheus: str = ""
    names: MetricNames = field(default_factory=MetricNames)
    aborted: Judgement | None = None
    notes: Sequence[str] = field(default_factory=list)

    def sources(self, opened: ExitStack) -> dict[str, Source]:
        """Return what readings can be taken from; what must be closed again is entered into ``opened``."""
        found: dict[str, Source] = {
            "client": RowsSource(self.requests),
            "scrape": ScrapeSource(self.scrapes, self.names),
        }
        if self.prometheus:
            found["prometheus"] = opened.enter_context(closing(PrometheusSource(self.prometheus)))
        return found

    @property
    def services(self) -> list[str]:
        """The services that were scraped."""
        return sorted({service for scrape in self.scrapes for service in scrape.pages})


def judge_run(evidence: Evidence) -> dict[str, Any]:
    """Return the fields of ``run.json`` that say what happened: phases, objectives, faults, invariants, verdict, notes.

    The verdict is inconclusive, whatever was read, when the generator was the bottleneck, when a fault did not act as
    declared, or when the shop was not steady before the first fault.
    """
    with ExitStack() as opened:
        readings = Readings(
            evidence.phases, evidence.sources(opened), evidence.recovery, evidence.experiment.time_scale
        )
        judged = [judge(objective, readings.of(objective)) for objective in evidence.experiment.objectives]
        doubts = [*evidence.notes, *_doubts(evidence, readings)]
        seen = overview(readings, evidence.services)
        agreed = agreement(readings, evidence.experiment.objectives)
        spent = budgets(readings, evidence.experiment.objectives, evidence.experiment.time_scale)
    if evidence.aborted:
        judged.append(evidence.aborted)
    verdict = merge([*(found.verdict for found in judged), *(Verdict(found.verdict) for found in evidence.invariants)])
    return {
        "verdict": str(Verdict.INCONCLUSIVE if doubts else verdict),
        "phases": [{"name": phase.name, "start": phase.start, "end": phase.end} for phase in evidence.phases],
        "objectives": [found.document() for found in judged],
        "faults": [_fault_entry(fault) for fault in evidence.faults],
        "invariants": [found._asdict() for found in evidence.invariants],
        "recovery_seconds": evidence.recovery.value if evidence.recovery else None,
        "readings": [reading.document() for reading in seen],
        "agreement": agreed,
        "arms": _arms(evidence),
        "budgets": spent,
        "notes": [*doubts, *(found["detail"] for found in agreed if not found["agrees"])],
    }


def _doubts(evidence: Evidence, readings: Readings) -> list[str]:
    """Return, one sentence each, the reasons why nothing can be concluded from this run."""
    doubts = list(evidence.load_doubts)
    doubts += [doubt for fault in evidence.faults if (doubt := _misfire(fault))]
    if len(evidence.faults) < len(evidence.experiment.faults) and not evidence.aborted:
        doubts.append("not every fault of the schedule was injected: the run ended early")
    for objective in evidence.experiment.steady:
        found = judge(objective, readings.of(objective))
        if found.verdict is Verdict.FAIL:
            doubts.append(f"the shop was not steady before the first fault: {objective.text}: {found.reason}")
    return doubts + _disagreements(readings)


def _misfire(fault: InjectedFault) -> str | None:
    """Say how a fault's count contradicts its declaration; None if it does not.

    Requests are hit independently, so the count is binomial: it must be within its 99.9 % interval (Clopper-Pearson).
    A ramp, a cap or a limit on the number makes the count depend on time, so then only the lack of any hit is told.
    What is skipped is not drawn for either, so it changes nothing.
    """
    value = fault.fault
    if fault.injected == 0 and value.probability > 0:
        return f"{value.label} was injected, but hit no request: check its target, route, method and matchers"
    if value.first or value.ramp or value.max_active:
        return None
    low, high = clopper_pearson(fault.injected, fault.drawn, confidence=_ACCOUNTING_CONFIDENCE)
    if low <= value.probability <= high:
        return None
    hit = f"{value.label} hit {fault.injected} of {fault.drawn} requests"
    return f"{hit}, which does not fit its probability of {value.probability:g}"


def _disagreements(readings: Readings) -> list[str]:
    """Compare what clients saw with what the gateway counted, over the whole run.

    A request at an edge of the run may count on either side: in a short run that is more than the sources' tolerance,
    and where a run ends while requests wait for their answers, it is all of these.
    """
    found, whole = [], readings.whole()
    tolerance = max(TOLERANCE, 2 * _EDGE / whole.seconds) if whole.seconds else 1.0
    across = readings.across(whole)
    for text in _COMPARED:
        objective = Objective.parse(text, service="gateway")
        pair = [readings.read(source, objective, whole) for source in ("client", "scrape")]
        if not _explained(pair, across) and (said := disagreement(pair, tolerance)):
            found.append(said)
    return found


def _explained(pair: Sequence[Reading], across: float) -> bool:
    """Say whether two readings differ by no more than the share of requests that were under way at the edges."""
    first, second = (reading.value or 0.0 for reading in pair)
    scale = 1.0 if pair[0].unit == "ratio" else max(first, second)
    return abs(first - second) <= across * scale


def _arms(evidence: Evidence) -> dict[str, Any] | None:
    """Return how visits that faults could hit differ from those they spared; None without a control arm."""
    share = evidence.experiment.control_share
    window = next((phase for phase in evidence.phases if phase.name == "fault"), None)
    if not share or window is None:
        return None
    found = compare_arms(read_rows(evidence.requests), window, share)
    return {"control": share, "differences": [one.document() for one in found]}


def _fault_entry(fault: InjectedFault) -> dict[str, Any]:
    value = fault.fault
    return {
        "id": fault.id,
        "kind": value.kind,
        "target": str(value.target),
        "label": value.label,
        "drawn": fault.drawn,
        "injected": fault.injected,
        "probability": value.probability,
        "window": [fault.window.start, fault.window.end],
        "document": value.document(),
    }
