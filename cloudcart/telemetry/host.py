"""The machine that a lab runs on: CPU, memory, disk. Read when asked; once per lab, by the gateway.

Not here: what a single process uses, which every service tells of itself (``telemetry.metrics``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


class HostCollector(Collector):
    """Tells how busy and how full the machine is. The disk is the one for temporary files, where labs live.

    Args:
        registry: where it is registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._disk = tempfile.gettempdir()
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing, so that registering costs nothing."""
        yield from ()

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the families, as prometheus_client's registries ask for them."""
        spent = CounterMetricFamily("host_cpu_seconds", "Seconds of all CPUs, by what they did.", labels=("mode",))
        for mode, seconds in psutil.cpu_times()._asdict().items():
            if not mode.startswith("guest"):  # which are part of user and nice
                spent.add_metric((mode,), seconds)
        yield spent
        yield GaugeMetricFamily("host_cpus", "CPUs of the machine.", value=psutil.cpu_count() or 1)
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(self._disk)
        yield GaugeMetricFamily("host_memory_bytes", "Memory of the machine.", value=memory.total)
        yield GaugeMetricFamily("host_memory_available_bytes", "Memory that may still be used.", value=memory.available)
        yield GaugeMetricFamily("host_disk_bytes", "Disk on which labs live.", value=disk.total)
        yield GaugeMetricFamily("host_disk_free_bytes", "Room left on that disk.", value=disk.free)
