"""The tables of the notification worker: what users are told, and its inbox."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, MetaData, String, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from cloudcart.stores.inbox import inbox_tables

METADATA: Final = MetaData()

NOTIFICATIONS: Final = Table(
    "notifications",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", Integer, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_type", String(100), nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)
Index("notifications_of_user", NOTIFICATIONS.c.user_id, NOTIFICATIONS.c.id)

inbox_tables(METADATA)
