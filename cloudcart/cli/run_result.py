"""A finished run on the terminal, and as the document of ``run --json``: objectives, faults, invariants, verdict.

Takes the fields of ``run.json``. Not here: judging (``experiment.judgement``), the report with charts (``report``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cloudcart.cli.output import escape, plain_table

if TYPE_CHECKING:
    from rich.console import RenderableType

Record = Mapping[str, Any]

EXIT_CODES: Final = {"pass": 0, "fail": 1, "inconclusive": 3}
"""Verdict to exit code."""

_STYLES: Final = {"pass": "green", "fail": "bold red", "inconclusive": "bold yellow"}
_PRINTED: Final = ("verdict", "seed", "seconds", "directory", "objectives", "faults", "invariants")
_OBJECTIVE: Final = ("objective", "verdict", "reading", "bound", "samples", "error_bound", "reason")
_FAULT: Final = ("id", "kind", "target", "drawn", "injected", "window")


def result_document(record: Record) -> dict[str, Any]:
    """Return what ``run --json`` prints: the heart of ``run.json``."""
    return {
        **{name: record[name] for name in _PRINTED},
        "objectives": [{name: found.get(name) for name in _OBJECTIVE} for found in record["objectives"]],
        "faults": [{name: fault.get(name) for name in _FAULT} for fault in record["faults"]],
        "notes": record["notes"],
    }


def result_parts(record: Record, report: str) -> Iterable[RenderableType]:
    """Yield what people read: tables, the notes, and at the end the verdict with the report's path."""
    if record["objectives"]:
        yield _objectives(record["objectives"])
        yield ""
    if record["faults"]:
        yield _faults(record["faults"])
        yield ""
    if record["invariants"]:
        yield _invariants(record["invariants"])
        yield ""
    for note in record["notes"]:
        yield f"[yellow]note[/yellow]  {escape(note)}"
    verdict = record["verdict"]
    yield f"[{_STYLES[verdict]}]{verdict.upper()}[/]  {escape(record['name'])}: {escape(record['claim'])}"
    yield f"seed {record['seed']}, {record['seconds']:.1f} s; report: {escape(report)}"


def _objectives(found: Sequence[Record]) -> RenderableType:
    table = plain_table("verdict", "objective", "reading", "samples", "why")
    for one in found:
        reading = one.get("reading_text") or _number(one["reading"])
        samples = _number(one["samples"])
        table.add_row(_verdict(one["verdict"]), escape(one["objective"]), reading, samples, escape(one["reason"]))
    return table


def _faults(found: Sequence[Record]) -> RenderableType:
    table = plain_table("fault", "target", "drawn", "injected", "acted for")
    for fault in found:
        start, end = fault["window"]
        counts = (str(fault["drawn"]), str(fault["injected"]))
        table.add_row(
            escape(fault.get("label", fault["kind"])), escape(fault["target"]), *counts, f"{end - start:.1f} s"
        )
    return table


def _invariants(found: Sequence[Record]) -> RenderableType:
    table = plain_table("verdict", "invariant", "detail")
    for one in found:
        table.add_row(_verdict(one["verdict"]), escape(one["name"]), escape(one["detail"]))
    return table


def _verdict(verdict: str) -> str:
    return f"[{_STYLES[verdict]}]{verdict}[/]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
