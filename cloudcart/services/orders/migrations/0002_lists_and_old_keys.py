"""Indexes for lists by status, which are sorted by id, and for idempotency keys that are old enough to be forgotten."""

from __future__ import annotations

from alembic import op

from cloudcart.stores.migrations import no_way_back

revision = "0002"
down_revision = "0001"
downgrade = no_way_back


def upgrade() -> None:
    """Create them; the index by status alone is part of the new one."""
    op.execute("DROP INDEX orders_by_status")
    op.execute("CREATE INDEX orders_of_status ON orders (status, id)")
    op.execute("CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)")
