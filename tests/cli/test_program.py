"""The program as a whole: help, quick start, errors as sentences, exit codes."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from cloudcart import exceptions
from cloudcart.cli.program import program

HEAVY = (
    "rich",
    "httpx",
    "pydantic",
    "psutil",
    "asyncio",
    "cloudcart.settings",
    "cloudcart.lab",
    "cloudcart.experiment",
)


@pytest.fixture
def failing():
    """Give the program a command for the time of a test that raises what it is told to."""
    raised = []

    @program.command("failing")
    def command() -> None:
        raise raised[0]

    yield raised
    del program.commands["failing"]


def invoke(*arguments):
    return CliRunner().invoke(program, arguments)


def as_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)


def test_help_lists_every_command_once():
    answer = invoke("--help")
    assert answer.exit_code == 0
    for name, command in program.commands.items():
        assert answer.output.count(f"\n  {name} ") == 1, name
        assert command.get_short_help_str(66) in answer.output
        assert not command.get_short_help_str(66).endswith("..."), f"the first sentence of {name} is too long"


@pytest.mark.parametrize("name", program.commands)
def test_each_command_has_help(name):
    answer = invoke(name, "--help")
    assert answer.exit_code == 0
    assert "Usage:" in answer.output


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from click.testing import CliRunner
from cloudcart.cli.program import program
assert CliRunner().invoke(program, ["--help"]).exit_code == 0
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = as_process(code)
    assert done.stdout.strip() == "[]", done.stderr


def test_version():
    answer = invoke("--version")
    assert answer.exit_code == 0
    assert answer.output.startswith("cloudcart, version ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.CloudCartError("it broke; mend it"), 1),
        (exceptions.UsageError("write it so"), 2),
        (exceptions.FaultError("kind: no such thing"), 2),
        (exceptions.MissingExtraError("locust", "load"), 2),
        (exceptions.LabError("it did not start"), 4),
        (exceptions.BackendError("no PostgreSQL; run: pip install it"), 4),
        (exceptions.LoadError("no load"), 4),
        (exceptions.OutcomeUnknownError("who knows"), 1),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(failing, error, code):
    failing.append(error)
    answer = invoke("failing")
    assert answer.exit_code == code
    assert answer.stdout == ""
    assert answer.stderr == f"Error: {error}\n"


def test_debug_shows_the_traceback_too(failing, capsys):
    failing.append(exceptions.UsageError("write it so"))
    answer = invoke("--debug", "failing")
    assert answer.exit_code == 2
    assert "Traceback" in answer.stderr
    assert "Error: write it so" in answer.stderr


def test_ctrl_c_is_130(failing):
    failing.append(KeyboardInterrupt())
    answer = invoke("failing")
    assert answer.exit_code == 130
    assert answer.stdout == ""


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "--nonsense"], ["inject"], ["status", "surplus"], []])
def test_what_click_refuses_is_2(arguments):
    assert invoke(*arguments).exit_code == 2


def test_a_refusal_of_click_is_2_in_the_process_as_well():
    done = subprocess.run(
        [sys.executable, "-m", "cloudcart.cli", "nonsense"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr
    assert done.stdout == ""


def test_a_bug_shows_its_traceback_and_is_no_verdict():
    code = """
import click
from cloudcart.cli.program import main, program
import sys
@program.command("buggy")
def buggy():
    raise ZeroDivisionError("oh")
sys.argv = ["cloudcart", "buggy"]
main()
"""
    done = as_process(code)
    assert done.returncode == 70
    assert "ZeroDivisionError: oh" in done.stderr
    assert "bug in cloudcart" in done.stderr


def test_every_option_has_help():
    for command in program.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{command.name} {parameter.opts}"
