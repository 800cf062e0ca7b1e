"""``cloudcart report``: make a run's report again, or say what differs between two runs.

Not here: what is in a report and how runs are compared (``cloudcart.report``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudcart.cli.options import json_option
from cloudcart.cli.output import emit_json, escape, plain_table, show
from cloudcart.exceptions import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cloudcart.analysis import Run
    from cloudcart.report.comparison import Comparison
    from cloudcart.signals import Difference

_STYLES: Final = {"worse": "bold red", "better": "green"}


@click.command()
@click.argument("folders", metavar="RUN [RUN2]", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def report(folders: tuple[Path, ...], as_json: bool) -> None:
    """Make a run's report.html again, or compare two runs.

    RUN is a run's folder, or its run.json. With RUN2, says how RUN2 differs from RUN: what was read, with intervals,
    what became of the objectives, and what was done differently.
    """
    if len(folders) > 2:
        raise UsageError(f"one run to report on, or two to compare, not {len(folders)}")
    from cloudcart.analysis import Run

    found = [Run.load(folder) for folder in folders]
    if len(found) == 2:
        _compare(*(run.record for run in found), as_json=as_json)
        return
    written = _write(found[0])
    if as_json:
        emit_json({"report": written})
    else:
        click.echo(written)


def _write(run: Run) -> Path:
    from cloudcart.report import write_report

    try:
        return write_report(run.record, run.directory)
    except OSError as error:
        raise UsageError(
            f"{run.directory} cannot be written ({error.strerror}); copy the run to a folder of yours"
        ) from None


def _compare(before: Mapping[str, Any], after: Mapping[str, Any], *, as_json: bool) -> None:
    from cloudcart.report.comparison import compare

    found = compare([before], [after])
    if as_json:
        emit_json(found.document())
        return
    show(*_parts(found, before["name"], after["name"]))


def _parts(found: Comparison, before: str, after: str) -> Iterable[RenderableType]:
    yield f"[bold]{escape(before)}[/bold] (before) and [bold]{escape(after)}[/bold] (after)\n"
    yield _readings([one for one in found.differences if one.before.source == "client"])
    inside = [one for one in found.differences if one.before.source != "client" and one.shown]
    if inside:
        yield "\nInside, only what was shown to differ:"
        yield _readings(inside)
    changed = [row for row in found.verdicts if row[1] != row[2]]
    yield _rows("\nVerdicts that changed:", changed) if changed else "\nEvery verdict is the same."
    yield _rows("\nDone differently:", found.changes) if found.changes else "\nNothing was done differently."
    yield (
        "\nIntervals are of chance within the two runs. How far two runs of the same thing differ by themselves is "
        "said by pytest --cloudcart-repeat."
    )


def _readings(found: Iterable[Difference]) -> RenderableType:
    from cloudcart.signals.amounts import format_amount

    table = plain_table("phase", "signal", "before", "after", "difference, 95 % interval", "")
    for one in found:
        reading, unit = one.before, one.before.unit
        ends = [format_amount(end, unit) if end is not None else "unbounded" for end in (one.low, one.high)]
        interval = f"{format_amount(one.value, unit)}  ({ends[0]} to {ends[1]})"
        signal = reading.signal if reading.source == "client" else f"{reading.service} {reading.signal}"
        values = (format_amount(reading.value, unit), format_amount(one.after.value, unit))
        word = f"[{_STYLES[one.word]}]{one.word}[/]" if one.word in _STYLES else one.word
        table.add_row(reading.window.name, signal, *values, interval, word)
    return table


def _rows(title: str, rows: Iterable[tuple[str, str, str]]) -> RenderableType:
    table = plain_table("what", "before", "after", wrap=2)
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    for row in rows:
        table.add_row(*map(escape, row))
    return table
