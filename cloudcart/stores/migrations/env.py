"""What Alembic runs around the revisions of one schema; it is handed an open transaction and leaves its end to its owner.

Not imported: Alembic loads it by its path (``stores.migrations.running``).
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
