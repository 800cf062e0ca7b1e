"""The HTTP routes of the notification worker: one's own notifications, stored and live."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response, StreamingResponse

from cloudcart.exceptions import RefusedError
from cloudcart.services.answers import PageWanted, list_answer
from cloudcart.services.notifications.models import NOTIFICATION_LIST, Delivery, Notification
from cloudcart.services.notifications.stream import Listeners, server_sent_events
from cloudcart.services.notifications.worker import Worker
from cloudcart.services.security import CurrentUser, TokenVerifier


async def _worker(request: Request) -> Worker:
    return request.app.state.worker  # type: ignore[no-any-return]


async def _listeners(request: Request) -> Listeners:
    return request.app.state.listeners  # type: ignore[no-any-return]


OfWorker = Annotated[Worker, Depends(_worker)]
OfListeners = Annotated[Listeners, Depends(_listeners)]
LastEventId = Annotated[int | None, Header(alias="last-event-id", ge=0, le=2**63 - 1)]

notifications: Final = APIRouter(prefix="/notifications", tags=["notifications"])


@notifications.get("", response_model=list[Notification])
async def list_notifications(user: CurrentUser, worker: OfWorker, page: PageWanted) -> Response:
    """List one's own notifications, newest first."""
    rows, total = await worker.page(user.user_id, page)
    return list_answer(NOTIFICATION_LIST, rows, total, page)


@notifications.get("/stream")
async def stream_notifications(
    request: Request, user: CurrentUser, worker: OfWorker, listeners: OfListeners, last_event_id: LastEventId = None
) -> Response:
    """Send one's own notifications as they come (server-sent events); ``Last-Event-ID`` asks for those missed.

    The stream ends with its token, and when its client is too slow.
    """
    verifier: TokenVerifier = request.app.state.verifier
    seconds = verifier.seconds_left(user)
    listeners.check(user.user_id)

    async def stream() -> AsyncIterator[bytes]:
        with suppress(RefusedError), listeners.listen(user.user_id) as listener:
            # First listen, then look back: nothing falls in between.
            async for chunk in server_sent_events(listener, worker.after(user.user_id, last_event_id), seconds):
                yield chunk

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(stream(), headers=headers, media_type="text/event-stream")


def add_internal_routes(router: APIRouter) -> None:
    """Add what the order service calls."""

    @router.post("/handle", status_code=204)
    async def handle(given: Delivery, worker: OfWorker) -> None:
        """Handle an event now; its delivery by Kafka has no effect then."""
        try:
            await worker.handle_event(given.topic, json.dumps(given.event).encode())
        except ValueError as error:
            raise RefusedError(422, f"event: {error}") from None
