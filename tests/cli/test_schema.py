"""The shapes that ``--json`` promises. What other tests of this folder read with ``--json`` is held to them, too."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from cloudcart import Run
from cloudcart.cli.output_schema import PROMISED, output_schema
from cloudcart.cli.program import program
from cloudcart.cli.run_result import result_document

RUNS = Path(__file__).parents[2] / "notebooks" / "runs"


@pytest.mark.parametrize("command", ["up", "status", "faults", "check-invariants", "run"])
def test_a_schema_is_one(command):
    jsonschema.Draft202012Validator.check_schema(output_schema(command))


def test_nothing_is_promised_for_other_commands():
    with pytest.raises(KeyError):
        output_schema("demo")


@pytest.mark.parametrize("name", sorted(folder.name for folder in RUNS.iterdir()))
def test_what_run_prints_is_as_promised(name):
    jsonschema.validate(result_document(Run.load(RUNS / name).record), output_schema("run"))


def test_what_is_wrong_is_seen():
    document = {"verdict": "pass", "invariants": [{"name": "stock adds up", "verdict": "maybe", "detail": ""}]}
    assert not jsonschema.Draft202012Validator(output_schema("check-invariants")).is_valid(document)
    run = result_document(Run.load(RUNS / "something_is_slow").record)
    validator = jsonschema.Draft202012Validator(output_schema("run"))
    assert not validator.is_valid({**run, "objectives": [{"objective": "p99 < 1s"}]})
    assert not validator.is_valid({name: value for name, value in run.items() if name != "seed"})


def test_the_kinds_of_fault_are_as_promised(cloudcart):
    assert len(cloudcart.json("faults")) > 30


@pytest.mark.parametrize("what", ["experiment", "fault", "run", *PROMISED])
def test_every_schema_can_be_printed(what):
    done = CliRunner().invoke(program, ["schema", what], catch_exceptions=False)
    jsonschema.Draft202012Validator.check_schema(json.loads(done.stdout))
