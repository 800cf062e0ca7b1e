"""A measurement by a generator that could not keep up, or that measured something else, is not to be trusted."""

from __future__ import annotations

import re

import pytest

from cloudcart.load import GeneratorReport

GOOD = {"arrivals": 1000, "requests": 5000, "visitors": 12, "cpu_share": 0.4, "lateness_p99": 0.002}


def test_a_generator_at_ease_raises_no_doubt():
    report = GeneratorReport(**GOOD)
    assert report.saturated is None
    assert report.doubts == []
    assert GeneratorReport(**report.as_dict()) == report


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cpu_share": 0.97}, "used 97% of a core"),
        ({"lateness_p99": 0.4}, "0.400 s late at p99"),
        ({"waited": 40}, "40 of 1000 arrivals found all 12 visitors busy; raise max_visitors"),
    ],
)
def test_saturation_says_of_what_and_what_to_do(values, said):
    assert said in GeneratorReport(**{**GOOD, **values}).saturated


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"failed_visits": 11, "failure": "x.py line 3: KeyError: 'id'"},
            "broke off 11 of 1000 visits: x.py line 3: KeyError",
        ),
        (
            {"unexpected": {"401 GET /a": 40, "404 GET /b": 60}},
            r"100 of 5000 requests were refused: 404 GET /b \(60\), 401",
        ),
    ],
)
def test_doubts_name_the_cause(values, said):
    (doubt,) = GeneratorReport(**{**GOOD, **values}).doubts
    assert re.search(said, doubt)


def test_a_closed_loop_is_never_late():
    assert GeneratorReport(**{**GOOD, "lateness_p99": None}).saturated is None
