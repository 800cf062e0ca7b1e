"""``cloudcart shrink``: how small a fault may be and still break a scenario's claim.

Not here: the search (``cloudcart.experiment.shrink``).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcart.cli.completion import offer, scenarios
from cloudcart.cli.options import json_option, report_dir_option, set_option
from cloudcart.cli.output import emit_json, note

if TYPE_CHECKING:
    from cloudcart.experiment.shrink import By, Shrunk, Trial


@click.command()
@click.argument("scenario", shell_complete=offer(scenarios))
@click.option(
    "--by",
    type=click.Choice(["size", "probability", "duration"]),
    default="size",
    show_default=True,
    help="What is made smaller.",
)
@click.option("--least", type=click.FloatRange(0.0001, 0.99), default=0.01, show_default=True, help="Share to stop at.")
@click.option("--steps", type=click.IntRange(1, 20), default=6, show_default=True, help="Runs after the first.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which requests are hit.")
@set_option
@report_dir_option
@click.option("--name", metavar="LAB", help="Run on this lab, which is up, instead of a fresh one.")
@json_option
@click.pass_context
def shrink(
    ctx: click.Context,
    scenario: str,
    by: By,
    least: float,
    steps: int,
    seed: int,
    overrides: dict[str, str],
    report_dir: Path,
    name: str | None,
    as_json: bool,
) -> None:
    """Find the smallest fault that breaks a scenario's claim.

    Runs the scenario as it is, then with its faults made smaller and larger again until the smallest is enclosed. Exit
    code 0 when one was found, 3 when even the faults as declared break nothing.

    \b
    cloudcart shrink slow_products_do_not_take_the_gateway_down --set gateway.bulkhead=off --steps 4
    """
    from cloudcart.experiment.shrink import shrink_scenario

    found = shrink_scenario(
        scenario,
        by=by,
        least=least,
        steps=steps,
        seed=seed,
        settings=overrides,
        folder=report_dir,
        lab_name=name,
        told=_tell,
    )
    if as_json:
        emit_json(asdict(found))
    else:
        click.echo(_sentence(found))
    ctx.exit(0 if found.breaks else 3)


def _tell(trial: Trial) -> None:
    note(f"{trial.factor:>7.1%}  {trial.verdict:<12}  {'; '.join(trial.faults)}")


def _sentence(found: Shrunk) -> str:
    if found.breaks is None:
        return "the faults as declared break nothing: this claim holds, or cannot be judged with so little load"
    smallest = f"smallest that breaks it, at {found.breaks.factor:.1%}: {'; '.join(found.breaks.faults)}"
    if found.holds is None:
        return f"{smallest}\nnothing smaller was tried that holds; try a smaller --least"
    return f"{smallest}\nlargest that was not seen to break it, at {found.holds.factor:.1%} ({found.holds.verdict})"
