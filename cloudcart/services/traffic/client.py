"""The gateway as synthetic visitors call it: one method, every call counted by route and status.

A call that is not answered is an answer, too (status 0): a visitor takes it as it comes and nothing is repeated.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge

from cloudcart.exceptions import UpstreamError
from cloudcart.services.http_client import HttpClient

_PATIENCE: Final = 10.0  # seconds that a visitor waits for an answer


class Answer(NamedTuple):
    """A status, 0 for no answer, and what the JSON says, None if there is none."""

    status: int
    document: Any = None

    @property
    def ok(self) -> bool:
        """Whether the shop did what it was asked."""
        return 200 <= self.status < 300


class TrafficMetrics:
    """What is counted of visitors.

    Args:
        registry: where it is registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.visits = Counter("traffic_visits_total", "Visitors who came.", ["kind"], registry=registry)
        self.turned_away = Counter(
            "traffic_visits_dropped_total", "Visitors who did not come in: too many were there.", registry=registry
        )
        self.requests = Counter(
            "traffic_requests_total", "Requests of visitors; 0 is no answer.", ["method", "route", "status"],
            registry=registry,
        )  # fmt: skip
        self.present = Gauge("traffic_visitors", "Visitors who are there.", registry=registry)
        self.burst = Gauge("traffic_burst", "1 while a burst is on.", registry=registry)


class Client:
    """Calls the gateway.

    Args:
        http: carries the requests.
        base: the gateway's address.
        metrics: where requests are counted.
    """

    def __init__(self, http: HttpClient, base: str, metrics: TrafficMetrics) -> None:
        self._http = http
        self._base = base
        self._metrics = metrics

    async def ask(
        self,
        method: str,
        route: str,
        *,
        token: str = "",
        body: object = None,
        query: str = "",
        key: str = "",
        **place: object,
    ) -> Answer:
        """Send one request.

        Args:
            method: in upper case.
            route: template below ``/api``, as ``/orders/{id}``.
            token: of whoever asks; empty for nobody.
            body: sent as JSON, unless None.
            query: what follows the question mark.
            key: the ``Idempotency-Key``, if any.
            place: what stands in the template's braces.
        """
        headers = [(b"content-type", b"application/json")] if body is not None else []
        headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
        headers += [(b"idempotency-key", key.encode())] if key else []
        content = json.dumps(body).encode() if body is not None else b""
        path = f"/api{route.format(**place)}" + (f"?{query}" if query else "")
        try:
            response = await self._http.request(
                method, self._base, path, headers=headers, body=content, timeout=_PATIENCE
            )
            answer = Answer(response.status, _json(response.body))
        except UpstreamError:
            answer = Answer(0)
        self._metrics.requests.labels(method, f"/api{route}", str(answer.status)).inc()
        return answer


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
