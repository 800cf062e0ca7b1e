"""The tables of the notification worker as they were before there were revisions."""

from __future__ import annotations

from typing import Final

from alembic import op

from cloudcart.stores.migrations import no_way_back
from cloudcart.stores.migrations.frozen import INBOX

revision = "0001"
down_revision = None
downgrade = no_way_back

_NOTIFICATIONS: Final = """
CREATE TABLE notifications (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id INTEGER NOT NULL,
    event_id UUID NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    message TEXT NOT NULL,
    details JSONB NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
);
CREATE INDEX notifications_of_user ON notifications (user_id, id)
"""


def upgrade() -> None:
    """Create them."""
    op.execute(_NOTIFICATIONS)
    op.execute(INBOX)
