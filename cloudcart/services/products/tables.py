"""The tables of the product service: products, the ledger of their stock, what orders hold, outbox and inbox."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    text,
)

from cloudcart.stores.inbox import inbox_tables
from cloudcart.stores.outbox import outbox_table

METADATA: Final = MetaData()

PRODUCTS: Final = Table(
    "products",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("price", Numeric(10, 2), nullable=False),
    Column("stock", Integer, CheckConstraint("stock >= 0"), nullable=False, server_default="0"),
    Column("category", String(100), nullable=False, index=True),
    Column("image_url", String(500)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    postgresql_with={"fillfactor": 50},  # each sale is an update: room for the next version on the same page
)

# Every change of a stock, with its reason: initial, admin, sold, restored, released. For each product their sum is its
# stock. Products are named by value, since the ledger outlives them.
STOCK_LEDGER: Final = Table(
    "stock_ledger",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("product_id", Integer, nullable=False),
    Column("change", Integer, nullable=False),
    Column("reason", String(20), nullable=False),
    Column("order_id", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

# What an order holds of the stock; ``services.products.holds`` says what the states mean.
STOCK_HOLDS: Final = Table(
    "stock_holds",
    METADATA,
    Column("order_id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("product_ids", ARRAY(Integer), nullable=False),
    Column("quantities", ARRAY(Integer), nullable=False),
    Column("taken_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)
Index("stock_holds_taken", STOCK_HOLDS.c.taken_at, postgresql_where=text("state = 'taken'"))

outbox_table(METADATA)
inbox_tables(METADATA)
