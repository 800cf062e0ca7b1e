"""The inbox of a consumer: each event has its effect once, however often it is delivered.

The ids of handled events are written in the transaction of their effect, and kept for longer than the broker keeps its
messages (``stores.inbox_keep``). A reset of the lab moves a watermark: events
that occurred before it speak of rows that are gone, and are ignored. Used by the worker and by the product service.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from sqlalchemy import Column, DateTime, Index, MetaData, Table, Uuid, text

from cloudcart.events import Event
from cloudcart.stores.database import Session
from cloudcart.stores.retention import Retention

E = TypeVar("E", bound=Event)

_ADMIT: Final = """
INSERT INTO inbox (event_id)
SELECT event_id FROM unnest(%s::uuid[], %s::timestamptz[]) AS event (event_id, occurred_at)
WHERE occurred_at >= (SELECT coalesce(max(at), '-infinity') FROM inbox_watermark)
ON CONFLICT DO NOTHING
RETURNING event_id
"""
MOVE_WATERMARK: Final = "INSERT INTO inbox_watermark (at) VALUES (clock_timestamp())"
"""Statement of a reset: from now on earlier events are ignored."""
_FORGET: Final = """
DELETE FROM inbox USING (
    SELECT event_id FROM inbox WHERE handled_at < now() - make_interval(secs => %(keep)s)
    ORDER BY handled_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
) AS old WHERE inbox.event_id = old.event_id
"""


def inbox_tables(metadata: MetaData) -> None:
    """Add the tables to a service's own tables."""
    inbox = Table(
        "inbox",
        metadata,
        Column("event_id", Uuid, primary_key=True),
        Column("handled_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    )
    Index("inbox_by_age", inbox.c.handled_at)
    Table("inbox_watermark", metadata, Column("at", DateTime(timezone=True), primary_key=True))


def inbox_retention(keep: float) -> Retention:
    """Return for how many seconds a service keeps its inbox; a repeated delivery after that would have its effect."""
    return Retention("inbox", _FORGET, keep)


async def admit(session: Session, events: Sequence[E]) -> list[E]:
    """Return those of ``events`` that are new, in their order, and note them as handled in this transaction."""
    rows = await session.rows(_ADMIT, ([each.event_id for each in events], [each.occurred_at for each in events]))
    fresh = {row["event_id"] for row in rows}
    result = []
    for event in events:
        if event.event_id in fresh:
            fresh.discard(event.event_id)  # the same event may be in one batch twice
            result.append(event)
    return result
