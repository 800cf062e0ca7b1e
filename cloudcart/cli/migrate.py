"""``cloudcart migrate``: bring the tables of a PostgreSQL database up to the version that is installed.

Not here: how that is done (``cloudcart.stores.migrations``). A lab does it by itself when it starts; this command is
for databases that live longer than a lab.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cloudcart.cli.options import json_option, name_option
from cloudcart.cli.output import emit_json, plain_table, show

if TYPE_CHECKING:
    from cloudcart.stores.migrations import Upgrade


@click.command()
@click.option(
    "--database",
    metavar="URL",
    envvar="CLOUDCART_ADMIN_DATABASE",
    show_envvar=True,
    help="postgresql://ROLE:PASSWORD@HOST/NAME, as a role that may create roles and schemas; else that of a lab.",
)
@click.option(
    "--role-password",
    metavar="PASSWORD",
    envvar="CLOUDCART_ROLE_PASSWORD",
    show_envvar=True,
    help="What the services' roles log in with; left as it is if not given.",
)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if something is to be done.")
@name_option
@json_option
@click.pass_context
def migrate(
    ctx: click.Context, database: str | None, role_password: str | None, check: bool, name: str, as_json: bool
) -> None:
    """Create or upgrade the tables of every service.

    Each schema is upgraded in one transaction; whoever starts meanwhile waits. Stop the services first: an upgrade
    needs the tables for itself. An older version of CloudCart cannot use the database any more.
    """
    from cloudcart.services import migrate_database

    upgrades = migrate_database(database or _database_of(name), role_password, check=check)
    if as_json:
        emit_json({"schemas": [{**upgrade._asdict(), "changes": upgrade.changes} for upgrade in upgrades]})
    else:
        _show(upgrades, check=check)
    ctx.exit(int(check and any(upgrade.changes for upgrade in upgrades)))


def _database_of(name: str) -> str:
    from cloudcart.lab import attach

    with attach(name) as lab:
        return lab.database_url


def _show(upgrades: Sequence[Upgrade], *, check: bool) -> None:
    table = plain_table("schema", "was at", "newest", "")
    for upgrade in upgrades:
        done = "upgraded" if upgrade.found else "created"
        change = f"to be {done}" if check else done
        table.add_row(
            upgrade.schema, upgrade.found or "-", upgrade.reached, change if upgrade.changes else "up to date"
        )
    show(table)
