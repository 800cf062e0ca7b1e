"""Rows come out of the files as they went in, also while they are being written and after a kill."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from cloudcart.load.rows import METADATA_KEY, Row, RowReader, RowWriter, counts_as_error, write_parquet

ROW = Row(1.5, 1.6, 1.75, "GET /api/products", "browse", 3, 1, 200, "", "", "ab" * 16, "browse/3/1")

moments = st.floats(0, 4e9).map(lambda value: round(value, 6))
rows = st.builds(
    Row,
    due=moments,
    sent=moments,
    done=moments,
    name=st.text(),
    journey=st.just("browse"),
    arrival=st.integers(0, 2**40),
    step=st.integers(0, 99),
    status=st.integers(0, 599),
    error=st.text(),
    fault_ids=st.text(alphabet="abc,-"),
    trace_id=st.text(alphabet="0123456789abcdef", min_size=32, max_size=32),
    key=st.just("browse/3/1"),
)


def without_control_characters(row: Row) -> Row:
    def clean(text: str) -> str:
        printable = "".join(" " if ord(c) < 32 or ord(c) == 127 else c for c in text)
        return printable.encode("utf-8", "replace").decode()

    return row._replace(name=clean(row.name), error=clean(row.error))


@given(st.lists(rows, max_size=5))
def test_rows_survive_both_files(tmp_path_factory, written):
    folder = tmp_path_factory.mktemp("rows")
    writer = RowWriter(folder / "live")
    for row in written:
        writer.add(row)
    writer.flush()
    columns = RowReader(folder / "live").update()
    expected = [without_control_characters(row) for row in written]
    assert [Row(*row) for row in zip(*columns.values(), strict=True)] == expected
    write_parquet([folder / "live"], folder / "final", {})
    assert [Row(**row) for row in parquet.read_table(folder / "final").to_pylist()] == expected


def test_reading_is_incremental_and_takes_whole_lines_only(tmp_path):
    file = tmp_path / "live"
    reader = RowReader(file)
    assert reader.update()["due"] == []
    writer = RowWriter(file)
    assert reader.update()["due"] == []
    writer.add(ROW)
    writer.flush()
    assert reader.update()["name"] == ["GET /api/products"]
    whole = file.read_bytes()
    line = whole.splitlines(keepends=True)[1]
    file.write_bytes(whole + line[:20])
    assert len(reader.update()["due"]) == 1
    file.write_bytes(whole + line)
    assert reader.update()["due"] == [1.5, 1.5]


def test_a_line_cut_by_a_kill_is_left_out_of_parquet(tmp_path):
    live, final = tmp_path / "live", tmp_path / "final"
    writer = RowWriter(live)
    writer.add(ROW)
    writer.flush()
    live.write_bytes(live.read_bytes() + b"1.5\t1.6")
    write_parquet([live], final, {"load": "browse"})
    table = parquet.read_table(final)
    assert [Row(**row) for row in table.to_pylist()] == [ROW]
    assert json.loads(table.schema.metadata[METADATA_KEY]) == {"load": "browse"}
    assert {str(table.schema.field(name).type) for name in ("due", "sent", "done")} == {"double"}
    assert {str(table.schema.field(name).type) for name in ("arrival", "step", "status")} == {"int64"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("final")] == ["final"]


@pytest.mark.parametrize(
    ("status", "error"), [(0, True), (200, False), (404, False), (409, False), (429, False), (500, True), (599, True)]
)
def test_what_counts_as_an_error(status, error):
    assert counts_as_error(status) is error
