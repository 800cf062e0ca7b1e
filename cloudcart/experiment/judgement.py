"""From what a run saw to what it means: every objective judged, every fault accounted for, one verdict.

Pure: takes evidence, returns the fields of ``run.json``. ``run.py`` gathers the evidence; ``signals`` knows statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cloudcart.experiment.experiment import Experiment
from cloudcart.lab import InjectedFault, InvariantResult
from cloudcart.signals import (
    Judgement,
    Objective,
    Reading,
    RowsSource,
    Scrape,
    ScrapeSource,
    Verdict,
    Window,
    disagreement,
    judge,
    merge,
    ratio_interval,
)

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
    recovery: float | None
    saturated: str | None
    invariants: Sequence[InvariantResult]
    notes: Sequence[str] = field(default_factory=list)


def judge_run(evidence: Evidence) -> dict[str, Any]:
    """Return the fields of ``run.json`` that say what happened: phases, objectives, faults, invariants, verdict, notes.

    The verdict is inconclusive, whatever was read, when the generator was the bottleneck, when a fault did not act as
    declared, or when the shop was not steady before the first fault.
    """
    sources = _Sources(evidence)
    judged = [judge(objective, sources.read(objective)) for objective in evidence.experiment.objectives]
    doubts = [*evidence.notes, *_doubts(evidence, sources)]
    verdict = merge([*(found.verdict for found in judged), *(Verdict(found.verdict) for found in evidence.invariants)])
    return {
        "verdict": str(Verdict.INCONCLUSIVE if doubts else verdict),
        "phases": [phase.model_dump(mode="json") for phase in evidence.phases],
        "objectives": [_objective_entry(found) for found in judged],
        "faults": [_fault_entry(fault) for fault in evidence.faults],
        "invariants": [found._asdict() for found in evidence.invariants],
        "recovery_seconds": evidence.recovery,
        "notes": doubts,
    }
