"""``cloudcart doctor``: what this machine can do, what is missing and the command that adds it.

Not here: the checks (``machine``).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

import click

from cloudcart.cli.options import json_option
from cloudcart.cli.output import emit_json, escape, plain_table, show

if TYPE_CHECKING:
    from cloudcart.cli.machine import Finding

_STYLES: Final = {"ok": "green", "warning": "yellow", "missing": "bold red", "absent": "dim"}


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what this machine can do, and what adds the rest.

    Exit code 0 when the shop can run here (embedded backend), 4 when something it needs is missing.
    """
    from cloudcart import __version__
    from cloudcart.cli.machine import embedded_can_run, examine

    findings = examine()
    able = embedded_can_run(findings)
    if as_json:
        emit_json({"ok": able, "version": __version__, "checks": [finding._asdict() for finding in findings]})
    else:
        _show(findings, able)
    ctx.exit(0 if able else 4)


def _show(findings: Sequence[Finding], able: bool) -> None:
    table = plain_table("", "", "")
    table.show_header = False
    for group, members in groupby(findings, key=lambda finding: finding.group):
        table.add_row(f"[bold]{group}[/bold]")
        for finding in members:
            fix = f"\n[bold]{escape(finding.fix)}[/bold]" if finding.fix else ""
            state = f"  [{_STYLES[finding.state]}]{finding.state}[/]"
            table.add_row(state, escape(finding.name), escape(finding.detail) + fix)
    show(table, "")
    show(
        "The shop can run here: cloudcart up"
        if able
        else "The shop cannot run here yet: do what is printed below each 'missing', then run cloudcart doctor again."
    )
