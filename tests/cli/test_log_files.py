"""Log files as lines: the last ones, whole ones, new ones."""

from __future__ import annotations

import pytest

from cloudcart.cli.log_files import LogFiles
from cloudcart.exceptions import UsageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "orders.log").write_text("one\ntwo\nthree\n")
    (tmp_path / "postgres.log").write_text("up\n")
    return tmp_path


def test_one_log_is_printed_as_it_is(folder):
    assert list(LogFiles.of(folder, "orders").last(2)) == ["two", "three"]


def test_several_logs_begin_with_their_process(folder):
    assert list(LogFiles.of(folder, None).last(1)) == ["orders    three", "postgres  up"]


def test_zero_lines(folder):
    assert list(LogFiles.of(folder, "orders").last(0)) == []


def test_follow_goes_on_where_last_ended_and_ends_with_the_lab(folder):
    files = LogFiles.of(folder, "orders")
    list(files.last(1))
    log = folder / "orders.log"
    with log.open("a") as file:
        file.write("four\nfi")
    following = files.follow()
    assert next(following) == "four"
    with log.open("a") as file:
        file.write("ve\n")
    assert next(following) == "five", "a line is printed when it is whole"
    log.unlink()
    assert list(following) == []


def test_bytes_that_are_no_text_are_shown_all_the_same(folder):
    (folder / "orders.log").write_bytes(b"caf\xe9\n")
    assert list(LogFiles.of(folder, "orders").last(5)) == ["caf\ufffd"]


def test_no_such_log_says_which_there_are(folder):
    with pytest.raises(UsageError, match="no log of 'order'; choose one of orders, postgres"):
        LogFiles.of(folder, "order")


def test_a_replica_is_asked_for_by_its_name(folder):
    (folder / "products-1.log").write_text("here\n")
    assert list(LogFiles.of(folder, "products/1").last(1)) == ["here"]
