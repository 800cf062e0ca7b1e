"""The tables of the product service as they were before there were revisions."""

from __future__ import annotations

from typing import Final

from alembic import op

from cloudcart.stores.migrations import no_way_back
from cloudcart.stores.migrations.frozen import INBOX, OUTBOX

revision = "0001"
down_revision = None
downgrade = no_way_back

_PRODUCTS: Final = """
CREATE TABLE products (
    id SERIAL PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    price NUMERIC(10, 2) NOT NULL,
    stock INTEGER DEFAULT 0 NOT NULL CHECK (stock >= 0),
    category VARCHAR(100) NOT NULL,
    image_url VARCHAR(500),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX ix_products_category ON products (category)
"""
_STOCK: Final = """
CREATE TABLE stock_ledger (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id INTEGER NOT NULL,
    change INTEGER NOT NULL,
    reason VARCHAR(20) NOT NULL,
    order_id INTEGER,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
);
CREATE TABLE stock_holds (
    order_id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    state VARCHAR(20) NOT NULL,
    product_ids INTEGER[] NOT NULL,
    quantities INTEGER[] NOT NULL,
    taken_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
);
CREATE INDEX stock_holds_taken ON stock_holds (taken_at) WHERE state = 'taken'
"""


def upgrade() -> None:
    """Create them."""
    for statement in (_PRODUCTS, _STOCK, OUTBOX, INBOX):
        op.execute(statement)
