"""The worker's HTTP routes: a user's notifications, their live stream, and what other services call."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cloudcart.chaos.messaging import through_faults
from cloudcart.events import decode
from cloudcart.exceptions import MessageRejectedError, RefusedError
from cloudcart.services.notifications.streams import Streams, shown
from cloudcart.services.notifications.worker import Worker
from cloudcart.services.security import CurrentUser, require_service
from cloudcart.stores.database import Database, Row
from cloudcart.stores.inbox import MOVE_WATERMARK
from cloudcart.telemetry.context import current

_COUNT = "SELECT count(*) AS total FROM notifications WHERE user_id = %s"
_LIST = """
SELECT id, user_id, kind, message, order_id, created_at FROM notifications
WHERE user_id = %s ORDER BY id DESC LIMIT %s OFFSET %s
"""
_MISSED = """
SELECT id, user_id, kind, message, order_id, created_at FROM notifications
WHERE user_id = %s AND id > %s ORDER BY id LIMIT 100
"""

notifications = APIRouter(prefix="/notifications", tags=["notifications"])
internal = APIRouter(prefix="/internal", dependencies=[Depends(require_service)], include_in_schema=False)


@notifications.get("")
async def list_own(
    request: Request,
    user: CurrentUser,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """The user's notifications, the newest first."""
    database: Database = request.app.state.database
    async with database.session() as session:
        rows = await session.rows(_LIST, (user.user_id, limit, offset))
        total = await session.row(_COUNT, (user.user_id,))
    assert total is not None
    return JSONResponse([shown(row) for row in rows], headers={"x-total-count": str(total["total"])})


@notifications.get("/stream")
async def stream(
    request: Request, user: CurrentUser, last_event_id: Annotated[int | None, Header(ge=0)] = None
) -> Response:
    """The user's notifications as they come (server-sent events); ``Last-Event-ID`` asks for what was missed."""
    streams: Streams = request.app.state.streams
    database: Database = request.app.state.database

    async def missed() -> list[Row]:
        if last_event_id is None:
            return []
        async with database.session() as session:
            return await session.rows(_MISSED, (user.user_id, last_event_id))

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(streams.listen(user.user_id, missed), headers=headers, media_type="text/event-stream")


@internal.post("/handle", status_code=204)
async def handle(request: Request) -> None:
    """Handle one event now, as if it had been consumed; its later delivery by Kafka has no further effect."""
    body: dict[str, Any] = await request.json()
    try:
        event = decode(str(body.get("event_type")), await request.body())
    except ValueError as error:
        raise RefusedError(422, str(error)) from None
    worker: Worker = request.app.state.worker
    context = current.get()
    key = context.request_key if context else ""
    try:
        await through_faults(request.app.state.faults, event.topic, key, partial(worker.handle_events, [event]))
    except MessageRejectedError as error:
        raise RefusedError(503, str(error)) from None


@internal.post("/reset", status_code=204)
async def reset(request: Request) -> None:
    """Forget everything; events from before this moment are ignored when they arrive."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        await session.run("TRUNCATE notifications, inbox")
        await session.run(MOVE_WATERMARK)
