"""What a shell offers, asked as click's own completion script asks."""

from __future__ import annotations

import pytest
from click.shell_completion import BashComplete

from cloudcart.cli.program import program


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        (["inj"], "inj", "inject"),
        (["inject"], "lat", "latency"),
        (["faults"], "ti", "timeout"),
        (["inject", "latency", "--target"], "pro", "products"),
        (["up", "--set"], "gateway.ret", "gateway.retries="),
        (["run"], "control", "control_no_fault_no_alarm"),
    ],
)
def test_names_are_offered(words, incomplete, offered):
    shell = BashComplete(program, {}, "cloudcart", "_CLOUDCART_COMPLETE")
    found = [item.value for item in shell.get_completions(words if words != [incomplete] else [], incomplete)]
    assert offered in found
    assert all(value.startswith(incomplete) for value in found)
