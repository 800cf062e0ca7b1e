"""``cloudcart export``: objectives of a run, a scenario or a file, as Prometheus rules or OpenSLO documents.

Not here: what a service level is (``cloudcart.signals``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cloudcart.cli.output import note


@click.command()
@click.argument("source", metavar="RUN|SCENARIO|FILE")
@click.option(
    "--format", "form", type=click.Choice(["openslo", "prometheus"]), required=True, help="What to write it as."
)
@click.option("--period", default="30d", show_default=True, help="Over which the error budget must last.")
@click.option("--time-scale", type=float, default=1.0, show_default=True, help="How many times faster windows run.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write; standard output if not given.")
def export(source: str, form: str, period: str, time_scale: float, output: Path | None) -> None:
    """Write objectives as Prometheus rules or as OpenSLO.

    The source is a run's folder, a scenario, or a YAML file with a list 'slos' (name, objective, service, route, slo,
    period). Objectives that are not about single requests, as recovery, are left out.

    \b
    cloudcart export orders_survive_errors_and_latency --format prometheus > rules.yaml
    promtool check rules rules.yaml
    """
    import yaml

    from cloudcart.experiment.slo_source import levels_of
    from cloudcart.signals import openslo, parse_period, prometheus_rules

    levels = levels_of(source, period=parse_period(period), time_scale=time_scale)
    documents: list[Any] = openslo(levels) if form == "openslo" else [prometheus_rules(levels)]
    text = yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True)
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text)
    note(f"{len(levels)} service level{'s'[: len(levels) != 1]} written to {output}")
