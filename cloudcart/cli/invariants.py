"""``cloudcart check-invariants``: is what must be true of the shop's data true in a running lab?

Not here: the invariants themselves (``cloudcart.lab.invariants``).
"""

from __future__ import annotations

from typing import Final

import click

from cloudcart.cli.options import json_option, name_option
from cloudcart.cli.output import emit_json, plain_table, show

_COLOURS: Final = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
_EXIT_CODES: Final = {"pass": 0, "fail": 1, "inconclusive": 3}


@click.command("check-invariants")
@name_option
@json_option
@click.pass_context
def check_invariants(ctx: click.Context, name: str, as_json: bool) -> None:
    """Check what must always be true of the shop's data.

    Waits for a quiet moment first: no event under way. Exit codes: 0 all true, 1 one is not, 3 the shop did not become
    quiet.
    """
    from cloudcart.lab import attach
    from cloudcart.lab.invariants import verdict_of

    lab = attach(name)
    with lab.tap_events(from_beginning=True) as tap:
        results = lab.check_invariants(tap)
    verdict = verdict_of(results)
    if as_json:
        emit_json({"verdict": verdict, "invariants": [result._asdict() for result in results]})
    else:
        table = plain_table("invariant", "verdict", "found")
        for result in results:
            colour = _COLOURS[result.verdict]
            table.add_row(result.name, f"[{colour}]{result.verdict}[/{colour}]", result.detail)
        show(table)
    ctx.exit(_EXIT_CODES[verdict])
