"""One service as this process: uvicorn with the project's protocol and event loop, until it is asked to end.

Called by the lab in a forked process, and by ``python -m cloudcart.services`` in a container. Not here: the application
(``services.create_service``).
"""

from __future__ import annotations

import socket
from typing import Final

from cloudcart.settings import ServiceName, Settings

_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 75  # seconds an idle connection is kept; longer than clients keep theirs
_GRACE: Final = 2  # seconds that requests have to end when the process is asked to


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on a port that may be held by this user's lab.

    The protocol is named because event loops set TCP_NODELAY only then; without it, Nagle's algorithm and delayed
    acknowledgements add 40 ms to every answer that is written in two pieces.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def serve(service: ServiceName, settings: Settings, listener: socket.socket) -> None:
    """Be the service until a signal asks for the end.

    Raises:
        SystemExit: its start-up failed; the log says why.
    """
    import asyncio

    import uvicorn
    import uvloop

    from cloudcart.services import create_service
    from cloudcart.services.server import OneWriteProtocol
    from cloudcart.telemetry.logs import configure_logging

    configure_logging(service, settings.log_level)
    config = uvicorn.Config(
        create_service(service, settings),
        http=OneWriteProtocol,
        interface="asgi3",  # uvicorn would guess it from whether the outermost layer is a coroutine function
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who a client is must not be what it says
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[listener]))
    if not server.started:
        raise SystemExit(3)
