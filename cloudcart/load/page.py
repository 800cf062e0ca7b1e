"""Locust's own page, served by a generator or by the master of several; on this machine only.

Imports gevent, so it is for processes in which Locust lives.
"""

from __future__ import annotations

from typing import Any, Final

import gevent

from cloudcart.exceptions import LoadError

LOOPBACK: Final = "127.0.0.1"
_DEADLINE: Final = 10.0
_LOOK: Final = 0.01


def serve_page(environment: Any, port: int) -> str:
    """Serve the page of a Locust environment that has a runner; return its URL. Port 0 takes a free one.

    It shows what Locust counts. Its buttons start and stop users of Locust's own loop, not the open model.

    Raises:
        LoadError: the port is taken.
    """
    page = environment.create_web_ui(host=LOOPBACK, port=port)
    refused = LoadError(f"Locust's page could not be served on port {port}; is it taken?")
    with gevent.Timeout(_DEADLINE, refused):
        while page.server is None or not page.server.started:
            gevent.sleep(_LOOK)
    return f"http://{LOOPBACK}:{page.server.server_port}"
