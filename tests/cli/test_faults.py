"""``cloudcart faults``, and what ``inject`` and ``heal`` refuse before they ask for a lab."""

from __future__ import annotations

import json
import shlex

import pytest
from click.testing import CliRunner

from cloudcart.cli.program import program
from cloudcart.faults import FAULTS
from cloudcart.faults.catalogue import catalogue


def invoke(*arguments):
    return CliRunner().invoke(program, arguments)


def inject(*arguments):
    return invoke("inject", *arguments)


def test_the_list_has_every_kind():
    answer = invoke("faults")
    assert answer.exit_code == 0
    for kind in FAULTS:
        assert f"\n{kind} " in answer.stdout


def test_json_is_the_catalogue():
    found = json.loads(invoke("faults", "--json").stdout)
    assert found == json.loads(json.dumps(catalogue()))
    assert {"kind", "acts_on", "parameters", "needs", "contract"} <= found[0].keys()


@pytest.mark.parametrize("kind", FAULTS)
def test_one_kind_shows_every_parameter_and_an_example_that_works(kind):
    answer = invoke("faults", kind)
    assert answer.exit_code == 0
    for name in FAULTS[kind].model_fields:
        assert f"\n{name} " in answer.stdout, name
    (example,) = [line for line in answer.stdout.splitlines() if line.startswith("Example: cloudcart inject")]
    refused = inject(*shlex.split(example)[3:], "--name", "no-such-lab")
    assert refused.exit_code == 4, "the document is right, so only the lab is missing"
    assert "no lab 'no-such-lab' is running" in refused.stderr


def test_durations_have_their_unit():
    ttl = next(line for line in invoke("faults", "timeout").stdout.splitlines() if line.startswith("ttl"))
    assert ttl.split()[1] == "60s"


@pytest.mark.parametrize("arguments", [["faults", "gremlins"], ["inject", "gremlins", "--target", "products"]])
def test_no_such_kind(arguments):
    answer = invoke(*arguments)
    assert answer.exit_code == 2
    assert "gremlins" in answer.stderr
    assert "latency" in answer.stderr, "it says what there is"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["error", "--target", "produkts"], "target: there is no 'produkts' to aim at"),
        (["error", "--target", "products->mysql"], "target: there is no 'mysql' to aim at"),
        (["error", "--target", "products", "--probability", "2"], "probability: a share lies between 0 and 1"),
        (["error", "--target", "products", "--probability", "-1"], "probability: a share lies between 0 and 1"),
        (["error", "--target", "products", "--ttl", "0"], "ttl: '0' is not a duration"),
        (["error", "--target", "products", "--ttl", "0s"], "ttl: "),
        (["error", "--target", "products", "--ttl", "none"], "ttl: 'none' is not a duration"),
        (["error", "--target", "products", "--ttl", "2h"], "ttl: "),
        (["error", "--target", "products", "--seed", "-1"], "Invalid value for '--seed'"),
        (["error", "--target", "products", "--param", "status=99"], "status: "),
        (["error", "--target", "products", "--param", "stauts=503"], "stauts: the fault error has no such field"),
        (["error", "--target", "products", "--param", "status"], "'status' is not of the form NAME=VALUE"),
        (["error", "--target", "products", "--param", "=503"], "'=503' is not of the form NAME=VALUE"),
        (["error", "--target", "products", "--param", "status=500", "--param", "status=503"], "status is given twice"),
        (
            ["error", "--target", "products", "--ttl", "5s", "--param", "ttl=6s"],
            "ttl: given by an option and by --param",
        ),
        (["latency", "--target", "products"], "give fixed"),
        (["error"], "target: give --target"),
    ],
)
def test_a_fault_that_makes_no_sense_is_named_and_nothing_is_asked_of_a_lab(arguments, sentence):
    answer = inject(*arguments, "--name", "no-such-lab")
    assert answer.exit_code == 2
    assert sentence in answer.stderr
    assert "no-such-lab" not in answer.stderr
    assert answer.stdout == ""


def test_heal_takes_an_id_or_all():
    answer = invoke("heal", "f1", "--all")
    assert answer.exit_code == 2
    assert "not both" in answer.stderr


def test_a_document_instead_of_words(tmp_path):
    path = tmp_path / "fault.yaml"
    path.write_text("kind: error\ntarget: products\nprobability: 2\n")
    answer = inject("--file", str(path), "--name", "no-such-lab")
    assert answer.exit_code == 2
    assert "fault.yaml, line 3, probability: a share lies between 0 and 1" in answer.stderr
    path.write_text("kind: error\ntarget: products\n")
    assert "no lab 'no-such-lab' is running" in inject("--file", str(path), "--name", "no-such-lab").stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["error", "--file", "fault.yaml"], "kind: the fault is in fault.yaml; write it there, or leave --file out"),
        (["--target", "products"], "kind: give the KIND of fault, as latency, or a document with --file"),
        (["--file", "none.yaml"], "none.yaml cannot be read"),
    ],
)
def test_words_and_document_are_not_mixed(arguments, sentence):
    answer = inject(*arguments)
    assert answer.exit_code == 2
    assert sentence in answer.stderr


def test_schemas_are_printed():
    for name in ("experiment", "fault", "run"):
        assert json.loads(invoke("schema", name).stdout)["$schema"]
