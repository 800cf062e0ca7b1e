"""A service behind the gateway, with all that protects the others from it: time-out, retries, bulkhead, breaker.

Each is a switch in ``settings.gateway``. Not here: HTTP itself (``services.http_client``), and who may call
(``gateway.app``).
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final, get_args

from cloudcart.exceptions import UpstreamBrokenError, UpstreamError, UpstreamUnavailableError
from cloudcart.services.gateway.breaker import BreakerState, CircuitBreaker
from cloudcart.services.gateway.budget import RetryBudget
from cloudcart.services.gateway.bulkhead import Bulkhead, SharedPool
from cloudcart.services.gateway.metrics import GatewayMetrics
from cloudcart.services.gateway.routes import TimeLimit
from cloudcart.services.http_client import FAILURES, IDEMPOTENT, Headers, HttpClient, Response
from cloudcart.settings import Gateway

_LONGEST_PAUSE: Final = 0.05  # seconds before the first repeat at most; doubles with each
_STREAMS: Final = 500  # event streams open at the same time; they stay for hours, so they take no place in a bulkhead


class Upstream:
    """One service behind the gateway.

    Args:
        name: of the service.
        base: its address.
        settings: the switches.
        client: sends the requests.
        slots: where a request takes its place: a bulkhead of its own, or the pool that all upstreams share.
        metrics: where attempts are counted.
    """

    def __init__(
        self,
        name: str,
        base: str,
        settings: Gateway,
        client: HttpClient,
        slots: Bulkhead | SharedPool,
        metrics: GatewayMetrics,
    ) -> None:
        self.breaker = CircuitBreaker(
            settings.breaker_failures if settings.circuit_breaker else math.inf, settings.breaker_reset
        )
        self._base = base
        self._client = client
        self._slots = slots
        self._streams = 0
        names = get_args(TimeLimit)
        self._timeouts = {name: getattr(settings, name) if settings.timeouts else None for name in names}
        self._repeats = settings.retry_attempts if settings.retries else 0
        self._budget = RetryBudget(settings.retry_budget)
        self._durations = metrics.upstream_request_duration_seconds.labels(name)
        self._errors = metrics.upstream_errors_total.labels(name)
        self._retries = metrics.upstream_retries_total.labels(name)

    async def call(
        self, method: str, target: str, headers: Headers, body: bytes, limit: TimeLimit = "timeout"
    ) -> Response:
        """Return the upstream's answer, which may be an error of its own.

        Raises:
            UpstreamUnavailableError: not reached, too busy, or left alone because it keeps failing.
            UpstreamTimeoutError: no answer in time.
            UpstreamBrokenError: cut off.
        """
        self._budget.requested()
        if (turn := self._slots.enter()) is not None:
            await turn
        try:
            for attempt in count():
                try:
                    response = await self._attempt(method, target, headers, body, attempt, self._timeouts[limit])
                    if response.status not in FAILURES or not self._may_repeat(method, attempt, response):
                        return response
                except (UpstreamUnavailableError, UpstreamBrokenError):  # a time-out has taken its time already
                    if not self._may_repeat(method, attempt, None):
                        raise
                self._retries.inc()
                await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE * 2**attempt))
            raise AssertionError("one attempt is the last")
        finally:
            self._slots.leave()

    @asynccontextmanager
    async def stream(self, target: str, headers: Headers) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        """Give the head of an answer and then its body in pieces; raises as :meth:`call`, never repeats."""
        if self._streams >= _STREAMS:
            raise UpstreamUnavailableError("too many streams are open already")
        if not self.breaker.allow():
            raise _left_alone()
        self._streams += 1
        told = False  # the breaker is told of the beginning only: later its trial is another call's
        try:
            timeout = self._timeouts["timeout"]
            async with self._client.stream("GET", self._base, target, headers=headers, timeout=timeout) as opened:
                self.breaker.succeeded()
                told = True
                yield opened
        except UpstreamError:
            self._errors.inc()
            if not told:
                self.breaker.failed()
                told = True
            raise
        finally:
            if not told:
                self.breaker.abandoned()
            self._streams -= 1

    def reset(self) -> None:
        """Forget past failures."""
        self.breaker.close()
        self._budget.clear()

    async def _attempt(
        self, method: str, target: str, headers: Headers, body: bytes, attempt: int, patience: float | None
    ) -> Response:
        if not self.breaker.allow():
            raise _left_alone()
        begun = time.perf_counter()
        try:
            response = await self._client.request(
                method, self._base, target, headers=headers, body=body, timeout=patience, attempt=attempt
            )
        except UpstreamError:
            self._failed()
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        finally:
            self._durations.observe(time.perf_counter() - begun)
        if response.status in FAILURES:
            self._failed()
        else:
            self.breaker.succeeded()
        return response

    def _failed(self) -> None:
        self._errors.inc()
        self.breaker.failed()

    def _may_repeat(self, method: str, attempt: int, response: Response | None) -> bool:
        """Return whether a failed attempt may be followed by another, which is then counted."""
        return (
            attempt < self._repeats
            and method in IDEMPOTENT
            and self.breaker.state is BreakerState.CLOSED
            and (response is None or response.header(b"retry-after") is None)  # it says itself when to come back
            and self._budget.take()
        )


def _left_alone() -> UpstreamUnavailableError:
    return UpstreamUnavailableError("this upstream keeps failing and is left alone for a moment")
