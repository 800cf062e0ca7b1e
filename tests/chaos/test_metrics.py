"""The metrics of faults agree with what was injected."""

from __future__ import annotations

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.metrics import ChaosMetrics
from cloudcart.chaos.middleware import ChaosMiddleware
from cloudcart.faults import parse_fault


def test_they_show_from_the_start() -> None:
    registry = CollectorRegistry()
    ChaosMetrics(ActiveFaults("mine", lab=True), registry)
    for name in ("chaos_injected_latency_ms_count", "chaos_injected_errors_total", "chaos_injected_timeouts_total"):
        assert registry.get_sample_value(name) == 0


def test_they_agree_with_what_was_injected(echo: Any, request_to: Any, clock: Any) -> None:
    registry = CollectorRegistry()
    active = ActiveFaults("mine", lab=True, clock=clock)
    ChaosMetrics(active, registry)
    for number, document in enumerate(
        (
            {"kind": "latency", "fixed": "2ms", "probability": 0.5},
            {"kind": "error", "probability": 0.5, "ttl": "30s"},
            {"kind": "timeout", "after": "1ms", "first": 3},
        )
    ):
        active.add(parse_fault({"target": "mine", **document}, services=None), f"f{number}")
    app = ChaosMiddleware(echo, active=active)

    async def traffic() -> list[str]:
        return [mark for n in range(100) for mark in (await request_to(app, key=f"k{n}")).marks]

    marks = asyncio.run(traffic())
    injected = {
        kind: registry.get_sample_value("chaos_faults_injected_total", {"fault_id": f"f{n}", "kind": kind})
        for n, kind in enumerate(("latency", "error", "timeout"))
    }
    assert injected == {"latency": marks.count("f0"), "error": marks.count("f1"), "timeout": 3}
    assert registry.get_sample_value("chaos_injected_latency_ms_count") == injected["latency"]
    assert registry.get_sample_value("chaos_injected_errors_total") == injected["error"]
    assert registry.get_sample_value("chaos_injected_timeouts_total") == injected["timeout"]
    assert (registry.get_sample_value("chaos_injected_latency_ms_sum") or 0) >= 2 * marks.count("f0")
    assert registry.get_sample_value("chaos_injected_latency_ms_bucket", {"le": "30000"}) == injected["latency"]

    labels = {"kind": "error", "target": "mine"}
    assert registry.get_sample_value("chaos_faults_active", labels) == 1
    clock.now += 30
    assert registry.get_sample_value("chaos_faults_active", labels) is None, "noticed without traffic, too"
