"""``cloudcart schema``: JSON Schema of what people write and of what runs leave, for editors and other programs.

Not here: the schemas (``cloudcart.experiment`` and ``cloudcart.report``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cloudcart.cli.output import emit_json


@click.command()
@click.argument("of", metavar="WHAT", type=click.Choice(["experiment", "fault", "run"]))
def schema(of: str) -> None:
    """Print the JSON Schema of a document.

    WHAT is 'experiment' or 'fault', as people write them in YAML, TOML or JSON, or 'run', the run.json of a run's
    folder. An editor that knows the schema completes and checks what is typed.

    \b
    cloudcart schema experiment > experiment.schema.json
    """
    from cloudcart.experiment import experiment_schema, fault_schema
    from cloudcart.report import run_schema

    schemas: dict[str, Callable[[], dict[str, Any]]]
    schemas = {"experiment": experiment_schema, "fault": fault_schema, "run": run_schema}
    emit_json(schemas[of]())
