"""What pytest loads by its entry point: options, markers, and the hooks that bring runs together at the end.

Costs nothing where unused: no Locust, no FastAPI, no lab before a fixture asks for one. The fixtures are in
``fixtures.py``, what is said at the end in ``summary.py``, which is imported only when there is something to say.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import pytest

from cloudcart.pytest_plugin.cases import CaseNames
from cloudcart.pytest_plugin.markers import MARKERS
from cloudcart.pytest_plugin.options import add_options, entries, report_dir, setting, whole

pytest_plugins = ("cloudcart.pytest_plugin.fixtures", "cloudcart.pytest_plugin.target")

pytest_addoption = add_options

FINDINGS: Final = pytest.StashKey[list[dict[str, Any]]]()
"""What this process has to tell at the end: finished runs, injected faults, labs that were kept. Plain JSON values,
since a worker of pytest-xdist sends them to the process that prints them."""

_WORKER_OUTPUT: Final = "cloudcart_findings"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; refuse a process in which gevent has patched the standard library."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        raise pytest.UsageError(
            "cloudcart: gevent has patched this pytest process, so servers in it would hang; do not "
            "import locust or call gevent.monkey.patch_all() here (cloudcart runs Locust in a process of its own)"
        )
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}{meaning}")
    config.stash[FINDINGS] = []
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(CaseNames(config), "cloudcart-case-names")
        _check_comparison(config)


def _check_comparison(config: pytest.Config) -> None:
    """Refuse what cannot be compared before time is spent on runs."""
    if name := setting(config, "compare"):
        from cloudcart.pytest_plugin import baseline

        baseline.load(report_dir(config), name)
        baseline.thresholds(config)
    elif entries(config, "compare_fail"):
        raise pytest.UsageError("--cloudcart-compare-fail needs --cloudcart-compare=NAME: worse than what?")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat scenarios as often as ``--cloudcart-repeat`` says."""
    if "cloudcart_run" not in metafunc.fixturenames:
        return
    times = whole(metafunc.config, "repeat", least=1)
    if times > 1:
        names = [f"repeat{number}" for number in range(1, times + 1)]
        metafunc.parametrize("cloudcart_repetition", range(times), ids=names, indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let tests follow each other that need a lab with the same settings, so that it is started once.

    After plugins that shuffle. A lab that is up already is nobody's to restart, so then the order stays.
    """
    if sum(map(_needs_a_lab, items)) > 1 and not (setting(config, "reuse") or setting(config, "url")):
        from cloudcart.pytest_plugin.order import grouped, settings_of

        items[:] = grouped(items, _needs_a_lab, settings_of)


def _needs_a_lab(item: pytest.Item) -> bool:
    return "cloudcart_lab" in getattr(item, "fixturenames", ())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what was found to where it is printed; save and compare there."""
    config = session.config
    findings = config.stash[FINDINGS]
    output = getattr(config, "workeroutput", None)
    if output is not None:
        output[_WORKER_OUTPUT] = findings
    elif findings:
        from cloudcart.pytest_plugin.summary import conclude

        if conclude(config, findings) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take in what a worker of pytest-xdist found."""
    del error
    node.config.stash[FINDINGS].extend(getattr(node, "workeroutput", {}).get(_WORKER_OUTPUT, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the runs came to."""
    findings = config.stash[FINDINGS]
    if findings:
        from cloudcart.pytest_plugin.summary import summary_lines

        terminalreporter.section("cloudcart")
        for line in summary_lines(config, findings):
            terminalreporter.write_line(line)
