"""What the tests of this folder share: a clock that stands still, an application, and a client that speaks ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Clock:
    """Seconds that pass only when told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    """What an ASGI application sent, and how long it took."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0

    @property
    def marks(self) -> list[str]:
        return [mark for mark in self.headers.get("x-cloudcart-fault", "").split(",") if mark]


@dataclass
class Client:
    """Sends one request; ``gone`` makes the client hang up once it is set."""

    async def __call__(
        self,
        app: Any,
        path: str = "/things/7",
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        route: str | None = None,
        key: str = "",
        gone: asyncio.Event | None = None,
    ) -> Answer:
        headers = {**(headers or {}), **({"x-cloudcart-request-key": key} if key else {})}
        scope: dict[str, Any] = {"type": "http", "method": method, "path": path}
        scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if route is not None:
            scope["cloudcart.route"] = route
        answer = Answer()
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message["body"]

        begun = time.perf_counter()
        await app(scope, receive, send)
        answer.seconds = time.perf_counter() - begun
        return answer


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"yes")]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def request_to() -> Client:
    return Client()


@pytest.fixture
def echo() -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An application that answers with the request's body."""
    return _echo
