"""A finished run: what its folder holds, as Python values and as tables.

Made by ``experiment`` at the end of a run, and from a folder by :meth:`Run.load`, which needs no lab. Reads only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from cloudcart.analysis.table import Table, of_file, of_records, over_time
from cloudcart.exceptions import UsageError
from cloudcart.signals import Verdict

SCHEMA_VERSION: Final = 1
"""The version of ``run.json`` that this class understands."""

_TIMES: Final = {"start": "double", "end": "double"}
_PHASES: Final = {"name": "string", **_TIMES}
_FAULTS: Final = {
    **dict.fromkeys(("id", "kind", "target", "label"), "string"),
    **_TIMES,
    **dict.fromkeys(("drawn", "injected"), "int64"),
    "probability": "double",
}
_VERDICTS: Final = {
    **dict.fromkeys(("kind", "name", "verdict"), "string"),
    **dict.fromkeys(("reading", "low", "high", "bound"), "double"),
    **dict.fromkeys(("unit", "service", "route", "phase", "source"), "string"),
    "samples": "int64",
    "reason": "string",
}


class Run:
    """A finished run: what its folder holds, as Python values and as tables.

    Args:
        record: what ``run.json`` says.
        directory: the run's folder; what the record says unless given.
    """

    def __init__(self, record: Mapping[str, Any], directory: Path | None = None) -> None:
        self.record = record
        self.directory = directory or Path(record["directory"])
        self.verdict = Verdict(record["verdict"])

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the run of a folder, or of its ``run.json``; tables are read when they are asked for.

        Raises:
            UsageError: there is no run, or it was recorded by a version that this one does not understand.
        """
        folder = Path(path)
        folder = folder.parent if folder.name == "run.json" else folder
        return cls(_record(folder), folder)

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.record["name"])

    @property
    def passed(self) -> bool:
        """Whether every objective and invariant was shown to hold; inconclusive is not passed."""
        return self.verdict is Verdict.PASS

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.directory / "report.html"

    @property
    def summary(self) -> str:
        """One line: verdict, name, seed, report."""
        return f"{self.verdict:<12} {self.record['name']}  seed {self.record['seed']}  {self.report}"

    def explain(self) -> str:
        """One line per objective, invariant and note: what was read, what was asked, on how many samples."""
        lines = [f"{self.record['name']}: {self.verdict.upper()}: {self.record['claim']}"]
        lines += [
            f"  {it['verdict']:<12} {it.get('name') or it['objective']}: {it['reason']}"
            for it in self.record["objectives"]
        ]
        lines += [f"  {it['verdict']:<12} {it['name']}: {it['detail']}" for it in self.record["invariants"]]
        lines += [f"  note: {note}" for note in self.record["notes"]]
        return "\n".join([*lines, f"  seed {self.record['seed']}; report: {self.report}"])

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self.verdict}, seed {self.record['seed']}, {self.directory}>"

    @cached_property
    def origin(self) -> float:
        """The start of load, unix seconds: what every ``second`` counts from."""
        phases = self.record["phases"]
        return float(phases[0]["start"]) if phases else datetime.fromisoformat(self.record["started_at"]).timestamp()

    @cached_property
    def requests(self) -> Table:
        """Every request that the load made, as clients saw it.

        Beside the columns of ``requests.parquet``: ``latency`` (seconds from when it was due), ``failed`` (no answer,
        or 500 and above), ``second`` (due, since the start of load) and ``phase``.
        """
        return Table(self._requests)

    @cached_property
    def signals(self) -> Table:
        """What services measured, second by second: ``time``, ``service``, ``signal``, ``route``, ``value``, and
        ``second`` and ``phase``.

        A row without route is about the service as a whole.
        """
        return Table(lambda: self._over_time("signals.parquet"))

    @cached_property
    def events(self) -> Table:
        """Every event that was published, with its fields as JSON text, and ``second`` and ``phase``."""
        return Table(lambda: self._over_time("events.parquet"))

    @cached_property
    def phases(self) -> Table:
        """Warm-up, steady, fault, recovery: ``name``, ``start``, ``end`` in seconds since the start of load."""
        return Table(
            lambda: of_records([self._spanned(it, it["start"], it["end"]) for it in self._list("phases")], _PHASES)
        )

    @cached_property
    def faults(self) -> Table:
        """What was injected: ``label``, ``target``, ``start`` and ``end`` (seconds since the start of load), counts."""
        return Table(lambda: of_records([self._spanned(it, *it["window"]) for it in self._list("faults")], _FAULTS))

    @cached_property
    def verdicts(self) -> Table:
        """One row per objective and invariant: ``kind``, ``name``, ``verdict``, the reading and its interval."""
        return Table(lambda: of_records(self._verdicts(), _VERDICTS))

    def _requests(self) -> Any:
        from pyarrow import compute

        table = of_file(self.directory / "requests.parquet")
        status = table["status"]
        latency = compute.subtract(table["done"], table["due"])
        failed = compute.or_(compute.equal(status, 0), compute.greater_equal(status, 500))
        table = table.append_column("latency", latency).append_column("failed", failed)
        return over_time(table, table["due"], self.origin, self._list("phases"))

    def _over_time(self, name: str) -> Any:
        from pyarrow import compute

        table = of_file(self.directory / name)
        moments = table["time"]
        if name == "events.parquet":  # a timestamp in microseconds, where the others have unix seconds
            moments = compute.divide(compute.cast(compute.cast(moments, "int64"), "float64"), 1e6)
        return over_time(table, moments, self.origin, self._list("phases"))

    def _list(self, field: str) -> list[Mapping[str, Any]]:
        return list(self.record.get(field) or ())

    def _spanned(self, entry: Mapping[str, Any], start: float, end: float) -> dict[str, Any]:
        return {**entry, "start": start - self.origin, "end": end - self.origin}

    def _verdicts(self) -> list[dict[str, Any]]:
        objectives = [{**it, "kind": "objective", "name": it["objective"]} for it in self._list("objectives")]
        return objectives + [{**it, "kind": "invariant", "reason": it["detail"]} for it in self._list("invariants")]


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} has no run.json, so it is not a run; look into cloudcart-runs/") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / 'run.json'} cannot be read: {error}") from None
    if not isinstance(record, dict) or "schema_version" not in record:
        raise UsageError(f"{folder / 'run.json'} is not a run's record; give the folder that 'cloudcart run' printed")
    if record["schema_version"] != SCHEMA_VERSION:
        known = f"this cloudcart reads version {SCHEMA_VERSION}"
        raise UsageError(f"{folder / 'run.json'} has schema version {record['schema_version']}, {known}; update it")
    return record
