"""A recorded run as ``experiment`` leaves it: made-up rows and scrapes, real readings and verdicts."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from pyarrow import parquet

from cloudcart.signals import (
    Objective,
    Reading,
    RowsSource,
    SteadyState,
    Verdict,
    Window,
    judge,
    merge,
    time_to_recover,
)

START = 1_760_000_000.0
PHASES = [
    Window(START + a, START + b, name)
    for name, a, b in (("warmup", 0, 3), ("steady", 3, 8), ("fault", 8, 18), ("recovery", 18, 26))
]
ROUTES = ("GET /api/products", "GET /api/products/{id}", "POST /api/orders", "POST /api/orders/{id}/pay")
LEVELS = {"gateway": 0.32, "users": 0.06, "products": 0.21, "orders": 0.28, "chaos": 0.02, "notifications": 0.09}

BESIDES = {
    "agreement": [
        {
            "signal": "p99",
            "unit": "s",
            "route": "POST /api/orders",
            "phase": "fault",
            "readings": {"clients": 0.412, "gateway": 0.405, "orders": 0.398},
            "agrees": True,
            "detail": "",
        },
        {
            "signal": "errors",
            "unit": "ratio",
            "route": None,
            "phase": None,
            "readings": {"clients": 0.031, "gateway": 0.0},
            "agrees": False,
            "detail": "clients and gateway disagree on errors: 3.1 % and 0 %",
        },
        {
            "signal": "p95",
            "unit": "s",
            "route": "GET /api/products",
            "phase": None,
            "readings": {"clients": 0.021, "gateway": 0.012, "products": 0.008},
            "agrees": True,
            "detail": "products answered 10/s of the gateway's 40/s (cache, retries or breaker between them)",
        },
    ],
    "arms": {
        "control": 0.2,
        "differences": [
            {
                "signal": signal,
                "unit": unit,
                "phase": "fault",
                "source": "client",
                "service": "gateway",
                "route": None,
                "before": before,
                "after": after,
                "samples": [320, 1280],
                "difference": after - before,
                "low": low,
                "high": None if signal == "p99" else (after - before) * 1.4,
                "word": word,
            }
            for signal, unit, before, after, low, word in (
                ("mean", "s", 0.014, 0.052, 0.03, "worse"),
                ("p99", "s", 0.06, 0.41, None, "no difference shown"),
                ("errors", "ratio", 0.0, 0.08, 0.05, "worse"),
            )
        ],
    },
    "budgets": [
        {
            "slo": 0.99,
            "source": "client",
            "service": "gateway",
            "route": None,
            "requests": 3680,
            "errors": 128,
            "spent": 3.48,
            "burn": {"steady": 0.0, "fault": 8.0, "recovery": None},
            "period": 7200.0,
            "seconds_left": 2070.0,
        }
    ],
}
"""What ``run.json`` says of agreement, arms and budgets."""


def write_rows(path: Path, *, broken_errors: float, rate: int = 160) -> None:
    chance = random.Random(7)
    rows = []
    for i in range(26 * rate):
        due = START + i / rate
        broken = 8 <= due - START < 18.4
        latency = 0.012 * math.exp(chance.gauss(0, 0.45)) + (chance.random() < 0.01) * 0.04
        hit = broken and chance.random() < 0.3
        if hit:
            latency += 0.08 * math.exp(chance.gauss(0, 1.04))
        status = 503 if broken and chance.random() < broken_errors else 200
        rows.append(
            (
                due,
                due + 0.001,
                due + latency,
                ROUTES[i % 4],
                "checkout",
                i // 4,
                i % 4,
                status,
                "",
                "f-1" if hit else "",
                "t",
                "k",
            )
        )
    names = (
        "due",
        "sent",
        "done",
        "name",
        "journey",
        "arrival",
        "step",
        "status",
        "error",
        "fault_ids",
        "trace_id",
        "key",
    )
    parquet.write_table(pyarrow.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)


def write_signals(path: Path) -> None:
    chance = random.Random(3)
    rows = []
    for second in range(26):
        broken = 8 <= second < 18
        for service, level in LEVELS.items():
            cpu = level * (1 + 0.25 * broken) * chance.uniform(0.9, 1.1)
            rows.append((START + second + 0.5, service, "cpu", None, cpu))
            rows.append((START + second + 1, service, "memory", None, 7e7 * (1 + level)))
            rows.append((START + second + 0.5, service, "loop_lag", None, 0.002 * chance.uniform(0.9, 1.1)))
        rows.append((START + second + 1, "orders", "pool", None, 0.1 + 0.4 * broken))
        rows.append((START + second + 1, "orders", "outbox", None, 30.0 * broken))
        rows.append((START + second + 0.5, "notifications", "dead_letters", None, float(second in (9, 11))))
        rows.append((START + second + 0.5, "products", "p95", "GET /products", 0.008))
        lag = max(
            0.0, 40.0 * (second - 8) if broken else 400 - 130 * (second - 17) if second >= 18 else chance.randint(0, 6)
        )
        rows.append((START + second + 1, "notifications", "lag", None, lag))
        rows.append((START + second + 1, "gateway", "p99", "GET /api/products", 0.1))
    names = ("time", "service", "signal", "route", "value")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    parquet.write_table(pyarrow.table(columns), path)


def record(folder: Path, *, broken_errors: float = 0.0, saturated: str | None = None) -> SimpleNamespace:
    """Write a run's files into ``folder``; return it with what ``run.json`` says."""
    write_rows(folder / "requests.parquet", broken_errors=broken_errors)
    write_signals(folder / "signals.parquet")
    source = RowsSource(folder / "requests.parquet")
    windows = {phase.name: phase for phase in PHASES}
    whole = Window(START + 3, START + 26)
    objectives = [
        Objective.parse("p99 < 2s", route="POST /api/orders", phase="fault"),
        Objective.parse("p95 < 500ms"),
        Objective.parse("errors < 1%"),
        Objective.parse("traffic > 120/s", name="as many visits as asked for"),
        Objective.parse("p99.9 < 3s", phase="steady"),
        Objective.parse("recovery < 3s"),
    ]
    of_services = [
        Objective.parse("outbox < 50", service="orders"),
        Objective.parse("dead_letters < 5"),
        Objective.parse("p95 < 50ms", service="products", route="GET /api/products"),
    ]
    steady = SteadyState.seen(source, windows["steady"])
    recovered = time_to_recover(source, windows["fault"].end, steady, until=START + 26)
    judged = [
        judge(
            it,
            recovered
            if it.signal == "recovery"
            else source.read(it.signal, windows.get(it.phase, whole), route=it.route),
        )
        for it in objectives
    ]
    values = {"outbox": 30.0, "dead_letters": 2.0, "p95": 0.008}
    judged += [
        judge(
            it,
            Reading(it.signal, (at := values[it.signal]), it.unit, 26, at, at, whole, it.source, it.service, it.route),
        )
        for it in of_services
    ]
    hits = source.read("injected", windows["fault"]).value
    notes = [f"the load generator was the bottleneck: {saturated}"] if saturated else []
    invariants = [
        {
            "name": "stock adds up",
            "verdict": "pass",
            "detail": "24 products: initial + admin - sold + restored = stock",
        },
        {
            "name": "one payment per order",
            "verdict": "pass",
            "detail": "1,040 confirmed orders, 1,040 payments, same amounts",
        },
        {"name": "one event per change", "verdict": "pass", "detail": "3,120 state changes, 3,120 events, in order"},
        {"name": "events handled once", "verdict": "pass", "detail": "3,120 handled, 0 twice, 0 pending"},
    ]
    run = {
        "schema_version": 1,
        "name": "orders_survive_slow_products",
        "claim": "Check-out goes on while the product service answers slowly.",
        "verdict": "inconclusive" if notes else str(merge([*(it.verdict for it in judged), Verdict.PASS])),
        "seed": 7,
        "started_at": "2025-10-09T08:53:20.000Z",
        "seconds": 31.4,
        "directory": "cloudcart-runs/orders_survive_slow_products-20251009-085320",
        "command": "pytest scenarios/test_orders_survive_slow_products.py --cloudcart-seed 7",
        "versions": {"python": "3.11.9", "cloudcart": "0.1.0", "locust": "2.32.0", "fastapi": "0.115.0"},
        "machine": {"cpus": 2, "memory_bytes": 8_327_000_064, "python": "3.11.9", "platform": "Linux x86_64"},
        "backend": "embedded",
        "settings": {"gateway.rate_limit": "off"},
        "load": {
            "journey": "checkout",
            "model": "open",
            "rate": 40.0,
            "duration": "26s",
            "warmup": "3s",
            "users": None,
            "stages": [],
        },
        "phases": [{"name": phase.name, "start": phase.start, "end": phase.end} for phase in PHASES],
        "objectives": [it.document() for it in judged],
        "faults": [
            {
                "id": "f-1",
                "kind": "latency",
                "target": "products",
                "label": "+80ms on products",
                "drawn": source.read("traffic", windows["fault"]).samples,
                "injected": int(hits),
                "probability": 0.3,
                "window": [START + 8, START + 18],
                "document": {
                    "kind": "latency",
                    "target": "products",
                    "median": "80ms",
                    "p99": "900ms",
                    "probability": 0.3,
                },
            },
            {
                "id": "f-2",
                "kind": "error",
                "target": "orders",
                "label": "503 on orders",
                "drawn": 400,
                "injected": 20,
                "probability": 1.0,
                "window": [START + 12, START + 15],
                "document": {"kind": "error", "target": "orders", "status": 503, "first": 20},
            },
        ],
        "invariants": invariants,
        "generator": {"saturated": saturated, "lateness_p99": 0.0021, "cpu": 0.31},
        "recovery_seconds": recovered.value,
        **BESIDES,
        "notes": notes,
    }
    (folder / "run.json").write_text(json.dumps(run, indent=2))
    return SimpleNamespace(folder=folder, run=run)


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Record a run: ``recorded(broken_errors=0.1)``."""
    return lambda **what: record(tmp_path, **what)
