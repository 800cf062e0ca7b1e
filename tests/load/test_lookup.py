"""Journeys are found by name or path; a wrong one is answered with those there are."""

from __future__ import annotations

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.load import find_journey, list_journeys


def test_shipped_journeys_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {"admin", "browse", "checkout", "register", "tracking"} <= set(list_journeys())
    for name in list_journeys():
        assert find_journey(name).stem == name


def test_ones_own_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loadtests").mkdir()
    for name in ("checkout", "haggle", "_helper"):
        (tmp_path / "loadtests" / f"{name}.py").touch()
    assert find_journey("checkout") == tmp_path / "loadtests" / "checkout.py"
    assert "haggle" in list_journeys()
    assert "_helper" not in list_journeys()


def test_a_path_is_taken_as_it_is(tmp_path):
    file = tmp_path / "mine.py"
    file.touch()
    assert find_journey(str(file)) == file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shoplift", "there is no journey 'shoplift'; there are: .*browse, checkout"),
        ("nowhere/mine.py", "there is no journey file nowhere/mine.py; known by name are: .*browse"),
        ("../loadtests/checkout", "there is no journey"),
        ("", "there is no journey ''"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(name, message):
    with pytest.raises(UsageError, match=message):
        find_journey(name)
