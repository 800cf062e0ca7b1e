"""The program ``cloudcart``: its commands, and how an error becomes one sentence and an exit code.

Not here: what any command does. The console script and ``python -m cloudcart`` call :func:`main`.

Exit codes: 0 passed or done · 1 failed · 2 usage · 3 inconclusive · 4 the lab could not start or is not there ·
70 a bug in cloudcart (with its traceback) · 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import sys
import traceback
from typing import Final, NoReturn

import click

from cloudcart import __version__
from cloudcart.cli.demo import demo
from cloudcart.cli.doctor import doctor
from cloudcart.cli.export import export
from cloudcart.cli.faults import faults, heal, inject
from cloudcart.cli.importing import import_
from cloudcart.cli.invariants import check_invariants
from cloudcart.cli.labs import down, logs, reset, status
from cloudcart.cli.load import load
from cloudcart.cli.migrate import migrate
from cloudcart.cli.proxy import proxy
from cloudcart.cli.report import report
from cloudcart.cli.scenarios import list_, run
from cloudcart.cli.schema import schema
from cloudcart.cli.settings import settings
from cloudcart.cli.shrink import shrink
from cloudcart.cli.up import up
from cloudcart.exceptions import CloudCartError

_BUG: Final = 70  # EX_SOFTWARE of sysexits.h; 1 would read as "the claim failed"
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it

_EPILOG: Final = """\b
First time?  cloudcart doctor, then cloudcart demo
Completion:  eval "$(_CLOUDCART_COMPLETE=bash_source cloudcart)"   (zsh_source, fish_source)
"""

_SECTIONS: Final = {
    "The lab": (up, down, status, logs, reset, migrate, settings, doctor),
    "Breaking it": (faults, inject, heal, proxy),
    "Experiments": (demo, load, list_, run, report, export, shrink, check_invariants, import_, schema),
}


class Program(click.Group):
    """A group of commands shown by section, whose errors are sentences with an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command; see the module's docstring for what becomes of errors."""
        try:
            return super().invoke(ctx)
        except CloudCartError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt as interrupt:  # a command that has something to say of its end says it in there
            click.echo(f"\n{interrupt}" if str(interrupt) else "\ninterrupted", err=True)
            ctx.exit(_INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in the order in which somebody new needs them."""
        del ctx
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(command.name), command.get_short_help_str(66)) for command in commands])


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="cloudcart")
@click.option("--debug", is_flag=True, envvar="CLOUDCART_DEBUG", help="Show the traceback of an error.")
def program(debug: bool) -> None:
    """A small, real shop to break on purpose: start it, break it, judge it.

    Exit codes: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 the lab could not start.
    """
    del debug  # read by Program.invoke


for _commands in _SECTIONS.values():
    for _command in _commands:
        program.add_command(_command)


def main() -> NoReturn:
    """Run the program with the process's arguments and exit."""
    try:
        sys.exit(program(prog_name="cloudcart", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except Exception:
        traceback.print_exc()
        click.echo("Error: this is a bug in cloudcart; please report it with the lines above", err=True)
        sys.exit(_BUG)
