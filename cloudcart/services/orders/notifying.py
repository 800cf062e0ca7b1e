"""Tells the notification worker of an order's events by a call that waits, where ``orders.notify`` is ``direct``.

That is the coupling that events avoid, as a switch, so that a workshop can see the difference. The events travel
through the outbox all the same; the worker's inbox makes the second delivery do nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Final

from cloudcart.events import Event
from cloudcart.exceptions import UpstreamError
from cloudcart.services.service import Service

_LOG: Final = logging.getLogger(__name__)


class Notifier:
    """Calls the worker, or does nothing.

    Args:
        service: whose HTTP client, token, addresses and settings are used.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        settings = service.settings.orders
        self._direct = settings.notify == "direct"
        self._timeout = settings.timeout if settings.timeouts else None

    async def tell(self, events: Iterable[Event]) -> None:
        """Wait until the worker has handled ``events``. A failure is logged only: what they say is committed."""
        if not self._direct:
            return
        for event in events:
            document = {"topic": event.topic, "event": event.model_dump(mode="json")}
            try:
                await self._service.http.request(
                    "POST",
                    self._service.settings.urls.notifications,
                    "/internal/handle",
                    headers=[self._service.tokens.header(), (b"content-type", b"application/json")],
                    body=json.dumps(document).encode(),
                    timeout=self._timeout,
                )
            except UpstreamError as error:
                _LOG.warning("the worker was not told of %s directly: %s", event.topic, error)
