"""The tables of the order service: orders, their lines, payments, answers to repeat, and the outbox."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, DateTime, ForeignKey, Index, Integer, MetaData, Numeric, String, Table, Text, text

from cloudcart.stores.outbox import outbox_table

METADATA: Final = MetaData()

# user_id and product_id are references by value: those rows belong to other services.
ORDERS: Final = Table(
    "orders",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, nullable=False),
    Column("total_amount", Numeric(10, 2), nullable=False),
    Column("status", String(50), nullable=False, server_default="awaiting_payment"),
    # How often an unfinished confirmation was given up; see services.products.holds.
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    postgresql_with={"fillfactor": 80},  # most orders change their status at least once
)
Index("orders_of_user", ORDERS.c.user_id, ORDERS.c.id)
Index("orders_of_status", ORDERS.c.status, ORDERS.c.id)

ORDER_ITEMS: Final = Table(
    "order_items",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("order_id", Integer, ForeignKey("orders.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("product_id", Integer, nullable=False, index=True),
    Column("product_name", String(200), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("price", Numeric(10, 2), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

# The unique order_id is the last line of defence against a double charge.
PAYMENTS: Final = Table(
    "payments",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("order_id", Integer, ForeignKey("orders.id"), nullable=False, unique=True),
    Column("amount", Numeric(10, 2), nullable=False),
    Column("payment_method", String(50), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

IDEMPOTENCY_KEYS: Final = Table(
    "idempotency_keys",
    METADATA,
    Column("user_id", Integer, primary_key=True, autoincrement=False),
    Column("operation", String(50), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)
Index("idempotency_keys_by_age", IDEMPOTENCY_KEYS.c.created_at)

outbox_table(METADATA)
