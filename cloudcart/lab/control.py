"""The supervisor's control socket: one JSON line asks, one JSON line answers; only this user can reach it.

:class:`ControlServer` is turned by the supervisor's loop; :func:`call` is for everybody else. Not here: what the
commands do (``lab.supervisor``).
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cloudcart.exceptions import CloudCartError, LabError, UsageError

_LONGEST: Final = 64 * 1024  # bytes of one question
Handler = Callable[[dict[str, Any]], dict[str, Any]]


class ControlServer:
    """Answers questions with ``handler`` from within somebody else's event loop.

    Args:
        path: where the socket is made.
        selector: the loop's; registered data are callables to be called when their socket is readable.
        handler: takes the question and returns the answer; what it raises on purpose becomes the answer.
    """

    def __init__(self, path: Path, selector: selectors.BaseSelector, handler: Handler) -> None:
        self._path, self._selector, self._handler = path, selector, handler
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Take no more questions."""
        self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(1.0)
        heard = bytearray()
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._hear(connection, heard))

    def _hear(self, connection: socket.socket, heard: bytearray) -> None:
        chunk = b""
        with suppress(OSError):
            chunk = connection.recv(_LONGEST)
        heard += chunk
        if chunk and not heard.endswith(b"\n") and len(heard) < _LONGEST:
            return
        self._selector.unregister(connection)
        with connection, suppress(OSError):
            if heard.endswith(b"\n"):
                connection.sendall(json.dumps(self._answer(bytes(heard))).encode() + b"\n")

    def _answer(self, question: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **self._handler(json.loads(question))}
        except UsageError as error:
            return {"ok": False, "usage": True, "error": str(error)}
        except (CloudCartError, ValueError, KeyError, TypeError) as error:
            return {"ok": False, "usage": False, "error": f"{error}"}


def call(path: Path, question: dict[str, Any], *, timeout: float = 10.0) -> dict[str, Any]:
    """Ask the supervisor whose control socket is at ``path`` and return its answer.

    Raises:
        UsageError: it does not know the command or what the command names.
        LabError: it is gone, does not answer within ``timeout`` seconds, or could not do it.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(question).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except OSError as error:
            raise LabError(f"the lab does not answer ({error.strerror or error}); it may have ended") from None
    if not line:
        raise LabError("the lab ended while it was asked")
    answer: dict[str, Any] = json.loads(line)
    if not answer.pop("ok"):
        raise (UsageError if answer["usage"] else LabError)(answer["error"])
    return answer
