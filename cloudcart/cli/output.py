"""What commands print with: JSON for machines on standard output, tables for people, progress on standard error.

Not here: what is said. Rich is imported when something is printed: its import would take most of a command's time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_PIPE_WIDTH: Final = 240  # a pipe has no width; rows stay on one line, for grep and cut


def emit_json(document: object) -> None:
    """Print one JSON document on standard output. Infinities and NaN are not JSON and raise ValueError."""
    click.echo(json.dumps(document, indent=2, allow_nan=False, default=_as_text))


def _as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def console(*, err: bool = False) -> Console:
    """Return a console for standard output, or standard error; colours only where a terminal shows them."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(stderr=err, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False)


def show(*parts: RenderableType) -> None:
    """Print tables and text on standard output."""
    screen = console()
    if screen.is_terminal:
        _print(screen, parts)
        return
    with screen.capture() as printed:
        _print(screen, parts)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())  # tables are padded to their width, which files and grep do not want


def _print(screen: Console, parts: Iterable[RenderableType]) -> None:
    for part in parts:
        screen.print(part, soft_wrap=isinstance(part, str))  # a path that a terminal wraps can still be copied


def escape(text: str) -> str:
    """Return text in which no square bracket is taken for markup."""
    from rich.markup import escape as escaped

    return escaped(text)


def note(message: str) -> None:
    """Print one line on standard error: progress, or what to do next."""
    click.echo(message, err=True)


def plain_table(*columns: str, wrap: int = 1) -> Table:
    """Return an empty table without lines: a heading and columns two spaces apart; the last ``wrap`` ones may wrap."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in columns[-wrap:])
    return table
