"""Options that several commands share, and the words ``name=value`` that some of them take.

Not here: options of one command alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from cloudcart.cli.completion import labs, offer, settings


def as_pairs(ctx: click.Context, param: click.Parameter, words: Iterable[str]) -> dict[str, str]:
    """Return words ``name=value`` as a mapping; a value may be empty and may hold further equal signs.

    Raises:
        click.BadParameter: a word has no equal sign or no name, or a name comes twice with different values.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip()
        if not equals or not name:
            raise click.BadParameter(f"{word!r} is not of the form {param.metavar}", ctx, param)
        if found.setdefault(name, value) != value:
            raise click.BadParameter(f"{name} is given twice, with {found[name]!r} and {value!r}", ctx, param)
    return found


json_option: Final = click.option("--json", "as_json", is_flag=True, help="JSON on standard output, nothing else.")

name_option: Final = click.option(
    "--name",
    default="default",
    show_default=True,
    metavar="LAB",
    shell_complete=offer(labs),
    help="Which lab.",
)

set_option: Final = click.option(
    "--set",
    "overrides",
    multiple=True,
    callback=as_pairs,
    shell_complete=offer(settings),
    metavar="SECTION.FIELD=VALUE",
    help="Change a setting of the shop; repeatable. 'cloudcart settings' lists them.",
)

report_dir_option: Final = click.option(
    "--report-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("cloudcart-runs"),
    show_default=True,
    help="Folder in which the run gets a folder of its own.",
)
