"""The gateway's own metrics; those that every service has are in ``telemetry.metrics``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cloudcart.services.gateway.breaker import CircuitBreaker
from cloudcart.telemetry.metrics import DurationHistogram


class GatewayMetrics:
    """One object with a metric for each thing that the gateway decides."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rate_limit_exceeded_total = Counter(
            "rate_limit_exceeded_total", "Requests refused by the rate limit.", registry=registry
        )
        self.rate_limit_local = Gauge(
            "rate_limit_local", "1 while requests are counted in this process alone, without Redis.", registry=registry
        )
        self.jwt_validation_failures_total = Counter(
            "jwt_validation_failures_total", "Requests refused for their token.", ["reason"], registry=registry
        )
        self.upstream_request_duration_seconds = DurationHistogram(
            "upstream_request_duration_seconds",
            "Time of one attempt at an upstream.",
            labels=("upstream",),
            registry=registry,
        )
        self.upstream_errors_total = Counter(
            "upstream_errors_total", "Attempts without an answer, or answered 5xx.", ["upstream"], registry=registry
        )
        self.upstream_retries_total = Counter(
            "upstream_retries_total", "Attempts that repeated a failed one.", ["upstream"], registry=registry
        )
        self.cache_hits_total = Counter("cache_hits_total", "Product lists answered from memory.", registry=registry)
        self.cache_misses_total = Counter("cache_misses_total", "Product lists asked for upstream.", registry=registry)
        self.cache_stale_total = Counter(
            "cache_stale_total", "Product lists answered from memory because products did not.", registry=registry
        )


class BreakerStates(Collector):
    """``circuit_breaker_state{upstream}``: 0 closed, 1 half open, 2 open; read from the breakers at each scrape."""

    def __init__(self, breakers: Mapping[str, CircuitBreaker], registry: CollectorRegistry) -> None:
        self._breakers = breakers
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family, as prometheus_client's registries ask for it."""
        family = GaugeMetricFamily(
            "circuit_breaker_state", "0 closed, 1 half open, 2 open: not called.", labels=("upstream",)
        )
        for upstream, breaker in self._breakers.items():
            family.add_metric((upstream,), breaker.state)
        yield family
