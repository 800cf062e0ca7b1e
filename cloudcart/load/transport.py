"""Between a journey and Locust's HTTP client: what an answer is, why there is none, connections that never try again.

Used by ``journey`` only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import gevent
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from cloudcart.load.rows import counts_as_error
from cloudcart.units import format_duration


class Answer(NamedTuple):
    """What came back. ``status`` 0 means no whole answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """A status from 200 to 399."""
        return 200 <= self.status < 400

    @property
    def marks(self) -> str:
        """Ids of the faults that marked the answer, separated by commas."""
        found = self.headers.get("x-cloudcart-fault") or ""
        marks = found if isinstance(found, str) else ",".join(found)  # a list, if the header came more than once
        return marks.replace(" ", "")

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


NOTHING: Final = Answer(0, {}, b"")
"""There was no whole answer."""


def read_answer(response: Any, timeout: float) -> tuple[Answer, str]:
    """Return what Locust's client received and, if it counts as an error, why."""
    broken = response.request_meta["exception"]
    if broken is not None:
        return NOTHING, why_no_answer(broken, timeout)
    answer = Answer(response.status_code, response.headers, response.content)
    return answer, f"HTTP {answer.status}" if counts_as_error(answer.status) else ""


def why_no_answer(broken: BaseException, timeout: float) -> str:
    """Say in a few words why there is no whole answer."""
    broken = getattr(broken, "original", None) or broken  # the client wraps what it might have tried again
    if isinstance(broken, gevent.Timeout | TimeoutError):
        return f"no answer within {format_duration(timeout)}"
    if isinstance(broken, ConnectionRefusedError):
        return "connection refused"
    if isinstance(broken, HTTPConnectionClosed | ConnectionResetError | BrokenPipeError):
        return "connection closed before the answer"
    if isinstance(broken, HTTPParseError):
        return f"no whole answer: {broken}"
    return f"{type(broken).__name__}: {broken}"


class OneAttemptPool(HTTPClientPool):
    """Connections of one visitor. No request is repeated: that would hide an error, and be load nobody asked for."""

    def get_client(self, url: Any) -> HTTPClient:
        """Return the client of the URL's host."""
        client = super().get_client(url)
        client._connection_pool.size = -1  # noqa: SLF001  # the client repeats as often as it has connections, plus one
        return client
