"""What the worker keeps: a row for each notification of a user, and its inbox."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, MetaData, String, Table, Text, text

from cloudcart.stores.inbox import inbox_tables

METADATA: Final = MetaData()

NOTIFICATIONS: Final = Table(
    "notifications",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", Integer, nullable=False),  # by value: users belong to another service
    Column("kind", String(100), nullable=False),
    Column("message", Text, nullable=False),
    Column("order_id", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)
Index("notifications_of_user", NOTIFICATIONS.c.user_id, NOTIFICATIONS.c.id.desc())
inbox_tables(METADATA)
