"""What every service measures about itself: HTTP traffic, its process, its event loop, its release.

One :class:`Telemetry` per application, on a registry that is passed in, so that two applications in one process do not
meet. Services add their own metrics to ``telemetry.registry``; :class:`DurationHistogram` is there for whatever they
time. Not here: the middleware that feeds it (``services.assemble``) and the reading of metrics (``signals``).
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

import cloudcart
from cloudcart.telemetry.exposition import BucketFamily, write_page

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# Renard series R40 (ISO 3), in hundredths as the standard rounds it: 40 steps a decade, so a bucket is at most 7 %
# wide and the service-level bounds that people choose (0.25, 0.5, 1, 2, 5 s) are edges.
# fmt: off
_R40: Final = (
    100, 106, 112, 118, 125, 132, 140, 150, 160, 170, 180, 190, 200, 212, 224, 236, 250, 265, 280, 300,
    315, 335, 355, 375, 400, 425, 450, 475, 500, 530, 560, 600, 630, 670, 710, 750, 800, 850, 900, 950,
)
# fmt: on
_SHORTEST: Final = 1e-3
_LONGEST: Final = 30.0
_LAG_PERIOD: Final = 0.05
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def bucket_edges() -> tuple[float, ...]:
    """Return the upper edges, in seconds, of every duration histogram: R40 from 1 ms to 30 s."""
    edges = (float(f"{step}e{decade}") for decade in range(-5, 0) for step in _R40)
    return tuple(edge for edge in edges if _SHORTEST <= edge <= _LONGEST)


_EDGES: Final = bucket_edges()
_LABELS: Final = (*map(str, _EDGES), "+Inf")


class Durations:
    """One series of durations. ``observe`` is a binary search and two additions: about half a microsecond."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * len(_LABELS)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(_EDGES, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper edge, how many were at or below it), as the text format wants them."""
        cumulative, buckets = 0, []
        for edge, count in zip(_LABELS, self.counts, strict=True):
            cumulative += count
            buckets.append((edge, float(cumulative)))
        return buckets


class DurationHistogram(Collector):
    """A histogram of seconds with the fine buckets of :func:`bucket_edges`, quick to observe.

    Args:
        name: as ``db_query_duration_seconds``.
        documentation: the help text.
        registry: where it is registered.
        labels: names of the labels whose values :meth:`labels` takes, in this order.
        constant: labels that have one value for the whole process.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        registry: CollectorRegistry,
        labels: Sequence[str] = (),
        constant: Mapping[str, str] | None = None,
    ) -> None:
        self._family = (name, documentation, (*(constant or {}), *labels))
        self._constant = tuple((constant or {}).values())
        self._series: dict[tuple[str, ...], Durations] = {}
        if not labels:
            self.labels()  # a histogram without labels shows from the start
        registry.register(self)

    def labels(self, *values: str) -> Durations:
        """Return the series with these label values; keep it where the path is hot."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Durations()
        return series

    def observe(self, seconds: float) -> None:
        """Count one duration in the series without labels."""
        self._series[()].observe(seconds)

    def collect(self) -> Iterator[BucketFamily]:
        """Yield the family, as prometheus_client's registries ask for it."""
        name, documentation, labels = self._family
        yield BucketFamily(
            name,
            documentation,
            _LABELS,
            (
                (dict(zip(labels, (*self._constant, *values), strict=True)), series.counts, series.total)
                for values, series in self._series.items()
            ),
        )


class HttpTraffic(Collector):
    """The three HTTP metrics of a service; one dictionary look-up and one observation a request."""

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        self.in_flight = 0
        self._service = service
        self._series: dict[tuple[str, str], tuple[Durations, dict[int, int]]] = {}
        registry.register(self)

    def record(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        series = self._series.get((method, route))
        if series is None:
            series = self._series.setdefault((method if method in _METHODS else "other", route), (Durations(), {}))
        durations, statuses = series
        durations.counts[bisect_left(_EDGES, seconds)] += 1  # as Durations.observe, without the call
        durations.total += seconds
        statuses[status] = statuses.get(status, 0) + 1

    def collect(self) -> Iterator[CounterMetricFamily | BucketFamily | GaugeMetricFamily]:
        """Yield the families, as prometheus_client's registries ask for them."""
        labels = ("service", "method", "route")
        requests = CounterMetricFamily("http_requests", "Requests answered.", labels=(*labels, "status"))
        timed = []
        for (method, route), (durations, statuses) in self._series.items():
            series = {"service": self._service, "method": method, "route": route}
            timed.append((series, durations.counts, durations.total))
            for status, count in statuses.items():
                requests.add_metric((*series.values(), str(status)), count)
        yield requests
        yield BucketFamily("http_request_duration_seconds", "Time to the end of the answer.", _LABELS, timed)
        yield GaugeMetricFamily("http_requests_in_flight", "Requests being served now.", value=self.in_flight)


class Telemetry:
    """The metrics that every service has.

    Args:
        service: value of the label ``service``.
        registry: where they are registered; a fresh one if none is given.
        restarts: how often the supervisor has restarted this service; by default it says so in the environment.
    """

    def __init__(self, service: str, registry: CollectorRegistry | None = None, *, restarts: int | None = None) -> None:
        self.service = service
        self.registry = registry = registry or CollectorRegistry()
        self.http = HttpTraffic(service, registry)
        self.db_query_duration_seconds = DurationHistogram(
            "db_query_duration_seconds",
            "Time of one database statement.",
            registry=registry,
            constant={"service": service},
        )
        self.event_loop_lag_seconds = DurationHistogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", registry=registry
        )
        self.kafka_events_published_total = Counter(
            "kafka_events_published_total", "Events that Kafka has confirmed.", ["topic"], registry=registry
        )
        self.service_restarts_total = Counter(
            "service_restarts_total", "Restarts by the supervisor.", ["service"], registry=registry
        ).labels(service)
        self.service_restarts_total.inc(_count_from("CLOUDCART_RESTARTS") if restarts is None else restarts)
        self.cloudcart_deployments_total = Counter(
            "cloudcart_deployments_total", "Releases of this service that were started.", ["service"], registry=registry
        ).labels(service)
        self.cloudcart_deployments_total.inc(_count_from("CLOUDCART_DEPLOYMENTS", default=1))
        self.cloudcart_build_info = Gauge(
            "cloudcart_build_info", "Always 1; the release is in the labels.", ["version", "commit"], registry=registry
        ).labels(cloudcart.__version__, os.environ.get("CLOUDCART_COMMIT", "unknown"))
        self.cloudcart_build_info.set(1)
        ProcessCollector(registry=registry)

    def exposition(self) -> bytes:
        """Return the text that ``/metrics`` answers."""
        return write_page(self.registry)

    async def watch_event_loop(self) -> None:
        """Measure the event loop's lag until cancelled: how much later than due a timer runs."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_PERIOD
            await asyncio.sleep(_LAG_PERIOD)
            self.event_loop_lag_seconds.observe(max(0.0, loop.time() - due))


def _count_from(variable: str, *, default: int = 0) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else default
