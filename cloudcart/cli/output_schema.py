"""JSON Schemas of what commands print with ``--json``, for whoever reads it with other tools.

Tests hold them against what is printed; ``cloudcart schema`` and the documentation show them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from cloudcart.cli.run_result import PRINTED

PROMISED: Final = ("up", "status", "faults", "check-invariants")
"""Commands whose shape has a schema of its own; that of ``run`` is a part of ``run.json``'s."""


def output_schema(command: str) -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12) of what ``cloudcart COMMAND --json`` prints.

    Raises:
        KeyError: no shape is promised for this command.
    """
    if command == "run":
        return _part_of_the_record()
    schema: dict[str, Any] = json.loads((Path(__file__).parent / "output.schema.json").read_text(encoding="utf-8"))
    return {**schema["$defs"][command], "$schema": schema["$schema"], "$defs": schema["$defs"]}


def _part_of_the_record() -> dict[str, Any]:
    from cloudcart.report import run_schema

    record = run_schema()
    properties = {name: record["properties"][name] for name in PRINTED}
    return {**record, "$id": "urn:cloudcart:output:1:run", "properties": properties, "required": list(PRINTED)}
