"""A finished run as a document and as tables."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cloudcart.cli.run_result import EXIT_CODES, result_document, result_parts

OBJECTIVE = {
    "objective": "p99 < 2s",
    "route": "GET /api/products/{id}",
    "service": None,
    "phase": "fault",
    "verdict": "fail",
    "reading": 2.3456,
    "bound": 2.0,
    "samples": 400,
    "error_bound": [2.1, 2.6],
    "reason": "p99 is 2.35 s, above 2 s",
    "unit": "s",
}
FAULT = {
    "id": "f1",
    "kind": "latency",
    "target": "products",
    "label": "+80ms on products",
    "drawn": 100,
    "injected": 30,
    "window": [1000.0, 1008.0],
    "document": {},
}
RECORD = {
    "schema_version": 1,
    "name": "slow",
    "claim": "Nobody notices [really]",
    "verdict": "fail",
    "seed": 7,
    "seconds": 31.24,
    "directory": "/runs/slow",
    "objectives": [OBJECTIVE, {**OBJECTIVE, "verdict": "inconclusive", "reading": None, "samples": 0}],
    "faults": [FAULT],
    "invariants": [{"name": "stock", "verdict": "pass", "detail": "24 products"}],
    "notes": ["the generator was late"],
}


def printed(record):
    written = io.StringIO()
    Console(file=written, width=160).print(*result_parts(record, "/runs/slow/report.html"), sep="\n")
    return written.getvalue()


def test_the_document_is_the_contract():
    document = result_document(RECORD)
    contract = {"verdict", "seed", "seconds", "directory", "objectives", "faults", "invariants"}
    assert contract <= document.keys()
    wanted = {"objective", "verdict", "reading", "bound", "samples", "error_bound", "reason"}
    assert wanted <= document["objectives"][0].keys()
    assert {"id", "kind", "target", "drawn", "injected", "window"} <= document["faults"][0].keys()
    assert document["invariants"] == RECORD["invariants"]


def test_people_read_all_of_it():
    text = printed(RECORD)
    for said in (
        "p99 < 2s",
        "GET /api/products/{id}, fault phase",
        "p99 is 2.35 s, above 2 s",
        "+80ms on products",
        "8.0 s",
        "24 products",
    ):
        assert said in text
    assert "the generator was late" in text
    assert "FAIL  slow: Nobody notices [really]" in text
    assert text.rstrip().endswith("seed 7, took 31 s\nreport: /runs/slow/report.html")


def test_a_run_without_anything_still_has_a_verdict():
    text = printed({**RECORD, "objectives": [], "faults": [], "invariants": [], "notes": [], "verdict": "pass"})
    assert text.startswith("PASS")


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 3)])
def test_exit_codes(verdict, code):
    assert EXIT_CODES[verdict] == code
