"""The history that a Prometheus server holds, asked by PromQL over its HTTP API.

Counters are asked for at the two edges of a window (instant queries at those times) and subtracted here: ``rate()`` and
``increase()`` extrapolate, which on windows of a few scrapes is off by a lot. Used through
:class:`cloudcart.signals.metric_source.PrometheusSource`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import httpx

from cloudcart.exceptions import LabError
from cloudcart.signals.exposition import Labels
from cloudcart.signals.history import REPLICA, SERVICE, Increase, Point, edge_note, restart_note
from cloudcart.signals.reading import Window

_TIMEOUT: Final = 10.0
_Key = tuple[tuple[str, str], ...]


class PrometheusHistory:
    """Metrics over time as a server has scraped them.

    Args:
        url: base URL of the server, as ``http://127.0.0.1:9090``.
    """

    name = "prometheus"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(timeout=_TIMEOUT, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def increase(self, metric: str, window: Window, service: str | None) -> Increase | None:
        """Return the increase between the last scrapes before each edge; None when either edge has none.

        A series that was not there at the first edge, of a service that was, has risen from zero.

        Raises:
            LabError: the server does not answer.
        """
        selector = _selector(metric, service)
        before, after = (self._vector(selector, moment) for moment in (window.start, window.end))
        known = self._services(service, window.start)
        if not known or not (before or after):
            return None
        actual = self._actual(service, window)
        if before.keys() - after.keys() or self._resets(selector, window):
            return self._through_restarts(selector, window, actual, known)
        series = [
            (dict(key), value - before.get(key, 0.0)) for key, value in after.items() if dict(key)[SERVICE] in known
        ]
        return Increase(series, actual, edge_note("Prometheus", window, actual)) if series else None

    def points(self, metric: str, window: Window, service: str | None) -> Sequence[Point]:
        """Return the gauge at every scrape within the window.

        Raises:
            LabError: the server does not answer.
        """
        return [
            Point(moment, labels, value)
            for labels, samples in self._matrix(_selector(metric, service), window.end, window.seconds)
            for moment, value in samples
        ]

    def services(self, window: Window) -> set[str]:
        """Return the services that could be scraped at the window's end."""
        return self._services(None, window.end)

    def _services(self, service: str | None, moment: float) -> set[str]:
        """Return the services that could be scraped at ``moment``, so that a missing series means zero."""
        counted = self._vector(f"count by ({SERVICE}) ({_selector('up', service)} == 1)", moment)
        return {dict(key)[SERVICE] for key in counted}

    def _actual(self, service: str | None, window: Window) -> Window:
        """Return when the scrapes were taken that the server answers with at the window's edges."""
        start, end = (
            max(self._vector(f"max(timestamp({_selector('up', service)}))", moment).values(), default=moment)
            for moment in (window.start, window.end)
        )
        return Window(start, end, window.name)

    def _resets(self, selector: str, window: Window) -> bool:
        counted = self._vector(f"sum(resets({selector}[{_range(window.seconds)}]))", window.end)
        return any(counted.values())

    def _through_restarts(self, selector: str, window: Window, actual: Window, known: set[str]) -> Increase | None:
        """Add up scrape by scrape, since a counter went back to zero on the way, or its process is gone."""
        series, restarted = [], set()
        for labels, samples in self._matrix(selector, window.end, window.end - actual.start + 0.001):
            if labels[SERVICE] not in known:
                continue
            values = [value for _, value in samples]
            if samples[0][0] > actual.start + 0.001:  # it was born within the window
                values.insert(0, 0.0)
            series.append((labels, sum(new - old if new >= old else new for old, new in pairwise(values))))
            if any(new < old for old, new in pairwise(values)):
                restarted.add(labels[SERVICE])
        notes = [note for name in sorted(restarted) for note in restart_note(name, 1)]
        return Increase(series, actual, (*notes, *edge_note("Prometheus", window, actual))) if series else None

    def _vector(self, expression: str, moment: float) -> dict[_Key, float]:
        result = self._query(expression, moment)
        return {_key(series["metric"]): float(series["value"][1]) for series in result}

    def _matrix(self, selector: str, end: float, seconds: float) -> list[tuple[Labels, list[tuple[float, float]]]]:
        result = self._query(f"{selector}[{_range(seconds)}]", end)
        return [
            (dict(_key(series["metric"])), [(float(moment), float(value)) for moment, value in series["values"]])
            for series in result
        ]

    def _query(self, expression: str, moment: float) -> list[dict[str, Any]]:
        try:
            answer = self._client.post(
                f"{self._url}/api/v1/query", data={"query": expression, "time": f"{moment:.3f}"}
            ).json()
        except (httpx.HTTPError, json.JSONDecodeError) as error:
            raise LabError(f"Prometheus at {self._url} does not answer ({error}); check its URL") from None
        if answer.get("status") != "success":
            raise LabError(
                f"Prometheus at {self._url} refuses {expression!r}: {answer.get('error', 'no reason given')}"
            )
        return list(answer["data"]["result"])


def _selector(metric: str, service: str | None) -> str:
    name, slash, replica = (service or "").partition("/")
    matcher = f"{SERVICE}={json.dumps(name)}" if name else f'{SERVICE}!=""'
    if slash:
        matcher += f",{REPLICA}={json.dumps('' if replica == '0' else replica)}"
    return f"{metric}{{{matcher}}}"


def _range(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _key(metric: Mapping[str, str]) -> _Key:
    return tuple(sorted((name, value) for name, value in metric.items() if name != "__name__"))
