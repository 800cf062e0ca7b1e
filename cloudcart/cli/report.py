"""``cloudcart report``: make a run's report again, from what its folder holds.

Not here: what is in a report (``cloudcart.report``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cloudcart.exceptions import UsageError


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Make a run's report.html again and print its path.

    RUN is the run's folder, or its run.json.
    """
    folder = folder.parent if folder.name == "run.json" else folder
    record = _record(folder)
    from cloudcart.report import write_report

    try:
        write_report(record, folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}); copy the run to a folder of yours") from None
    click.echo(folder / "report.html")


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    except FileNotFoundError:
        raise UsageError(f"{folder} has no run.json, so it is not a run; look into cloudcart-runs/") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / 'run.json'} cannot be read: {error}") from None
    if not isinstance(record, dict) or "schema_version" not in record:
        raise UsageError(f"{folder / 'run.json'} is not a run's record; give the folder that 'cloudcart run' printed")
    return record
