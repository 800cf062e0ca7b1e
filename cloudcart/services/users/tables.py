"""The tables of the user service: users and its outbox."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, String, Table, func, text

from cloudcart.stores.outbox import outbox_table

METADATA: Final = MetaData()

USERS: Final = Table(
    "users",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("username", String(100), nullable=False, unique=True),
    Column("email", String(100), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("full_name", String(100)),
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)
Index("users_email_key", func.lower(USERS.c.email), unique=True)

outbox_table(METADATA)
