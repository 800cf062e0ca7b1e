"""Where a proxy listens or connects to: ``host:port``, or the path of a Unix socket.

Not here: sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cloudcart.exceptions import UsageError


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address, or a path; exactly one of the two."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``127.0.0.1:5432``, ``[::1]:5432``, ``:5432`` (this machine), ``/path/to/socket`` or ``unix:/path``.

        Raises:
            UsageError: it is none of these.
        """
        path = text.removeprefix("unix:")
        if path.startswith("/"):
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"{text!r} is no address; write host:port, as 127.0.0.1:5432, or a Unix socket's path")
        return cls(host.strip("[]") or "127.0.0.1", int(port))

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
