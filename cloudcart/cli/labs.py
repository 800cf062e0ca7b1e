"""``cloudcart down``, ``status``, ``logs`` and ``reset``: commands about a lab that runs already.

Not here: starting one (``up``), its faults (``faults``), how it looks (``lab_view``).
"""

from __future__ import annotations

import click

from cloudcart.cli.completion import labs, offer
from cloudcart.cli.options import json_option, name_option
from cloudcart.cli.output import emit_json, show
from cloudcart.exceptions import UsageError


@click.command()
@click.option("--name", metavar="LAB", shell_complete=offer(labs), help="Which lab.  [default: default]")
@click.option("--all", "every", is_flag=True, help="Every lab of this user.")
def down(name: str | None, every: bool) -> None:
    """Stop a lab and remove everything it made."""
    from cloudcart.lab import list_labs, stop

    if name and every:
        raise UsageError("--name stops one lab and --all stops all; give one of them")
    names = list_labs() if every else [name or "default"]
    for one in names:
        stop(one)
        click.echo(f"lab {one!r} is stopped and removed")
    if not names:
        click.echo("no lab is running")


@click.command()
@name_option
@click.option("--environment", is_flag=True, help="Print what lets others use it as an external lab; it has secrets.")
@json_option
def status(name: str, environment: bool, as_json: bool) -> None:
    """Show a running lab: services, URLs, log-ins, active faults."""
    from cloudcart.cli.lab_view import (
        access_lines,
        describe,
        environment_lines,
        fault_line,
        memory_line,
        service_table,
    )
    from cloudcart.lab import attach, list_labs

    lab = attach(name)
    if environment:
        click.echo("\n".join(environment_lines(lab)))
        return
    now = lab.status()
    if as_json:
        emit_json(describe(lab, now))
        return
    show(f"lab {lab.name!r}, backend {lab.backend}, in {lab.directory}\n", service_table(lab, now), "")
    active = (fault for fault in lab.chaos.faults() if fault["state"] == "active")
    show(*access_lines(lab), memory_line(now), *map(fault_line, active))
    if others := [other for other in list_labs() if other != name]:
        show(f"\nother labs: {', '.join(others)}")


@click.command()
@click.argument("service", required=False)
@click.option("-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="Lines of each log.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@name_option
def logs(service: str | None, lines: int, follow: bool, name: str) -> None:
    """Print the logs of a running lab.

    SERVICE is one process of it, as 'orders' or 'postgres'; without, all are printed, each line with its process's name
    in front. Services write one JSON object a line ('cloudcart logs orders | jq .'), stores their own format.
    """
    from cloudcart.cli.log_files import LogFiles
    from cloudcart.lab.directory import find

    files = LogFiles.of(find(name).logs, service)
    for line in files.last(lines):
        click.echo(line)
    if follow:
        for line in files.follow():
            click.echo(line)


@click.command()
@name_option
def reset(name: str) -> None:
    """Bring a running lab back to how it started.

    Faults healed, tables and caches as after the start, breakers closed. Takes less than a second.
    """
    from cloudcart.lab import attach

    attach(name).reset()
    click.echo(f"lab {name!r} is as it was after the start")
