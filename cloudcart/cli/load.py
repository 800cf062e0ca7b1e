"""``cloudcart load``: give a lab load, without faults and without a verdict, and say what clients saw.

Not here: the load (``cloudcart.load``); experiments, which judge, are ``cloudcart run``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudcart.cli.completion import journeys, offer
from cloudcart.cli.options import json_option, name_option, report_dir_option
from cloudcart.cli.output import emit_json, note, plain_table, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cloudcart.load import LoadRun
    from cloudcart.signals import RowsSource, Window

_SIGNALS: Final = ("traffic", "errors", "throttled", "mean", "p50", "p95", "p99")
_INCONCLUSIVE: Final = 3


@click.command()
@click.argument("journey", shell_complete=offer(journeys))
@click.option("--rate", type=float, help="Open model: visits that arrive a second, whatever becomes of those before.")
@click.option("--users", type=int, help="Closed model: so many users, each begins anew when the last visit has ended.")
@click.option("--stage", "stages", multiple=True, metavar="DURATION:RATE", help="A stage of open load; repeatable.")
@click.option("--duration", metavar="DURATION", help="How long.  [default: 60s; with --stage what they add up to]")
@click.option("--warmup", default="0s", show_default=True, metavar="DURATION", help="Cut off from what is shown.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes that share the load.")
@click.option(
    "--arrivals",
    type=click.Choice(["constant", "poisson"]),
    default="constant",
    show_default=True,
    help="Evenly spaced, or each independent of the others.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which products are chosen.")
@click.option("--web", type=click.IntRange(0, 65535), metavar="PORT", help="Serve Locust's own page; 0: a free port.")
@name_option
@report_dir_option
@json_option
@click.pass_context
def load(
    ctx: click.Context,
    /,
    journey: str,
    stages: tuple[str, ...],
    web: int | None,
    name: str,
    report_dir: Path,
    as_json: bool,
    **profile: Any,
) -> None:
    """Give a running lab load and say what clients saw.

    JOURNEY is admin, browse, checkout, mixed, persistent, register, rush, storm, tracking, or a file of yours. Every
    request is a row in requests.parquet. Exit code 3 when the generator was itself the bottleneck, so that the figures
    say nothing.

    \b
    cloudcart load checkout --rate 40 --duration 60s
    cloudcart load browse --stage 20s:10 --stage 20s:50 --workers 2
    """
    from cloudcart.lab import attach
    from cloudcart.load import LoadProfile, start_load

    if stages:
        profile["stages"] = [_stage(text) for text in stages]
    values = LoadProfile(journey=journey, **{option: value for option, value in profile.items() if value is not None})
    lab = attach(name)
    folder = report_dir / f"load-{Path(journey).stem}-{datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005  # for people
    users, token = lab.prepare_users(values.users_needed), lab.token("admin")
    with start_load(
        values, host=lab.urls["gateway"], users=users, admin_token=token, folder=folder, progress=note, web=web
    ) as run:
        if run.web:
            note(f"Locust's page: {run.web}")
        run.wait()
    _show(run, as_json=as_json)
    ctx.exit(_INCONCLUSIVE if run.saturated else 0)


def _stage(text: str) -> tuple[str, str]:
    duration, colon, rate = text.partition(":")
    if not colon:
        raise click.BadParameter(f"{text!r} is not of the form DURATION:RATE, as 20s:50", param_hint="--stage")
    return duration, rate


def _show(run: LoadRun, *, as_json: bool) -> None:
    from cloudcart.signals import RowsSource, Window

    profile = run.profile
    window = Window(run.started + profile.warmup, run.started + profile.duration)
    sources = {since: RowsSource(run.requests, since=since) for since in ("due", "sent")}
    if as_json:
        readings = {name: sources["due"].read(name, window).document() for name in _SIGNALS}
        emit_json({"requests": str(run.requests), "readings": readings, "generator": run.summary()})
    else:
        show(*_parts(run, sources, window))


def _parts(run: LoadRun, sources: dict[str, RowsSource], window: Window) -> Iterable[RenderableType]:
    from cloudcart.signals.amounts import format_amount

    table = plain_table("signal", "from when due", "95 % interval", "from when sent", "samples")
    for name in _SIGNALS:
        due, sent = (source.read(name, window) for source in sources.values())
        interval = " to ".join(format_amount(end, due.unit) if end is not None else "?" for end in (due.low, due.high))
        closed = format_amount(sent.value, due.unit) if name[0] in "pm" else ""
        table.add_row(name, format_amount(due.value, due.unit), interval, closed, f"{due.samples:,}")
    yield table
    for doubt in run.doubts:
        yield f"[yellow]note[/yellow]  {doubt}"
    if run.saturated:
        yield f"[bold yellow]INCONCLUSIVE[/]  the load generator was the bottleneck: {run.saturated}"
    yield f"rows: {run.requests}"
