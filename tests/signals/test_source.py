"""When several sources of one signal disagree, and the golden signals as a test by hand writes them."""

from __future__ import annotations

import math

import pytest

from cloudcart.signals import Reading, RowsSource, Signals, Window, disagreement

WINDOW = Window(1000, 1010)


def read(value, unit="1/s", source="client", service="gateway"):
    return Reading("traffic", value, unit, 100, value, value, WINDOW, source, service)


@pytest.mark.parametrize(
    ("values", "unit", "agree"),
    [
        ([40.0, 41.0], "1/s", True),
        ([40.0, 43.0], "1/s", False),
        ([40.0, 40.5, 50.0], "1/s", False),
        ([0.002, 0.006], "s", True),  # 4 ms: where each starts its clock
        ([0.1, 0.2], "s", False),
        ([0.0, 0.004], "ratio", True),  # a request at the window's edge
        ([0.01, 0.02], "ratio", False),
        ([0.0, 0.0], "count", True),
        ([40.0, None], "1/s", True),  # no data is no disagreement
        ([40.0], "1/s", True),
        ([], "1/s", True),
    ],
)
def test_sources_agree_within_five_percent(values, unit, agree):
    assert (disagreement(read(value, unit) for value in values) is None) is agree


def test_a_disagreement_names_both():
    said = disagreement([read(40.0), read(50.0, source="scrape", service="orders")])
    assert said == "sources disagree on traffic: 40/s by client at gateway, 50/s by scrape at orders (20% apart)"


def test_signals_without_data_are_no_number():
    signals = Signals(RowsSource({name: [] for name in ("due", "sent", "done", "name", "status")}), WINDOW)
    assert math.isnan(signals.errors().ratio)
    assert math.isnan(signals.latency().p99)
    assert math.isnan(signals.saturation().cpu)
    assert signals.traffic().requests == 0
    assert not signals.errors().ratio < 0.05


def test_signals_of_rows():
    due = [1000 + i / 10 for i in range(100)]
    rows = {
        "due": due,
        "sent": due,
        "done": [d + 0.1 for d in due],
        "name": ["GET /x"] * 100,
        "status": [200] * 99 + [503],
    }
    signals = Signals(RowsSource(rows), WINDOW)
    assert signals.errors().ratio == pytest.approx(0.01)
    assert signals.traffic().rate == pytest.approx(10)
    assert signals.latency().p50 == pytest.approx(0.1)
    assert signals.read("p99").samples == 100
