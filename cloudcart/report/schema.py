"""The JSON Schema of ``run.json``, as a file that ships with the package.

For whoever reads runs with other tools. A test holds it against recorded runs; a change that breaks readers raises
``schema_version``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def run_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12)."""
    schema: dict[str, Any] = json.loads((Path(__file__).parent / "run.schema.json").read_text(encoding="utf-8"))
    return schema
