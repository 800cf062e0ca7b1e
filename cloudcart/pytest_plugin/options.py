"""The plugin's options: ``--cloudcart-NAME`` on the command line, ``cloudcart_NAME`` in the ini file.

One table each for values, flags and lists; the command line wins. Read through the functions below by whoever needs a
value, late, so that a project that does not use cloudcart pays for nothing but the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest


class Option(NamedTuple):
    """A command-line option and its ini twin; ``bare`` is its value when it is given without one."""

    name: str
    default: str
    meaning: str
    bare: str | None = None


OPTIONS: Final = (
    Option("backend", "embedded", "where the shop runs: embedded, containers or external"),
    Option("url", "", "the gateway of a shop that runs already; implies the backend external"),
    Option("seed", "0", "chooses which requests faults hit and what the load does"),
    Option("time-scale", "1", "how many times faster than real time SLO periods and burn-rate windows run"),
    Option("report-dir", "cloudcart-runs", "folder for the run folders of scenarios"),
    Option("save", "", "keep this session's readings under a name, to compare with later", bare="baseline"),
    Option("compare", "", "compare this session's readings with those saved under a name", bare="baseline"),
    Option("reuse", "", "attach to the running lab of this name ('cloudcart up --name NAME') instead of starting one"),
    Option("repeat", "1", "run each scenario so often, with seed, seed+1, ..; says how much runs differ by themselves"),
)
FLAGS: Final = (
    Option("keep", "", "leave the lab running at the end and say how to attach to it"),
    Option(
        "fail-fast",
        "",
        "end a scenario as soon as an objective cannot hold any more, whatever came; the verdict stays the same",
    ),
    Option("wipe", "", "let a lab that somebody else started lose the orders and accounts that people made there"),
    Option("coverage", "", "say which links and routes were broken by which kind of fault; also as coverage.html"),
)
LISTS: Final = (
    Option("set", "", "a setting of the shop, section.field=value, as gateway.retries=off; may be given several times"),
    Option(
        "compare-fail", "", "fail when a signal got worse by more than this, as p95:10%%; may be given several times"
    ),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare every option with its ini twin."""
    group = parser.getgroup("cloudcart", "a real, small shop to break on purpose")
    for option in OPTIONS:
        bare: dict[str, Any] = {"nargs": "?", "const": option.bare} if option.bare else {}
        group.addoption(
            _flag(option), dest=_dest(option), metavar=option.name.upper(), help=option.meaning, default=None, **bare
        )
        parser.addini(_dest(option), option.meaning, default=option.default)
    for option in FLAGS:
        group.addoption(_flag(option), dest=_dest(option), action="store_true", help=option.meaning)
        parser.addini(_dest(option), option.meaning, type="bool", default=False)
    for option in LISTS:
        group.addoption(
            _flag(option), dest=_dest(option), action="append", default=[], metavar="NAME", help=option.meaning
        )
        parser.addini(_dest(option), option.meaning.replace("%%", "%"), type="linelist", default=[])


def _flag(option: Option) -> str:
    return f"--cloudcart-{option.name}"


def _dest(option: Option) -> str:
    return "cloudcart_" + option.name.replace("-", "_")


def setting(config: pytest.Config, name: str) -> str:
    """Return an option as given, else its ini twin, else its default."""
    given = config.getoption(f"cloudcart_{name}")
    return str(given if given is not None else config.getini(f"cloudcart_{name}"))


def flag(config: pytest.Config, name: str) -> bool:
    """Return whether a flag is given on the command line or in the ini file."""
    return bool(config.getoption(f"cloudcart_{name}") or config.getini(f"cloudcart_{name}"))


def entries(config: pytest.Config, name: str) -> list[str]:
    """Return what an option that may be given several times was given, the ini file's first."""
    return [*config.getini(f"cloudcart_{name}"), *config.getoption(f"cloudcart_{name}")]


def number(config: pytest.Config, name: str, *, least: float = 0) -> float:
    """Return an option that is a number.

    Raises:
        pytest.UsageError: it is none, or below ``least``.
    """
    text = setting(config, name)
    try:
        value = float(text)
    except ValueError:
        value = least - 1
    if not least <= value < float("inf"):
        raise pytest.UsageError(f"--cloudcart-{name.replace('_', '-')} {text}: write a number from {least:g} up")
    return value


def whole(config: pytest.Config, name: str, *, least: int = 0) -> int:
    """Return an option that is a whole number; raises as :func:`number`."""
    value = number(config, name, least=least)
    if not value.is_integer():
        raise pytest.UsageError(f"--cloudcart-{name.replace('_', '-')} {value:g}: write a whole number")
    return int(value)


def shop_settings(config: pytest.Config) -> dict[str, str]:
    """Return the settings given by ``--cloudcart-set`` and the ini file; the command line wins.

    Raises:
        pytest.UsageError: an entry is not ``section.field=value``.
    """
    found = {}
    for entry in entries(config, "set"):
        name, equals, value = entry.partition("=")
        if not equals or "." not in name:
            raise pytest.UsageError(f"--cloudcart-set {entry}: write section.field=value, as gateway.retries=off")
        found[name.strip()] = value.strip()
    return found


def report_dir(config: pytest.Config) -> Path:
    """Return the folder for run folders, relative to where pytest was started."""
    return config.invocation_params.dir / setting(config, "report_dir")
