"""A lab's directory: one owner, one occupant, nothing for other users, nothing left of the dead."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.exceptions import LabError, UsageError
from cloudcart.lab.directory import STATE_DIR, LabDirectory, create, find, running, state_directory


def test_a_new_directory_is_occupied_until_its_lock_is_let_go(state):
    directory, lock = create("one")
    assert directory.occupied
    assert [other.name for other in running() if other.name == "one"] == ["one"]
    os.close(lock)
    assert not directory.occupied
    directory.remove()
    assert not directory.path.exists()


def test_a_second_lab_of_the_same_name_is_refused(state):
    directory, lock = create("one")
    try:
        with pytest.raises(LabError, match=r"running already.*cloudcart down --name one.*--name"):
            create("one")
    finally:
        os.close(lock)
        directory.remove()


def test_what_dead_labs_left_is_removed_at_the_next_start(state):
    dead, lock = create("dead")
    (dead.path / "postgres").mkdir()
    os.close(lock)
    living, lock = create("living")
    assert not dead.path.exists()
    os.close(lock)
    living.remove()


def test_last_words_and_logs_stay_until_the_next_start(state):
    directory, lock = create("ill")
    directory.log("users").write_text("no space left")
    (directory.path / "postgres").mkdir()
    directory.remove("postgres died")
    os.close(lock)
    assert sorted(path.name for path in directory.path.iterdir() if path.is_dir()) == ["logs"]
    with pytest.raises(LabError, match="had to end: postgres died"):
        find("ill")
    directory.remove()


def test_only_its_user_can_read_what_a_lab_is(state):
    directory, lock = create("secret")
    directory.write_record({"password": "x"})
    mode = (directory.path / "lab.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert directory.path.stat().st_mode & (stat.S_IRWXG | stat.S_IROTH | stat.S_IWOTH) & ~stat.S_IXGRP == 0
    assert directory.read_record() == {"password": "x"}
    os.close(lock)
    directory.remove()


def test_a_missing_lab_is_named_with_what_to_do(state):
    with pytest.raises(LabError, match="no lab 'nowhere' is running"):
        find("nowhere")


def test_a_state_directory_that_others_can_write_to_is_refused(short_directory, monkeypatch):
    shared = short_directory / "everybody"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv(STATE_DIR, str(shared))
    with pytest.raises(LabError, match=STATE_DIR):
        state_directory()
    shared.rmdir()


def test_a_path_too_long_for_sockets_is_refused(short_directory, monkeypatch):
    monkeypatch.setenv(STATE_DIR, str(short_directory / ("x" * 90)))
    with pytest.raises(LabError, match=rf"too long for a Unix socket; set {STATE_DIR}"):
        create("one")
    (short_directory / ("x" * 90)).rmdir()


@given(st.text(max_size=40))
def test_a_name_stays_within_the_state_directory(name):
    state = Path("/state")
    try:
        directory = LabDirectory(name, state)
    except UsageError:
        return
    assert directory.path.parent == state
    assert directory.path.name == name not in (".", "..")
