"""The worker's HTTP routes: a user's notifications, their live stream, and what other services call."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response, StreamingResponse

from cloudcart.chaos.messaging import through_faults
from cloudcart.events import Event, decode
from cloudcart.exceptions import MessageRejectedError, RefusedError
from cloudcart.services.answers import PageWanted, list_answer
from cloudcart.services.notifications.models import NOTIFICATION_LIST, Notification
from cloudcart.services.notifications.streams import Streams
from cloudcart.services.notifications.worker import Worker
from cloudcart.services.security import CurrentUser
from cloudcart.stores.database import Database, Row
from cloudcart.telemetry.context import current

_COUNT: Final = "SELECT count(*) AS total FROM notifications WHERE user_id = %s"
_LIST: Final = """
SELECT id, user_id, kind, message, order_id, created_at FROM notifications
WHERE user_id = %s ORDER BY id DESC LIMIT %s OFFSET %s
"""
_MISSED: Final = """
SELECT id, user_id, kind, message, order_id, created_at FROM notifications
WHERE user_id = %s AND id > %s ORDER BY id LIMIT 100
"""

notifications: Final = APIRouter(prefix="/notifications", tags=["notifications"])


async def _database(request: Request) -> Database:
    return request.app.state.database  # type: ignore[no-any-return]


async def _streams(request: Request) -> Streams:
    return request.app.state.streams  # type: ignore[no-any-return]


async def _worker(request: Request) -> Worker:
    return request.app.state.worker  # type: ignore[no-any-return]


OfDatabase = Annotated[Database, Depends(_database)]
OfStreams = Annotated[Streams, Depends(_streams)]
OfWorker = Annotated[Worker, Depends(_worker)]


@notifications.get("", response_model=list[Notification])
async def list_own(user: CurrentUser, database: OfDatabase, page: PageWanted) -> Response:
    """The user's notifications, the newest first."""
    async with database.session() as session:
        rows = await session.rows(_LIST, (user.user_id, page.limit, page.offset))
        total = await session.row(_COUNT, (user.user_id,))
    assert total is not None
    return list_answer(NOTIFICATION_LIST, rows, total["total"], page)


@notifications.get("/stream")
async def stream(
    user: CurrentUser,
    database: OfDatabase,
    streams: OfStreams,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**63 - 1)] = None,
) -> Response:
    """The user's notifications as they come (server-sent events); ``Last-Event-ID`` asks for what was missed."""

    async def missed() -> list[Row]:
        if last_event_id is None:
            return []
        async with database.session() as session:
            return await session.rows(_MISSED, (user.user_id, last_event_id))

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(streams.listen(user.user_id, missed), headers=headers, media_type="text/event-stream")


def add_internal_routes(router: APIRouter) -> None:
    """Add what other services call."""

    @router.post("/handle", status_code=204)
    async def handle(request: Request, worker: OfWorker) -> None:
        """Handle one event now, as if it had been consumed; its later delivery by Kafka has no further effect."""
        event = await _event(request)
        context = current.get()
        key = context.request_key if context else ""
        try:
            await through_faults(request.app.state.faults, event.topic, key, partial(worker.handle_events, [event]))
        except MessageRejectedError as error:
            raise RefusedError(503, str(error)) from None


async def _event(request: Request) -> Event:
    body = await request.body()
    try:
        document = json.loads(body)
        return decode(str(document["event_type"]), body)
    except (ValueError, TypeError, KeyError) as error:
        raise RefusedError(422, f"the body is no event: {error}") from None
