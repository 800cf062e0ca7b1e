"""The tables of the user service as they were before there were revisions."""

from __future__ import annotations

from typing import Final

from alembic import op

from cloudcart.stores.migrations import no_way_back
from cloudcart.stores.migrations.frozen import OUTBOX

revision = "0001"
down_revision = None
downgrade = no_way_back

_USERS: Final = """
CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    username VARCHAR(100) NOT NULL UNIQUE,
    email VARCHAR(100) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    full_name VARCHAR(100),
    is_admin BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email))
"""


def upgrade() -> None:
    """Create them."""
    op.execute(_USERS)
    op.execute(OUTBOX)
