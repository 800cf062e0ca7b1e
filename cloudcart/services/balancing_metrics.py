"""What the balancers of a process did, read from them at each scrape; nothing is counted here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from cloudcart.services.balancing import Balancer, Reason

_REASONS: Final[tuple[Reason, ...]] = ("errors", "latency")


class Ejections(Collector):
    """``upstream_ejections_total{upstream,replica,reason}`` and ``upstream_replica_ejected{upstream,replica}``."""

    def __init__(self, balancers: Iterable[Balancer], registry: CollectorRegistry) -> None:
        self._balancers = tuple(balancers)
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the families, as prometheus_client's registries ask for them."""
        total = CounterMetricFamily(
            "upstream_ejections", "Times a replica was ejected as an outlier.", labels=("upstream", "replica", "reason")
        )
        now = GaugeMetricFamily(
            "upstream_replica_ejected", "1: ejected as an outlier, or on trial.", labels=("upstream", "replica")
        )
        for balancer in self._balancers:
            for replica in balancer.replicas:
                where = (balancer.service, str(replica.number))
                now.add_metric(where, float(replica.until is not None))
                for reason in _REASONS:
                    total.add_metric((*where, reason), replica.ejections[reason])
        yield total
        yield now
