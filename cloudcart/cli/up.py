"""``cloudcart up``: start the shop, print where it is and who to be, show its live state until Ctrl-C.

Not here: starting it (``cloudcart.lab``). Without ``--detach`` the lab lives as long as this process and no longer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from cloudcart.cli.options import json_option, name_option, set_option
from cloudcart.cli.output import emit_json, note, show

if TYPE_CHECKING:
    from cloudcart.lab import Lab, Phase
    from cloudcart.lab.backend import Progress

_LINE: Final = 78  # columns; longer words of the phase before are overwritten


@click.command()
@name_option
@click.option("--detach", is_flag=True, help="Leave the shop running and return; 'cloudcart down' stops it.")
@click.option("--free-ports", is_flag=True, help="Take free ports instead of 3000 and 8001 to 8006.")
@click.option("--traffic", is_flag=True, help="Let synthetic visitors come, so that there is something to see.")
@set_option
@click.option(
    "--backend",
    type=click.Choice(["embedded", "containers"]),
    default="embedded",
    show_default=True,
    help="Where the shop runs.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep PostgreSQL's data and the log-ins in DIR for the next start; 'reset' and runs empty the data.",
)
@json_option
def up(
    name: str,
    detach: bool,
    free_ports: bool,
    traffic: bool,
    overrides: dict[str, str],
    backend: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Start the shop; Ctrl-C stops it and removes everything it made.

    \b
    cloudcart up
    cloudcart up --traffic
    cloudcart up --detach --free-ports --name second --set gateway.rate_limit=off
    """
    from cloudcart.lab import start

    ports: Literal["free", "default"] = "free" if free_ports else "default"
    try:
        with _start_line(name) as told:
            lab = start(
                backend,
                name=name,
                overrides=overrides,
                ports=ports,
                detach=detach,
                traffic=traffic,
                data=data,
                progress=told,
            )
        with lab:
            _introduce(lab, detach=detach, as_json=as_json)
            if not detach:
                _stay(lab, quiet=as_json)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"lab {name!r} is stopped and removed") from None


@contextmanager
def _start_line(name: str) -> Iterator[Progress]:
    """Say that the lab starts, and on a terminal which phase is done, on one line."""
    said = f"starting lab {name!r} ..."
    click.echo(said, nl=False, err=True)

    def told(phase: Phase) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{said} {phase.name}: done after {phase.end:.1f} s".ljust(_LINE), nl=False, err=True)

    try:
        yield told
    finally:
        note("")


def _introduce(lab: Lab, *, detach: bool, as_json: bool) -> None:
    from cloudcart.cli.lab_view import access_lines, describe, next_lines, other_name

    if as_json:
        emit_json(describe(lab))
        return
    show(f"lab {lab.name!r} is ready after {lab.seconds:.1f} s\n", *access_lines(lab), *next_lines(lab))
    show(f"stop it   {'cloudcart down' + other_name(lab.name) if detach else 'Ctrl-C'}", "")


def _stay(lab: Lab, *, quiet: bool) -> None:
    from cloudcart.cli.live_status import watch

    watch(lab, quiet=quiet)
    note(f"lab {lab.name!r} was stopped by another command")
