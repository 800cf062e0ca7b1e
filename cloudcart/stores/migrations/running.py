"""Alembic at work on one schema: the only module of the package that imports it, apart from the revisions themselves.

Called by ``stores.migrations`` when a schema is behind. ``env.py`` beside it is what Alembic runs.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection


def run_revisions(connection: Connection, revisions: Path, *, adopt: str) -> None:
    """Run every revision that the schema on the search path lacks, in the transaction of ``connection``.

    Args:
        connection: as the role that owns the schema.
        revisions: the folder of the revisions.
        adopt: the revision for which tables without a version are taken.
    """
    config = configuration(revisions)
    config.attributes["connection"] = connection
    if MigrationContext.configure(connection).get_current_revision() is None:
        command.stamp(config, adopt)
    command.upgrade(config, "head")


def configuration(revisions: Path) -> Config:
    """Return Alembic's configuration for the revisions of one service; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", _escaped(Path(__file__).parent))
    config.set_main_option("version_locations", _escaped(revisions))
    config.set_main_option("path_separator", "newline")  # a path may have any other character
    return config


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
