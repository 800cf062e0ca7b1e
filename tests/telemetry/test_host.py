"""The machine's own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from cloudcart.telemetry.host import HostCollector
from cloudcart.telemetry.metrics import Telemetry


def test_cpu_memory_and_disk_are_told() -> None:
    registry = CollectorRegistry()
    HostCollector(registry)

    def value(name: str, **labels: str) -> float:
        found = registry.get_sample_value(name, labels)
        assert found is not None, name
        return found

    assert value("host_cpus") >= 1
    assert value("host_cpu_seconds_total", mode="idle") > 0
    assert registry.get_sample_value("host_cpu_seconds_total", {"mode": "guest"}) is None
    for kind in ("memory", "disk"):
        free = "host_memory_available_bytes" if kind == "memory" else "host_disk_free_bytes"
        assert 0 < value(free) <= value(f"host_{kind}_bytes")


def test_its_text_is_written_like_that_of_others() -> None:
    telemetry = Telemetry("test")
    HostCollector(telemetry.registry)
    assert b'host_cpu_seconds_total{mode="user"}' in telemetry.exposition()
