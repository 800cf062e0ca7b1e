"""One table of a run, read when somebody asks for it and then kept: as Arrow, pandas or polars.

Also the columns that every table over time gets: seconds since the start of load, and the phase. Used by ``run`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudcart.exceptions import MissingExtraError, UsageError

if TYPE_CHECKING:
    import pandas
    import polars

Phases = Iterable[Mapping[str, Any]]


class Table:
    """A table that is read at the first question and not before.

    Args:
        read: returns the Arrow table.
    """

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read

    @cached_property
    def _arrow(self) -> Any:
        return self._read()

    def __len__(self) -> int:
        return int(self._arrow.num_rows)

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self._arrow.column_names)

    def to_arrow(self) -> Any:
        """Return it as a ``pyarrow.Table``."""
        return self._arrow

    def to_pandas(self) -> pandas.DataFrame:
        """Return it as a data frame of pandas.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401 - pyarrow's own message would not say how to install it
        except ImportError:
            raise MissingExtraError("pandas", "analysis") from None
        frame: pandas.DataFrame = self._arrow.to_pandas()
        return frame

    def to_polars(self) -> polars.DataFrame:
        """Return it as a data frame of polars.

        Raises:
            MissingExtraError: polars is not installed.
        """
        try:
            import polars
        except ImportError:
            raise MissingExtraError("polars", "analysis") from None
        frame = polars.from_arrow(self._arrow)
        assert isinstance(frame, polars.DataFrame)
        return frame


def of_records(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Any:
    """Return rows as an Arrow table; ``columns`` are the names and types, also where there are no rows."""
    arrow = pyarrow()
    schema = arrow.schema([(name, arrow.type_for_alias(kind)) for name, kind in columns.items()])
    return arrow.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows], schema=schema)


def of_file(path: Path) -> Any:
    """Return a Parquet file of a run's folder.

    Raises:
        UsageError: there is no such file; the run ended before it was written, or the folder was not copied whole.
    """
    pyarrow()
    from pyarrow import parquet

    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}: the run did not get that far, or it was not copied whole")
    return parquet.read_table(path)


def over_time(table: Any, moments: Any, origin: float, phases: Phases) -> Any:
    """Return the table with two columns more: ``second`` since the start of load, and ``phase`` (null outside)."""
    arrow = pyarrow()
    from pyarrow import compute

    phase = arrow.nulls(table.num_rows, arrow.string())
    for one in phases:
        within = compute.and_(compute.greater_equal(moments, one["start"]), compute.less(moments, one["end"]))
        phase = compute.if_else(within, one["name"], phase)
    return table.append_column("second", compute.subtract(moments, origin)).append_column("phase", phase)


def pyarrow() -> Any:
    """Return the module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("pyarrow", "analysis") from None
    return pyarrow
