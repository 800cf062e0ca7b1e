"""An index that finds the rows of the inbox which are old enough to be forgotten."""

from __future__ import annotations

from alembic import op

from cloudcart.stores.migrations import no_way_back
from cloudcart.stores.migrations.frozen import INBOX_BY_AGE

revision = "0002"
down_revision = "0001"
downgrade = no_way_back


def upgrade() -> None:
    """Create it."""
    op.execute(INBOX_BY_AGE)
