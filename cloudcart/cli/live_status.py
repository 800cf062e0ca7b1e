"""The live part of ``cloudcart up``: a table on a terminal, a line for each change elsewhere.

Not here: how a lab looks at one moment (``lab_view``), nor starting and stopping it (``up``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cloudcart.cli.lab_view import fault_line, memory_line, service_table
from cloudcart.cli.output import console, show
from cloudcart.exceptions import LabError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cloudcart.lab import Lab, LabStatus

_REFRESH: Final = 1.0  # seconds between two looks


class Moment(NamedTuple):
    """What a lab was like at one moment; ``faults`` is None while the control plane does not answer."""

    status: LabStatus
    faults: Mapping[str, Mapping[str, Any]] | None


def watch(lab: Lab, *, quiet: bool) -> None:
    """Show the lab's state until Ctrl-C; return when another command stopped the lab.

    Raises:
        LabError: the lab died.
    """
    screen = console()
    try:
        if quiet:
            _ignore(lab)
        elif screen.is_terminal:
            _show_live(lab)
        else:
            _show_changes(lab)
    except LabError:
        if lab.directory.exists():
            raise


def _moments(lab: Lab) -> Iterator[Moment]:
    while True:
        status = lab.status()
        try:
            found = lab.chaos.faults()
        except LabError:
            yield Moment(status, None)
        else:
            yield Moment(status, {fault["id"]: fault for fault in found if fault["state"] == "active"})
        time.sleep(_REFRESH)


def _ignore(lab: Lab) -> None:
    for _ in _moments(lab):
        pass


def _show_live(lab: Lab) -> None:
    from rich.live import Live

    with Live(console=console(), auto_refresh=False) as live:
        for moment in _moments(lab):
            live.update(_drawn(lab, moment), refresh=True)


def _drawn(lab: Lab, moment: Moment) -> RenderableType:
    from rich.console import Group

    if moment.faults is None:
        lines = ["faults    unknown: the control plane does not answer"]
    else:
        lines = [fault_line(fault) for fault in moment.faults.values()] or ["faults    none"]
    return Group(service_table(lab, moment.status), "", memory_line(moment.status), *lines)


def _show_changes(lab: Lab) -> None:
    before: Moment | None = None
    for moment in _moments(lab):
        for line in changes(before, moment) if before is not None else ():
            show(f"{time.strftime('%H:%M:%S')}  {line}")
        before = moment


def changes(before: Moment, after: Moment) -> Iterator[str]:
    """Yield a sentence for each thing that is different now."""
    for name, now in after.status.services.items():
        was = before.status.services[name]
        if now.restarts > was.restarts:
            yield f"{name} was started again (pid {now.pid}, restarts: {now.restarts})"
        if now.ready != was.ready:
            yield f"{name} is {'ready' if now.ready else 'not ready'}"
    if before.faults is not None and after.faults is not None:
        for fault_id in after.faults.keys() - before.faults.keys():
            yield f"fault {fault_id} acts: {after.faults[fault_id]['label']}"
        for fault_id in before.faults.keys() - after.faults.keys():
            yield f"fault {fault_id} ended: {before.faults[fault_id]['label']}"
