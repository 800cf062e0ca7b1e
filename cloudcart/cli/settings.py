"""``cloudcart settings``: every setting and resilience switch, with its default, environment variable and meaning.

Not here: the settings (``cloudcart.settings``), nor what a running lab was started with (``cloudcart status``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from cloudcart.cli.options import json_option
from cloudcart.cli.output import console, emit_json, escape, plain_table, show
from cloudcart.exceptions import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDE: Final = 160  # columns from which on a setting fits on one line; a pipe has them


class Setting(NamedTuple):
    """One setting, its default as a user would write it."""

    name: str
    default: str
    environment: str
    description: str


@click.command()
@click.argument("section", required=False)
@json_option
def settings(section: str | None, as_json: bool) -> None:
    """List every setting of the shop and what it does.

    SECTION shows one section only, as 'gateway'. Change a setting with '--set gateway.retries=off' on 'up' and 'run',
    or by its environment variable.
    """
    found = list(_in_section(section))
    if as_json:
        emit_json([setting._asdict() for setting in found])
        return
    show(*(_rows(found) if console().width >= _WIDE else _blocks(found)))
    show("", "Change one: cloudcart up --set gateway.retries=off, or set its environment variable.")


def _rows(found: Iterable[Setting]) -> Iterator[RenderableType]:
    table = plain_table("setting", "default", "environment variable", "what it does")
    for setting in found:
        table.add_row(setting.name, setting.default, setting.environment, escape(setting.description))
    yield table


def _blocks(found: Iterable[Setting]) -> Iterator[RenderableType]:
    for setting in found:
        yield f"[bold]{setting.name}[/bold] = {setting.default}   [dim]{setting.environment}[/dim]"
        yield f"    {escape(setting.description)}"


def _in_section(section: str | None) -> Iterable[Setting]:
    every = list(_all_settings())
    found = [setting for setting in every if section in (None, setting.name, setting.name.partition(".")[0])]
    if not found:
        sections = dict.fromkeys(setting.name.partition(".")[0] for setting in every)
        raise UsageError(f"there is no section {section!r}; choose one of {', '.join(sections)}")
    return found


def _all_settings() -> Iterable[Setting]:
    from cloudcart.settings import Settings, describe_settings

    defaults = Settings.model_construct().model_dump(mode="json")
    for info in describe_settings():
        yield Setting(info.name, _written(_look_up(defaults, info.name)), info.environment, info.description)


def _look_up(tree: Mapping[str, Any], dotted: str) -> object:
    section, _, field = dotted.rpartition(".")
    return tree[section][field] if section else tree[field]


def _written(value: object) -> str:
    """Return a default as one would type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value in (None, "") else str(value)
