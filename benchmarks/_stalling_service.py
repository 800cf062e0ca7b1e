"""A small service that measures itself, as services do, and stalls when told to. It ends with its standard input.

``POST /stall`` with a number of seconds blocks its event loop for so long; ``GET /figures`` gives the durations in
seconds that it measured for its other requests, from the moment it began to handle each.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

DURATIONS: list[float] = []


async def service(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
    began = time.perf_counter()
    if scope["path"] == "/stall":
        time.sleep(float((await receive())["body"]))  # noqa: ASYNC251  # the very mistake whose effect is shown
    body = json.dumps(DURATIONS if scope["path"] == "/figures" else {"answer": 42}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
    if scope["path"] == "/":
        DURATIONS.append(time.perf_counter() - began)


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(service, log_level="critical", access_log=False, lifespan="off")).run([listening])


if __name__ == "__main__":
    main()
