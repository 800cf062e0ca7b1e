"""The tables of the order service as they were before there were revisions."""

from __future__ import annotations

from typing import Final

from alembic import op

from cloudcart.stores.migrations import no_way_back
from cloudcart.stores.migrations.frozen import OUTBOX

revision = "0001"
down_revision = None
downgrade = no_way_back

_ORDERS: Final = """
CREATE TABLE orders (
    id SERIAL PRIMARY KEY,
    user_id INTEGER NOT NULL,
    total_amount NUMERIC(10, 2) NOT NULL,
    status VARCHAR(50) DEFAULT 'awaiting_payment' NOT NULL,
    epoch INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX orders_of_user ON orders (user_id, id);
CREATE INDEX orders_by_status ON orders (status);
CREATE TABLE order_items (
    id SERIAL PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    product_id INTEGER NOT NULL,
    product_name VARCHAR(200) NOT NULL,
    quantity INTEGER NOT NULL,
    price NUMERIC(10, 2) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
);
CREATE INDEX ix_order_items_order_id ON order_items (order_id);
CREATE INDEX ix_order_items_product_id ON order_items (product_id)
"""
_MONEY: Final = """
CREATE TABLE payments (
    id SERIAL PRIMARY KEY,
    order_id INTEGER NOT NULL UNIQUE REFERENCES orders (id),
    amount NUMERIC(10, 2) NOT NULL,
    payment_method VARCHAR(50) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
);
CREATE TABLE idempotency_keys (
    user_id INTEGER,
    operation VARCHAR(50),
    key VARCHAR(255),
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (user_id, operation, key)
)
"""


def upgrade() -> None:
    """Create them."""
    for statement in (_ORDERS, _MONEY, OUTBOX):
        op.execute(statement)
