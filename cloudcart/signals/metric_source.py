"""Golden signals from metrics: the same arithmetic over the lab's own scrapes and over a Prometheus server.

Which metric is which signal is said by :class:`MetricNames`, so that a service with other conventions can be read, too.
Where the numbers come from is the history's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloudcart.exceptions import LabError
from cloudcart.signals.buckets import Buckets
from cloudcart.signals.exposition import Labels
from cloudcart.signals.golden import GoldenSignal, Route, golden_signal
from cloudcart.signals.history import History, Increase, ScrapeHistory, process_of
from cloudcart.signals.prometheus import PrometheusHistory
from cloudcart.signals.reading import Reading, Window
from cloudcart.signals.scrape import Scrape
from cloudcart.signals.statistics import clopper_pearson, mean_interval


@dataclass(frozen=True, slots=True)
class MetricNames:
    """Which metric tells what. The defaults are the shop's; memory and CPU are prometheus-client's."""

    requests: str = "http_requests_total"
    duration: str = "http_request_duration_seconds"
    method: str = "method"
    route: str = "route"
    status: str = "status"
    cpu: str = "process_cpu_seconds_total"
    memory: str = "process_resident_memory_bytes"
    loop_lag: str = "event_loop_lag_seconds"
    pool_in_use: str = "db_pool_in_use"
    pool_size: str = "db_pool_size"
    consumer_lag: str = "kafka_consumergroup_lag"
    outbox: str = "outbox_pending"
    consumed: str = "kafka_events_consumed_total"
    outcome: str = "outcome"
    injected: str = "chaos_faults_injected_total"


CLOUDCART: Final = MetricNames()

DEAD_LETTER: Final = "dead_letter"
"""The outcome of a message that was set aside."""


class MetricSource:
    """Readings from metrics.

    ``service`` None is the gateway for what requests tell. For saturation it is the worst of all services;
    consumer lag is added up over a service's topics. Of a service with replicas, counters are added up; for saturation
    the worst process counts. ``products/0`` is one replica, by its number.

    Args:
        history: where the metrics are.
        names: which metric tells what.
    """

    def __init__(self, history: History, names: MetricNames = CLOUDCART) -> None:
        self._history = history
        self._names = names

    @property
    def name(self) -> str:
        """The history's."""
        return self._history.name

    def read(self, signal: str, window: Window, *, service: str | None = None, route: str | None = None) -> Reading:
        """Return a reading; see :class:`~cloudcart.signals.source.Source`."""
        golden = golden_signal(signal)
        if golden.of_requests:
            service = service or "gateway"
        where = Route.parse(route).at(service or "gateway") if route else None
        reading = self._reader(golden)(_Question(golden, window, service, where, self.name))
        if reading.value is None and service and service not in (known := self._history.services(window)):
            return reading.noted(f"there is no service {service!r}, only {', '.join(sorted(known)) or 'none'}")
        return reading

    def _reader(self, golden: GoldenSignal) -> Callable[[_Question], Reading]:
        if golden.family == "latency":
            return self._latency
        if golden.family == "errors":
            return self._share
        named = {
            "traffic": self._traffic,
            "cpu": self._cpu,
            "memory": self._memory,
            "memory_growth": self._memory_growth,
            "loop_lag": self._loop_lag,
            "pool": self._pool,
            "lag": self._lag,
            "lag_end": self._lag,
            "outbox": self._outbox,
            "dead_letters": self._dead_letters,
            "injected": self._injected,
        }
        return named.get(golden.name, lambda question: question.no_data(f"metrics do not tell {golden.name}"))

    def _increase(self, metric: str, question: _Question) -> Increase | None:
        """Return the increase of the series that the question is about."""
        increase = self._history.increase(metric, question.window, question.service)
        if increase is None or question.route is None:
            return increase
        wanted, names = question.route, self._names
        chosen = [
            (labels, delta)
            for labels, delta in increase.series
            if wanted.matches(labels.get(names.method, ""), labels.get(names.route, ""))
        ]
        return Increase(chosen, increase.window, increase.notes)

    def _latency(self, question: _Question) -> Reading:
        increase = self._increase(f"{self._names.duration}_bucket", question)
        buckets = Buckets.of(increase.series) if increase else None
        if increase is None or buckets is None or not buckets.count:
            return question.no_data("no request was counted in this window", increase)
        share = question.golden.share
        if share is None:
            return self._mean(question, buckets)
        value = buckets.quantile(share)
        low, high = buckets.interval(share)
        return question.answer(increase, value, buckets.count, low, high, _beyond(buckets, value))

    def _mean(self, question: _Question, buckets: Buckets) -> Reading:
        increase = self._increase(f"{self._names.duration}_sum", question)
        if increase is None:
            return question.no_data("there is no sum of durations")
        mean = sum(delta for _, delta in increase.series) / buckets.count
        interval = mean_interval(mean, buckets.variance(mean), buckets.count)
        return question.answer(increase, mean, buckets.count, *(interval or (None, None)))

    def _share(self, question: _Question) -> Reading:
        increase = self._increase(self._names.requests, question)
        total = round(sum(delta for _, delta in increase.series)) if increase else 0
        if increase is None or not total:
            return question.no_data("no request was counted in this window", increase)
        hit = is_error_status if question.golden.name == "errors" else "429".__eq__
        hits = round(sum(delta for labels, delta in increase.series if hit(labels.get(self._names.status, ""))))
        low, high = clopper_pearson(hits, total)
        return question.answer(increase, hits / total, total, low, high)

    def _traffic(self, question: _Question) -> Reading:
        increase = self._increase(self._names.requests, question)
        if increase is None or increase.window.seconds <= 0:
            return question.no_data("requests were not counted at both edges of this window")
        total = sum(delta for _, delta in increase.series)
        return question.exact(increase, total / increase.window.seconds, round(total))

    def _injected(self, question: _Question) -> Reading:
        increase = self._increase(self._names.injected, question)
        if increase is None:
            return question.no_data("no service counts injected faults")
        total = sum(delta for _, delta in increase.series)
        return question.exact(increase, total, round(total))

    def _cpu(self, question: _Question) -> Reading:
        increase = self._increase(self._names.cpu, question)
        if increase is None or not increase.series or increase.window.seconds <= 0:
            return question.no_data("CPU time is not known at both edges of this window")
        labels, delta = max(increase.series, key=lambda series: series[1])
        return question.exact(increase, delta / increase.window.seconds, 2, *question.named(process_of(labels)))

    def _loop_lag(self, question: _Question) -> Reading:
        increase = self._increase(f"{self._names.loop_lag}_bucket", question)
        parts: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for labels, delta in increase.series if increase else ():
            parts[process_of(labels)].append((labels, delta))
        lags = {service: Buckets.of(series) for service, series in parts.items()}
        known = {service: value for service, lag in lags.items() if (value := lag.quantile(0.99)) is not None}
        if increase is None or not known:
            return question.no_data("no event loop was measured in this window", increase)
        worst = max(known, key=known.__getitem__)
        low, high = lags[worst].interval(0.99)
        notes = question.named(worst)
        return question.answer(increase, known[worst], lags[worst].count, low, high, *notes)

    def _memory(self, question: _Question) -> Reading:
        points = self._history.points(self._names.memory, question.window, question.service)
        if not points:
            return question.no_data("memory was not measured in this window")
        highest = max(points, key=lambda point: point.value)
        return question.highest(highest.value, len(points), *question.named(process_of(highest.labels)))

    def _memory_growth(self, question: _Question) -> Reading:
        points: dict[str, list[float]] = defaultdict(list)
        for point in self._history.points(self._names.memory, question.window, question.service):
            points[process_of(point.labels)].append(point.value)
        grown = {service: values[-1] - values[0] for service, values in points.items() if len(values) > 1}
        if not grown:
            return question.no_data("memory was not measured twice in this window")
        most = max(grown, key=grown.__getitem__)
        return question.highest(grown[most], len(points[most]), *question.named(most))

    def _pool(self, question: _Question) -> Reading:
        sizes = self._sums(self._names.pool_size, question)
        shares = {
            (moment, service): used / sizes[moment, service]
            for (moment, service), used in self._sums(self._names.pool_in_use, question).items()
            if sizes.get((moment, service))
        }
        if not shares:
            return question.no_data("no database pool was measured in this window")
        worst = max(shares, key=shares.__getitem__)
        return question.highest(shares[worst], len(shares), *question.named(worst[1]))

    def _lag(self, question: _Question) -> Reading:
        lags = self._sums(self._names.consumer_lag, question)
        if question.golden.name == "lag_end":
            lasts = {service: max(moment for moment, one in lags if one == service) for _, service in lags}
            lags = {(moment, service): lags[moment, service] for service, moment in lasts.items()}
        return self._worst(lags, question, "consumer lag was not measured in this window")

    def _outbox(self, question: _Question) -> Reading:
        return self._worst(self._sums(self._names.outbox, question), question, "no outbox was measured in this window")

    def _worst(self, sums: Mapping[tuple[float, str], float], question: _Question, without: str) -> Reading:
        if not sums:
            return question.no_data(without)
        worst = max(sums, key=sums.__getitem__)
        return question.highest(sums[worst], len(sums), *question.named(worst[1]))

    def _dead_letters(self, question: _Question) -> Reading:
        increase = self._increase(self._names.consumed, question)
        if increase is None:
            return question.no_data("no service counts the events that it consumes")
        total = sum(delta for labels, delta in increase.series if labels.get(self._names.outcome, "") == DEAD_LETTER)
        return question.exact(increase, total, round(total))

    def _sums(self, metric: str, question: _Question) -> dict[tuple[float, str], float]:
        """Return a gauge's sum per moment and process."""
        sums: dict[tuple[float, str], float] = defaultdict(float)
        for point in self._history.points(metric, question.window, question.service):
            sums[point.time, process_of(point.labels)] += point.value
        return dict(sums)


class ScrapeSource(MetricSource):
    """Readings from the lab's own scrapes.

    Args:
        scrapes: what :class:`~cloudcart.signals.scrape.Scraper` took.
        names: which metric tells what.
    """

    def __init__(self, scrapes: Iterable[Scrape], names: MetricNames = CLOUDCART) -> None:
        super().__init__(ScrapeHistory(scrapes), names)


class PrometheusSource(MetricSource):
    """Readings from a Prometheus server, by its HTTP API.

    Every series needs a label ``service``: the shop's HTTP metrics have it, for the rest the scrape configuration
    must add it to the target (with ``honor_labels: true``).

    Args:
        url: base URL of the server.
        names: which metric tells what.
    """

    def __init__(self, url: str, names: MetricNames = CLOUDCART) -> None:
        self._server = PrometheusHistory(url)
        super().__init__(self._server, names)

    def read(self, signal: str, window: Window, *, service: str | None = None, route: str | None = None) -> Reading:
        """Return a reading; from a server that does not answer it has no value, and its note says so."""
        try:
            return super().read(signal, window, service=service, route=route)
        except LabError as error:
            golden = golden_signal(signal)
            return Reading(golden.name, None, golden.unit, 0, None, None, window, self.name, service, route, str(error))

    def close(self) -> None:
        """Close the connection."""
        self._server.close()


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, and the forms an answer takes."""

    golden: GoldenSignal
    window: Window
    service: str | None
    route: Route | None
    source: str

    def answer(
        self,
        increase: Increase,
        value: float | None,
        samples: int,
        low: float | None,
        high: float | None,
        *notes: str,
    ) -> Reading:
        return self._reading(increase.window, value, samples, low, high).noted(*notes, *increase.notes)

    def exact(self, increase: Increase, value: float, samples: int, *notes: str) -> Reading:
        return self.answer(increase, value, samples, value, value, *notes)

    def highest(self, value: float, samples: int, *notes: str) -> Reading:
        return self._reading(self.window, value, samples, value, value).noted(*notes)

    def no_data(self, note: str, increase: Increase | None = None) -> Reading:
        return self._reading(self.window, None, 0, None, None).noted(note, *(increase.notes if increase else ()))

    def named(self, process: str) -> Sequence[str]:
        """Say which process it was, where the question did not."""
        return () if self.service == process else (f"highest: {process}",)

    def _reading(
        self, window: Window, value: float | None, samples: int, low: float | None, high: float | None
    ) -> Reading:
        golden, route = self.golden, str(self.route) if self.route else None
        return Reading(golden.name, value, golden.unit, samples, low, high, window, self.source, self.service, route)


def is_error_status(status: str) -> bool:
    """Say whether the label of a status means a failed request."""
    return (status.isdigit() and int(status) >= 500) or status in ("0", "5xx")


def _beyond(buckets: Buckets, value: float | None) -> str:
    return "beyond the histogram's last bucket" if buckets.edges and value == buckets.edges[-1] else ""
