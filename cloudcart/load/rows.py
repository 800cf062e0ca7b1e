"""A row for every request: written by the generator while it runs, read live by its parent, kept as Parquet.

The only place that knows the columns. While load runs the rows are lines of text with tabs, whole lines at a time, so
that nothing written is lost when the generator is killed; afterwards they are ``requests.parquet``. What rows *say*
(percentiles, error ratios) is ``signals.rows``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

from cloudcart.exceptions import MissingExtraError

LIVE_FILE: Final = "requests.tsv"
FINAL_FILE: Final = "requests.parquet"
METADATA_KEY: Final = b"cloudcart"
"""Key of the Parquet file's metadata: JSON with the profile and the generator's report."""

_CONTROL: Final = dict.fromkeys((*range(32), 127), " ")


class Row(NamedTuple):
    """One request.

    Times are unix seconds: ``due`` when it should have been sent (the arrival's moment for a visit's first step, the
    end of the step before for the others; the closed model has no due times and repeats ``sent``), ``sent`` when it
    was, ``done`` when the whole answer was there or given up. ``status`` 0: there was no whole answer. ``error`` says
    why the request counts as an error and is empty if it does not, see :func:`counts_as_error`. ``fault_ids``: ids of
    the faults that marked the answer, separated by commas. ``key``: the request key, ``<journey>/<arrival>/<step>``.
    """

    due: float
    sent: float
    done: float
    name: str
    journey: str
    arrival: int
    step: int
    status: int
    error: str
    fault_ids: str
    trace_id: str
    key: str


_TYPES: Final[Mapping[str, type]] = get_type_hints(Row)

Columns = dict[str, list[Any]]
"""Rows by column, as :class:`Row` names them; every list has the same length."""


def counts_as_error(status: int) -> bool:
    """Say whether an answer is an error of the platform: none at all (0), or 500 and above.

    The platform's own metrics count the same way, so that both can be compared. A refusal is an answer: 409 is the
    shop's business, 429 is a limit doing its work (and has a signal of its own). Refusals that a journey does not
    expect mean that the load was not what it should be: a doubt about the run (``report``), not an error ratio.
    """
    return status == 0 or status >= 500


class RowWriter:
    """Collects rows and appends them to a file; a row is safe once :meth:`flush` has returned."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        self._lines: list[str] = ["\t".join(Row._fields) + "\n"]
        self.written = -1  # the heading is no row
        self.flush()

    def add(self, row: Row) -> None:
        """Take a row; it is written at the next flush."""
        due, sent, done, name, journey, arrival, step, status, error, faults, trace, key = row
        self._lines.append(
            f"{due:.6f}\t{sent:.6f}\t{done:.6f}\t{name.translate(_CONTROL)}\t{journey}\t{arrival}\t{step}\t{status}"
            f"\t{error.translate(_CONTROL)}\t{faults.translate(_CONTROL)}\t{trace}\t{key}\n"
        )

    def flush(self) -> None:
        """Hand everything to the operating system."""
        lines, self._lines = self._lines, []
        rest = memoryview("".join(lines).encode("utf-8", "replace"))
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self.written += len(lines)


class RowReader:
    """Reads rows while they are written, by one generator or several: each call takes in what is new, whole lines
    only.
    """

    def __init__(self, *paths: Path) -> None:
        self._positions = dict.fromkeys(paths, 0)
        self.columns: Columns = {name: [] for name in Row._fields}

    def update(self) -> Columns:
        """Take in the rows written since the last call; return all of them (the same lists, grown)."""
        lines = [line for path in self._positions for line in self._fresh(path)]
        if lines:
            cells = zip(*(line.split("\t") for line in lines), strict=True)
            for (name, column), values in zip(self.columns.items(), cells, strict=True):
                column.extend(map(_TYPES[name], values))
        return self.columns

    def _fresh(self, path: Path) -> list[str]:
        if not path.exists():
            return []
        position = self._positions[path]
        with path.open("rb") as file:
            file.seek(position)
            fresh = file.read()
        fresh = fresh[: fresh.rfind(b"\n") + 1]
        self._positions[path] += len(fresh)
        return fresh.decode().split("\n")[0 if position else 1 : -1]


def write_parquet(live: Sequence[Path], final: Path, metadata: Mapping[str, Any]) -> None:
    """Turn the live files of all workers into one of Parquet, whole or not at all.

    Times are float64 unix seconds; the columns are those of :class:`Row`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "load") from None
    arrow = {float: pyarrow.float64(), int: pyarrow.int64(), str: pyarrow.string()}
    types = {name: arrow[kind] for name, kind in _TYPES.items()}
    tables = [
        csv.read_csv(
            pyarrow.BufferReader(_whole_lines(path)),
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
        for path in live
    ]
    table = pyarrow.concat_tables(tables).replace_schema_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    unfinished = final.with_name(final.name + ".new")
    parquet.write_table(table, unfinished)
    unfinished.replace(final)


def _whole_lines(path: Path) -> bytes:
    """Return what was written up to its last whole line; the heading alone of a worker that wrote nothing."""
    text = path.read_bytes() if path.exists() else b""
    return text[: text.rfind(b"\n") + 1] or ("\t".join(Row._fields) + "\n").encode()
