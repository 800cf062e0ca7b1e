"""``cloudcart demo``: the two-minute tour. A shop, load, one fault, a verdict, a report, and what to try next.

It is one scenario that ships, run as ``cloudcart run`` would, with a sentence on what happens while it happens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cloudcart.cli.options import report_dir_option
from cloudcart.cli.output import show
from cloudcart.exceptions import BackendError

SCENARIO: Final = "orders_survive_errors_and_latency"

NEEDED: Final = ("lab", "load", "report")
"""The extras without which there is no tour."""

TOUR: Final = {
    "start": "a real shop starts: PostgreSQL, Valkey, a Kafka-protocol broker, five services, one worker",
    "load": "visitors get accounts; Locust, in a process of its own, will send them",
    "warmup": "visitors browse, log in and buy; these first seconds are not measured",
    "steady": "nothing is broken: this is how the shop does on a good day",
    "fault": "5 % of calls to the product service now fail, and 5 % take 1 to 3 s; retries should hide it",
    "recovery": "everything is healed; how soon is the shop as good as before?",
    "judge": "readings are compared with the objectives that the scenario declares",
}

NEXT: Final = f"""
What to try next
  cloudcart run {SCENARIO} --set gateway.retries=off --set orders.retries=off
                                 the same without retries: the claim should fail
  cloudcart up                   keep a shop running; in another terminal:
  cloudcart inject latency --target products --param median=80ms --param p99=900ms
  cloudcart faults               what else can go wrong
  cloudcart list                 more scenarios; each is a pytest file"""


@click.command()
@report_dir_option
@click.pass_context
def demo(ctx: click.Context, report_dir: Path) -> None:
    """Take the two-minute tour: shop, load, one fault, a verdict."""
    from cloudcart.cli.machine import look_at_extras
    from cloudcart.cli.run_progress import RunProgress
    from cloudcart.cli.run_result import EXIT_CODES, result_parts
    from cloudcart.experiment import run_scenario

    if any(extra.state != "ok" for extra in look_at_extras() if extra.name in NEEDED):
        command = f"pip install 'cloudcart[{','.join(NEEDED)}]'"
        raise BackendError(f"the tour needs packages that are not installed; run: {command}")
    with RunProgress(TOUR) as progress:
        finished = run_scenario(SCENARIO, folder=report_dir, watcher=progress)
    show("", *result_parts(finished.record, str(finished.report)), NEXT)
    ctx.exit(EXIT_CODES[str(finished.verdict)])
