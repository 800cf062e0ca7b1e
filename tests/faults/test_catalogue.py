"""The catalogue: complete, readable, and the same everywhere."""

from __future__ import annotations

import shlex
from pathlib import Path

import jsonschema
import pytest

from cloudcart.faults import FAULTS, parse_fault
from cloudcart.faults.catalogue import describe, example, page, parameters

COPY = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_copy_is_up_to_date() -> None:
    assert COPY.read_text() == page(), "python -m cloudcart.faults.catalogue > docs/faults.md"


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_every_kind_is_described_to_the_last_field(kind: str) -> None:
    fault = FAULTS[kind]
    assert describe(fault).endswith((".", ":"))
    found = parameters(fault)
    assert {one.name for one in found} == set(fault.model_fields)
    assert all(one.default and one.unit and one.description for one in found)


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_the_example_is_the_one_that_the_contract_is_measured_with(kind: str) -> None:
    contract = FAULTS[kind].contract
    assert parse_fault({"kind": kind, **contract.example}).label
    assert contract.at_least > 0
    words = shlex.split(example(FAULTS[kind]))
    assert words[:4] == ["cloudcart", "inject", kind, "--target"]
    assert all(str(value) in " ".join(words) for value in contract.example.values())


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_defaults_are_what_the_schema_allows(kind: str) -> None:
    for field in FAULTS[kind].model_json_schema()["properties"].values():
        if field.get("default") is not None:
            jsonschema.validate(field["default"], field)
