"""Golden signals over one window, as somebody writes them in a test: ``signals.errors("gateway").ratio < 0.05``.

A thin front of a source, for tests by hand and notebooks; experiments judge objectives instead. Where there is no
data a number is NaN, which no comparison holds for.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloudcart.signals.reading import Reading, Window
from cloudcart.signals.source import Source


@dataclass(frozen=True, slots=True)
class LatencySignal:
    """Latency in seconds."""

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    samples: int


@dataclass(frozen=True, slots=True)
class ErrorsSignal:
    """The share of requests that failed, with its 95 % interval, and the share that was refused with 429."""

    ratio: float
    low: float
    high: float
    throttled: float
    samples: int


@dataclass(frozen=True, slots=True)
class TrafficSignal:
    """Requests a second, and how many in all."""

    rate: float
    requests: int


@dataclass(frozen=True, slots=True)
class SaturationSignal:
    """CPU (1 is a core), memory (bytes), event-loop lag (p99, s), pool (share in use), consumer lag (messages)."""

    cpu: float
    memory: float
    loop_lag: float
    pool: float
    lag: float


class Signals:
    """The golden signals over one window.

    Args:
        source: where they are read.
        window: over which time.
    """

    def __init__(self, source: Source, window: Window) -> None:
        self._source = source
        self.window = window

    def read(self, signal: str, service: str | None = None, route: str | None = None) -> Reading:
        """Return the full reading of any signal by name, with its interval and notes."""
        return self._source.read(signal, self.window, service=service, route=route)

    def latency(self, service: str = "gateway", route: str | None = None) -> LatencySignal:
        """Return how long requests took."""
        readings = [self.read(name, service, route) for name in ("p50", "p90", "p95", "p99", "mean")]
        p50, p90, p95, p99, mean = (_number(reading.value) for reading in readings)
        return LatencySignal(p50, p90, p95, p99, mean, readings[0].samples)

    def errors(self, service: str = "gateway", route: str | None = None) -> ErrorsSignal:
        """Return how many requests failed."""
        errors, throttled = (self.read(name, service, route) for name in ("errors", "throttled"))
        ratio, low, high = (_number(value) for value in (errors.value, errors.low, errors.high))
        return ErrorsSignal(ratio, low, high, _number(throttled.value), errors.samples)

    def traffic(self, service: str = "gateway", route: str | None = None) -> TrafficSignal:
        """Return how many requests there were."""
        reading = self.read("traffic", service, route)
        return TrafficSignal(_number(reading.value), reading.samples)

    def saturation(self, service: str | None = None) -> SaturationSignal:
        """Return how full a service is; without a name, the worst of all services."""
        names = ("cpu", "memory", "loop_lag", "pool", "lag")
        return SaturationSignal(*(_number(self.read(name, service).value) for name in names))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
