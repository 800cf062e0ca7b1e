"""A run's objectives and invariants as pytest's subtests, and as cases of their own in a JUnit file.

Subtests of a test have its node id, which is what pytest-xdist sends them by and what JUnit files gather them under. So
each gets a name of its own only where the files are written: in the process that prints.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from cloudcart.experiment import Run

_KINDS: Final = ("objective ", "invariant ")
"""How the names of cases begin, by which they are told from a test's own subtests."""


class Case(NamedTuple):
    """One thing that had to hold: its name, and why it does not; empty if it does."""

    name: str
    missed: str


def cases(run: Run) -> Iterator[Case]:
    """Yield a case for each objective and each invariant of a run."""
    seed = f"seed {run.record['seed']}; report: {run.report}"
    for found in run.record["objectives"]:
        scope = ", ".join(part for part in (found["route"], found["service"], found["phase"]) if part)
        name = f"{_KINDS[0]}{found['name'] or found['objective']}{f' ({scope})' if scope else ''}"
        yield Case(name, _missed(found["verdict"], found["objective"], found["reason"], seed))
    for found in run.record["invariants"]:
        yield Case(f"{_KINDS[1]}{found['name']}", _missed(found["verdict"], found["name"], found["detail"], seed))


def _missed(verdict: str, what: str, why: str, seed: str) -> str:
    return "" if verdict == "pass" else f"{verdict.upper()}: {what}: {why}; {seed}"


def report_cases(request: pytest.FixtureRequest, run: Run) -> None:
    """Report each case as a subtest, where this pytest has subtests (version 9, or pytest-subtests)."""
    try:
        subtests = request.getfixturevalue("subtests")
    except pytest.FixtureLookupError:
        return
    for case in cases(run):
        with suppress(pytest.fail.Exception), subtests.test(msg=case.name):  # with -x it comes through
            if case.missed:
                pytest.fail(case.missed, pytrace=False)


class CaseNames:
    """Gives each case's report a node id of its own; registered where reports are printed and written."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Name it before any other plugin sees it; afterwards take it out of the count of tests done."""
        name = getattr(getattr(report, "context", None), "msg", None)
        if not isinstance(name, str) or not name.startswith(_KINDS):
            return (yield)
        report.nodeid = f"{report.nodeid}[{name}]"
        result = yield
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        getattr(terminal, "_progress_nodeids_reported", set()).discard(report.nodeid)
        return result
