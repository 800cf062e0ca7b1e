"""``cloudcart list`` and ``cloudcart run``: the scenarios there are, and running one outside pytest.

Not here: finding and running them (``cloudcart.experiment``); what is shown meanwhile (``run_progress``) and at the end
(``run_result``).
"""

from __future__ import annotations

from pathlib import Path

import click

from cloudcart.cli.completion import offer, scenarios
from cloudcart.cli.options import json_option, report_dir_option, set_option
from cloudcart.cli.output import emit_json, plain_table, show


@click.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the scenarios and what each one claims.

    They are the files test_*.py in the folder 'scenarios' here, else those that ship with cloudcart.
    """
    from cloudcart.experiment import list_scenarios, load_scenario

    found = [(path, load_scenario(path)) for path in list_scenarios()]
    if as_json:
        emit_json([{"name": scenario.name, "claim": scenario.claim, "path": path} for path, scenario in found])
        return
    table = plain_table("scenario", "claim")
    for _, scenario in found:
        table.add_row(scenario.name, scenario.claim)
    show(table, "\nRun one: cloudcart run NAME, or pytest scenarios/test_NAME.py")


@click.command()
@click.argument("scenario", shell_complete=offer(scenarios))
@click.option("--seed", type=click.IntRange(min=0), help="Which requests are hit.  [default: 0, or the document's]")
@set_option
@report_dir_option
@click.option("--name", metavar="LAB", help="Run on this lab, which is up, instead of a fresh one.")
@click.option(
    "--backend",
    type=click.Choice(["embedded", "containers", "external"]),
    default="embedded",
    show_default=True,
    help="Where the fresh lab runs; external: the environment names one that runs already.",
)
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    scenario: str,
    seed: int | None,
    overrides: dict[str, str],
    report_dir: Path,
    name: str | None,
    backend: str,
    as_json: bool,
) -> None:
    """Run a scenario and judge its claim.

    SCENARIO is a name that 'cloudcart list' shows, or a file: a scenario in Python, or an experiment in YAML, TOML or
    JSON ('cloudcart schema experiment' is its JSON Schema). Starts a shop of its own, gives it load, breaks it as the
    scenario says, heals it, and says whether the claim held. Exit code 0 pass, 1 fail, 3 inconclusive.

    \b
    cloudcart run examples/slow_gateway.yaml
    cloudcart run slow_products_do_not_take_the_gateway_down
    cloudcart run slow_products_do_not_take_the_gateway_down --set gateway.bulkhead=off --seed 7
    """
    from cloudcart.cli.run_progress import PHASES, RunProgress
    from cloudcart.cli.run_result import EXIT_CODES, result_document, result_parts
    from cloudcart.experiment import run_scenario

    with RunProgress({**PHASES, "start": f"on the lab {name!r}"} if name else PHASES) as progress:
        finished = run_scenario(
            scenario,
            seed=seed,
            settings=overrides,
            folder=report_dir,
            lab_name=name,
            backend=backend,
            watcher=progress,
        )
    if as_json:
        emit_json(result_document(finished.record))
    else:
        show("", *result_parts(finished.record, str(finished.report)))
    ctx.exit(EXIT_CODES[str(finished.verdict)])
