"""``cloudcart settings``: every setting, as people and as machines read it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cloudcart.cli.program import program
from cloudcart.settings import describe_settings


def invoke(*arguments, **environment):
    return CliRunner().invoke(program, ["settings", *arguments], env=environment)


def test_json_has_every_setting_with_its_default_as_one_would_type_it():
    answer = invoke("--json")
    assert answer.exit_code == 0
    found = {setting["name"]: setting for setting in json.loads(answer.stdout)}
    assert set(found) == {setting.name for setting in describe_settings()}
    assert found["gateway.timeout"] == {
        "name": "gateway.timeout",
        "default": "2s",
        "environment": "CLOUDCART_GATEWAY__TIMEOUT",
        "description": "time allowed for one upstream attempt",
    }
    assert found["gateway.retries"]["default"] == "on"
    assert found["auth.private_key"]["default"] == "-"


def test_a_pipe_gets_one_line_a_setting():
    lines = invoke().stdout.splitlines()
    (retries,) = [line for line in lines if line.startswith("gateway.retries ")]
    assert "on" in retries
    assert "CLOUDCART_GATEWAY__RETRIES" in retries
    assert all(line == line.rstrip() for line in lines)


def test_defaults_are_defaults_whatever_the_environment_says():
    found = json.loads(invoke("gateway.retries", "--json", CLOUDCART_GATEWAY__RETRIES="off").stdout)
    assert [setting["default"] for setting in found] == ["on"]


@pytest.mark.parametrize("section", ["gateway", "orders", "lab"])
def test_a_section_alone(section):
    found = json.loads(invoke(section, "--json").stdout)
    assert found
    assert {setting["name"].partition(".")[0] for setting in found} == {section}


def test_no_such_section_is_a_usage_error_that_lists_them():
    answer = invoke("gatewya")
    assert answer.exit_code == 2
    assert "there is no section 'gatewya'; choose one of lab, log_level, replica, stores" in answer.stderr
    assert answer.stdout == ""
