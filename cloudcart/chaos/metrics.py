"""The metrics of the faults that act in one process, read from their bookkeeping when somebody scrapes.

There is no second set of counters, so metrics, reports to the control plane and events cannot disagree. An
application makes one :class:`ChaosMetrics` on its own registry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.record import Effects
from cloudcart.faults import Fault

Reported = Callable[[], Iterable[tuple[str, str, int]]]


class ChaosMetrics(Collector):
    """The five metrics of faults in this process; they show from the start, at zero.

    ``chaos_faults_injected_total`` keeps a series for the last 200 faults, so that a lab that runs for weeks does not
    grow without bound.

    Args:
        active: the bookkeeping.
        registry: gets the metrics.
        reported: hits in processes that nobody can scrape, as they have reported them: fault, kind, number.
    """

    def __init__(self, active: ActiveFaults, registry: CollectorRegistry, reported: Reported = tuple) -> None:
        self._active = active
        self._reported = reported
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the families, as prometheus_client's registries ask for them."""
        injected = CounterMetricFamily(
            "chaos_faults_injected",
            "Requests, calls, messages, connections that a fault hit.",
            labels=("fault_id", "kind"),
        )
        hits: Counter[tuple[str, str]] = Counter()
        for record in self._active.history():
            hits[record.id, record.fault.kind] += record.injected
        for fault_id, kind, count in self._reported():
            hits[fault_id, kind] += count
        for labels, count in hits.items():
            injected.add_metric(labels, count)
        yield injected
        yield active_gauge(record.fault for record in self._active.records())
        yield from _effects(self._active.effects)


def active_gauge(faults: Iterable[Fault]) -> GaugeMetricFamily:
    """Return ``chaos_faults_active`` for the faults in force at this moment."""
    family = GaugeMetricFamily("chaos_faults_active", "Faults in force now.", labels=("kind", "target"))
    for labels, count in Counter((fault.kind, str(fault.target)) for fault in faults).items():
        family.add_metric(labels, count)
    return family


def _effects(effects: Effects) -> Iterator[Metric]:
    delays = HistogramMetricFamily("chaos_injected_latency_ms", "Delays that faults caused, as measured.")
    buckets = [
        (edge if edge == "+Inf" else f"{float(edge) * 1e3:g}", count) for edge, count in effects.delays.buckets()
    ]
    delays.add_metric((), buckets, effects.delays.total * 1e3)
    yield delays
    yield CounterMetricFamily("chaos_injected_errors", "Answers that faults replaced.", value=effects.errors)
    yield CounterMetricFamily("chaos_injected_timeouts", "Requests left unanswered.", value=effects.timeouts)
