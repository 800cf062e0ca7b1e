"""What faults do to an answer on its way out of an ASGI application: cut it off, let it drip, change its body.

Each class here stands in for ``send``. Made by ``chaos.middleware``, which knows the fault that wants it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from cloudcart.exceptions import ConnectionCutError

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

CUT: Final = "cloudcart.cut"
"""ASGI extension of the shop's own server (``services.server``): a callable that breaks the TCP connection."""

_LENGTH: Final = b"content-length"


def cut_connection(scope: MutableMapping[str, Any]) -> None:
    """Break the connection of a request.

    Raises:
        ConnectionCutError: the server has no way to do it; any ASGI server closes the connection when this reaches it
            after an answer has begun and before it is complete.
    """
    break_connection = (scope.get("extensions") or {}).get(CUT)
    if break_connection is None:
        raise ConnectionCutError("a fault cut the connection")
    break_connection()


class CutAfter:
    """Lets so many bytes of the body pass, but not all, then cuts; what the application sends later goes nowhere."""

    __slots__ = ("_done", "_left", "_scope", "_send")

    def __init__(self, scope: MutableMapping[str, Any], send: Send, after_bytes: int) -> None:
        self._scope = scope
        self._send = send
        self._left = after_bytes
        self._done = False

    async def __call__(self, message: Message) -> None:
        """Pass a message on, as far as it may go."""
        if self._done:
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body = message.get("body", b"")
        ends = not message.get("more_body", False)
        if len(body) <= self._left and not ends:
            self._left -= len(body)
            await self._send(message)
            return
        kept = min(self._left, max(0, len(body) - ends))  # a complete answer would not be a broken one
        await self._send({"type": "http.response.body", "body": body[:kept], "more_body": True})
        self._done = True
        cut_connection(self._scope)


class Dripping:
    """Sends a body in the pieces, and at the moments, that ``drip`` yields."""

    __slots__ = ("_drip", "_send")

    def __init__(self, send: Send, drip: Callable[[bytes], AsyncIterator[bytes]]) -> None:
        self._send = send
        self._drip = drip

    async def __call__(self, message: Message) -> None:
        """Pass a message on, a body piece by piece."""
        if message["type"] == "http.response.body":
            async for piece in self._drip(message.get("body", b"")):
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            message = {**message, "body": b""}
        await self._send(message)


class Rewritten:
    """Changes a body of known length as a whole, and a stream piece by piece."""

    __slots__ = ("_change", "_held", "_pieces", "_send")

    def __init__(self, send: Send, change: Callable[[bytes], bytes]) -> None:
        self._send = send
        self._change = change
        self._held: Message | None = None  # the head, until the length of the new body is known
        self._pieces: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        """Pass a message on, a body changed."""
        if message["type"] == "http.response.start":
            if any(name.lower() == _LENGTH for name, _ in message.get("headers", ())):
                self._held = message
            else:
                await self._send(message)
        elif message["type"] == "http.response.body":
            await self._body(message)
        else:
            await self._send(message)

    async def _body(self, message: Message) -> None:
        if self._held is None:
            await self._send({**message, "body": self._change(message.get("body", b""))})
            return
        self._pieces.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        before = b"".join(self._pieces)
        after = self._change(before)
        if before:  # the answer to HEAD tells a length and has no body
            other = [pair for pair in self._held["headers"] if pair[0].lower() != _LENGTH]
            self._held = {**self._held, "headers": [*other, (_LENGTH, b"%d" % len(after))]}
        await self._send(self._held)
        await self._send({**message, "body": after})
