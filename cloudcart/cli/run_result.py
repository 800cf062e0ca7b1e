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
PRINTED: Final = ("verdict", "seed", "seconds", "directory", "objectives", "faults", "invariants", "notes")


def result_document(record: Record) -> dict[str, Any]:
    """Return what ``run --json`` prints: the heart of ``run.json``."""
    return {name: record[name] for name in PRINTED}


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
    yield f"seed {record['seed']}, took {record['seconds']:.0f} s"
    yield f"report: {escape(report)}"


def _objectives(found: Sequence[Record]) -> RenderableType:
    """Return a row for each objective; its text holds the bound, and the reason the reading and its samples."""
    table = plain_table("verdict", "objective", "reading", wrap=2)
    for one in found:
        where = ", ".join(filter(None, (one["route"], one["service"], one["phase"] and f"{one['phase']} phase")))
        objective = escape(one["objective"]) + (f"\n[dim]{escape(where)}[/dim]" if where else "")
        table.add_row(_verdict(one["verdict"]), objective, escape(one["reason"]))
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
