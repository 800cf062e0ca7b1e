"""The JSON Schema of run.json against runs."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from cloudcart.report import run_schema

RUNS = Path(__file__).parents[2] / "notebooks" / "runs"


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(run_schema())
    return jsonschema.Draft202012Validator(run_schema())


@pytest.mark.parametrize("name", sorted(folder.name for folder in RUNS.iterdir()))
def test_recorded_runs_are_valid(validator, name):
    validator.validate(json.loads((RUNS / name / "run.json").read_text()))


@pytest.mark.parametrize("what", [{}, {"broken_errors": 0.08}, {"saturated": "it used 97% of a core"}])
def test_runs_are_valid(validator, recorded, what):
    validator.validate(recorded(**what).run)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verdict", "maybe"),
        ("schema_version", 2),
        ("seed", "seven"),
        ("phases", [{"name": "steady"}]),
        ("objectives", [{}]),
    ],
)
def test_what_is_no_run_is_not(validator, recorded, field, value):
    run = recorded().run | {field: value}
    assert not validator.is_valid(run)


def test_every_field_that_must_be_there_is_described(validator):
    schema = run_schema()
    assert set(schema["required"]) <= set(schema["properties"])
    assert all("description" in part for part in schema["properties"].values())
