"""What pytest loads by its entry point: options with their ini twins, markers, and the end-of-run summary.

Costs nothing where unused: no Locust, no FastAPI, no lab before a fixture asks for one. The fixtures themselves are in
``fixtures.py`` and imported here by name only through pytest's own plugin list.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

pytest_plugins = ("cloudcart.pytest_plugin.fixtures",)


class Option(NamedTuple):
    """A command-line option and its ini twin (the same name with underscores)."""

    name: str
    default: str
    meaning: str


OPTIONS: Final = (
    Option("backend", "embedded", "where the shop runs: embedded, containers, or external"),
    Option("url", "", "gateway of a lab that somebody else started (backend external), as http://127.0.0.1:3000"),
    Option("seed", "0", "chooses which requests faults hit and what the load does"),
    Option("report-dir", "cloudcart-runs", "folder for the run folders of scenarios"),
    Option("reuse", "", "attach to the running lab of this name ('cloudcart up --name NAME') instead of starting one"),
)
FLAGS: Final = (Option("keep", "", "leave the lab running at the end and say how to attach to it"),)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--cloudcart-*`` and ``cloudcart_*`` in the ini file."""
    group = parser.getgroup("cloudcart", "a real, small shop to break on purpose")
    for option in OPTIONS:
        flag = f"--cloudcart-{option.name}"
        group.addoption(flag, dest=_dest(option), metavar=option.name.upper(), help=option.meaning)
        parser.addini(_dest(option), option.meaning, default=option.default)
    for option in FLAGS:
        group.addoption(f"--cloudcart-{option.name}", dest=_dest(option), action="store_true", help=option.meaning)
        parser.addini(_dest(option), option.meaning, type="bool", default=False)
    group.addoption(
        "--cloudcart-set",
        dest="cloudcart_set",
        action="append",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="a setting of the shop, as gateway.retries=off; may be given several times",
    )
    parser.addini("cloudcart_set", "settings of the shop, one section.field=value a line", type="linelist", default=[])


def _dest(option: Option) -> str:
    return "cloudcart_" + option.name.replace("-", "_")


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print one line per run: verdict, seed, where the report is."""
    runs = config.stash.get(RUNS, [])
    if runs:
        terminalreporter.section("cloudcart")
        for line in runs:
            terminalreporter.write_line(line)


def setting(config: pytest.Config, name: str) -> str:
    """Return an option as given, else its ini twin, else its default."""
    given = config.getoption(f"cloudcart_{name}")
    return str(given if given is not None else config.getini(f"cloudcart_{name}"))


def flag(config: pytest.Config, name: str) -> bool:
    """Return whether a flag is given on the command line or in the ini file."""
    return bool(config.getoption(f"cloudcart_{name}") or config.getini(f"cloudcart_{name}"))


def shop_settings(config: pytest.Config) -> dict[str, str]:
    """Return the settings given by ``--cloudcart-set`` and the ini file; the command line wins.

    Raises:
        pytest.UsageError: an entry is not ``section.field=value``.
    """
    found = {}
    for entry in [*config.getini("cloudcart_set"), *config.getoption("cloudcart_set")]:
        name, equals, value = entry.partition("=")
        if not equals or "." not in name:
            raise pytest.UsageError(f"--cloudcart-set {entry}: write section.field=value, as gateway.retries=off")
        found[name.strip()] = value.strip()
    return found


def report_dir(config: pytest.Config) -> Path:
    """Return the folder for run folders, relative to where pytest was started."""
    return config.invocation_params.dir / setting(config, "report_dir")


RUNS: Final = pytest.StashKey[list[str]]()
"""Lines for the terminal summary, one per run."""

MARKERS: Final = {
    "cloudcart_load": "(journey, rate=, users=, duration=, warmup=, ...): the load of this scenario",
    "cloudcart_fault": "(kind, target=, start=, duration=, ...): a fault, when it starts and how long it acts",
    "cloudcart_slo": "(objective, route=, service=, phase=, source=): what must hold, as 'p99 < 2s'",
    "cloudcart_steady": "(objective, ...): what must hold before the first fault, else nothing is concluded",
    "cloudcart_abort_if": "(objective, ...): when this objective is broken for two seconds, heal and stop",
    "cloudcart_settings": "({name: value}): settings of the shop that this scenario is about",
}
"""Marker names and what they take; ``experiment.scenario`` reads them."""
