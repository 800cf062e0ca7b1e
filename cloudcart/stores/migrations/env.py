"""What Alembic runs around the revisions of one schema: in a transaction that it is handed, and that others end.

Not imported: Alembic loads it by its path (``stores.migrations.running``).
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
