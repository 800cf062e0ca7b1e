"""Whether the service of this container answers: the image's health check, run every few seconds, so a light script.

The service is the one that the container's first process was told to be, at its default port unless CLOUDCART_LISTEN
says otherwise. Exit code 0 when it is alive, 1 when not.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path


def address() -> tuple[str, int]:
    """Return where the service listens."""
    if listen := os.environ.get("CLOUDCART_LISTEN"):
        host, _, port = listen.rpartition(":")
        return host if host.startswith("127.") else "127.0.0.1", int(port)
    ports = json.loads(Path(__file__).with_name("ports.json").read_text())
    words = Path("/proc/1/cmdline").read_text().split("\0")
    return "127.0.0.1", next(ports[word] for word in words if word in ports)


def main() -> int:
    """Ask ``/health``."""
    try:
        with socket.create_connection(address(), timeout=2) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n")
            return 0 if connection.recv(64).startswith(b"HTTP/1.1 200 ") else 1
    except (OSError, StopIteration) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
