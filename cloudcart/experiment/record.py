"""The run folder while a run goes on: ``run.json``, rewritten whole at each step, and the tables beside it.

Written by ``run.py`` only; read by ``report``, the command line and notebooks. What a field means is in the JSON Schema
that ships with ``report``.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from cloudcart.analysis.run import SCHEMA_VERSION
from cloudcart.exceptions import MissingExtraError, UsageError
from cloudcart.experiment.experiment import Experiment
from cloudcart.lab import Lab
from cloudcart.lab.event_tap import PublishedEvent

_VERSIONS_OF: Final = ("cloudcart", "locust", "fastapi", "sqlalchemy", "faststream", "uvicorn")


class Record:
    """One run's folder.

    Args:
        parent: folder that holds run folders; made when missing.
        experiment: what is run.
        lab: where it runs.
        command: what somebody types to run it again.

    Raises:
        UsageError: the folder cannot be written.
    """

    def __init__(self, parent: Path, experiment: Experiment, lab: Lab, command: str) -> None:
        started = datetime.now(UTC)
        self.directory = _new_folder(parent, f"{experiment.name}-{started:%Y%m%d-%H%M%S}")
        self.fields: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "name": experiment.name,
            "claim": experiment.claim,
            "verdict": "inconclusive",
            "seed": experiment.seed,
            "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "seconds": 0.0,
            "directory": str(self.directory),
            "command": command,
            "versions": _versions(),
            "machine": machine(),
            "backend": lab.backend,
            "settings": experiment.settings,
            "load": experiment.load.model_dump(mode="json") if experiment.load else None,
            "phases": [],
            "objectives": [],
            "faults": [],
            "invariants": [],
            "generator": None,
            "recovery_seconds": None,
            "notes": ["the run did not finish"],
        }
        self.save()

    def save(self, **fields: Any) -> None:
        """Change ``fields`` and write ``run.json`` anew, whole or not at all."""
        self.fields.update(fields)
        unfinished = self.directory / "run.json.new"
        unfinished.write_text(json.dumps(self.fields, indent=2) + "\n")
        unfinished.replace(self.directory / "run.json")

    def save_events(self, events: Iterable[PublishedEvent]) -> None:
        """Write ``events.parquet``: one row per event, its own fields as JSON text."""
        pyarrow, parquet = _pyarrow()
        rows = [
            {
                "time": item.event.occurred_at,
                "topic": item.topic,
                "partition": item.partition,
                "offset": item.offset,
                "key": item.event.key,
                "event_id": str(item.event.event_id),
                "service": item.event.service,
                "trace_id": item.event.trace_id,
                "event": item.event.model_dump_json(),
            }
            for item in events
        ]
        schema = pyarrow.schema(
            [
                ("time", pyarrow.timestamp("us", tz="UTC")),
                ("topic", pyarrow.string()),
                ("partition", pyarrow.int32()),
                ("offset", pyarrow.int64()),
                *((name, pyarrow.string()) for name in ("key", "event_id", "service", "trace_id", "event")),
            ]
        )
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), self.directory / "events.parquet")

    def save_table(self, table: Any, name: str) -> None:
        """Write an Arrow table beside ``run.json``."""
        _, parquet = _pyarrow()
        parquet.write_table(table, self.directory / name)


def require_writable(parent: Path) -> None:
    """Make the folder for run folders, if it is missing.

    Raises:
        UsageError: it cannot be made, or nothing can be written into it.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"the report folder {parent} cannot be made ({error.strerror}); choose another"
        raise UsageError(why) from None
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"the report folder {parent} cannot be written; choose another")


def _new_folder(parent: Path, name: str) -> Path:
    require_writable(parent)
    folder, number = parent / name, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = parent / f"{name}-{number}"
        else:
            return folder.resolve()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> Mapping[str, Any]:
    """Return what a reader needs to know of the machine to compare figures; no host name, no user name."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": pages * size,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "load") from None
    return pyarrow, parquet
