"""``cloudcart up``: start the shop, print where it is and who to be, show its live state until Ctrl-C.

Not here: starting it (``cloudcart.lab``). Without ``--detach`` the lab lives as long as this process and no longer.
"""

from __future__ import annotations

from typing import Literal

import click

from cloudcart.cli.options import json_option, name_option, set_option
from cloudcart.cli.output import emit_json, note, show


@click.command()
@name_option
@click.option("--detach", is_flag=True, help="Leave the shop running and return; 'cloudcart down' stops it.")
@click.option("--free-ports", is_flag=True, help="Take free ports instead of 3000 and 8001 to 8005.")
@set_option
@click.option(
    "--backend", type=click.Choice(["embedded"]), default="embedded", show_default=True, help="Where the shop runs."
)
@json_option
def up(name: str, detach: bool, free_ports: bool, overrides: dict[str, str], backend: str, as_json: bool) -> None:
    """Start the shop; Ctrl-C stops it and removes everything it made.

    \b
    cloudcart up
    cloudcart up --detach --free-ports --name second --set gateway.rate_limit=off
    """
    from cloudcart.lab import start

    note(f"starting lab {name!r} ...")
    ports: Literal["free", "default"] = "free" if free_ports else "default"
    with start(backend, name=name, overrides=overrides, ports=ports, detach=detach) as lab:
        from cloudcart.cli.lab_view import access_lines, describe, next_lines, other_name
        from cloudcart.cli.live_status import watch

        if as_json:
            emit_json(describe(lab))
        else:
            show(f"lab {lab.name!r} is ready after {lab.seconds:.1f} s\n", *access_lines(lab), *next_lines(lab))
            show(f"stop it   {'cloudcart down' + other_name(lab.name) if detach else 'Ctrl-C'}", "")
        if not detach:
            watch(lab, quiet=as_json)
            note(f"lab {lab.name!r} was stopped by another command")
