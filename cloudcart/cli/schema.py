"""``cloudcart schema``: JSON Schema of what people write and of what runs leave, for editors and other programs.

Not here: the schemas (``cloudcart.experiment``, ``cloudcart.report``, ``cli.output_schema``).
"""

from __future__ import annotations

import click

from cloudcart.cli.output import emit_json
from cloudcart.cli.output_schema import PROMISED, output_schema


@click.command()
@click.argument("of", metavar="WHAT", type=click.Choice(["experiment", "fault", "run", *PROMISED]))
def schema(of: str) -> None:
    """Print the JSON Schema of a document.

    WHAT is 'experiment' or 'fault', as people write them in YAML, TOML or JSON; 'run', the run.json of a run's folder;
    or a command, for what it prints with --json. An editor that knows a schema completes and checks what is typed.

    \b
    cloudcart schema experiment > experiment.schema.json
    """
    from cloudcart.experiment import experiment_schema, fault_schema
    from cloudcart.report import run_schema

    schemas = {"experiment": experiment_schema, "fault": fault_schema, "run": run_schema}
    emit_json(schemas[of]() if of in schemas else output_schema(of))
