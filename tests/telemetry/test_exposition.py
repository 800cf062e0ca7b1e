"""The quick writer of the text format against prometheus_client's: the same page, byte for byte."""

from __future__ import annotations

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from cloudcart.telemetry.exposition import BucketFamily, write_page
from cloudcart.telemetry.metrics import DurationHistogram, Telemetry


def telemetry(routes=3):
    found = Telemetry("gateway")
    for i in range(200):
        found.http.record("GET", f"/api/route{i % routes}", 200 if i % 7 else 503, 0.0005 * i)
    found.db_query_duration_seconds.observe(0.1)
    Counter("a_counter", "With\na line.", ["c"], registry=found.registry).labels("x\\").inc()
    return found


def without_process(page):
    """Metrics of the process move while one looks."""
    return [line for line in page.split(b"\n") if b"process_" not in line]


def test_a_page_is_the_one_that_prometheus_client_writes():
    found = telemetry()
    expected = prometheus_client.generate_latest(found.registry)
    assert without_process(found.exposition()) == without_process(expected)


@given(
    st.dictionaries(
        st.tuples(st.text(max_size=8), st.text(max_size=8)), st.lists(st.floats(0, 60), max_size=5), max_size=4
    ),
    st.text(max_size=20),
)
def test_any_labels_and_durations_are_written_as_prometheus_client_writes_them(series, documentation):
    registry = CollectorRegistry()
    histogram = DurationHistogram("x_seconds", documentation, registry=registry, labels=("a", "z"), constant={"m": "n"})
    for labels, durations in series.items():
        for seconds in durations:
            histogram.labels(*labels).observe(seconds)
    assert write_page(registry) == prometheus_client.generate_latest(registry)


def test_readers_that_want_samples_get_them():
    registry = CollectorRegistry()
    histogram = DurationHistogram("x_seconds", "Help.", registry=registry)
    histogram.observe(0.2)
    assert registry.get_sample_value("x_seconds_count") == 1.0
    assert registry.get_sample_value("x_seconds_bucket", {"le": "0.2"}) == 1.0
    assert registry.get_sample_value("x_seconds_bucket", {"le": "0.19"}) == 0.0
    assert isinstance(next(iter(registry.collect())), BucketFamily)


def test_series_may_have_different_values_of_the_same_labels():
    family = BucketFamily("x", "Help.", ("1.0", "+Inf"), [({"a": "1"}, [1, 2], 5.5), ({"a": "2"}, [0, 0], 0.0)])
    assert "".join(family.lines()).splitlines()[2:] == [
        'x_bucket{a="1",le="1.0"} 1.0',
        'x_bucket{a="1",le="+Inf"} 3.0',
        'x_count{a="1"} 3.0',
        'x_sum{a="1"} 5.5',
        'x_bucket{a="2",le="1.0"} 0.0',
        'x_bucket{a="2",le="+Inf"} 0.0',
        'x_count{a="2"} 0.0',
        'x_sum{a="2"} 0.0',
    ]


@pytest.mark.parametrize("documentation", ["Plain.", "Back\\slash", "Two\nlines"])
def test_help_is_escaped(documentation):
    registry = CollectorRegistry()
    DurationHistogram("x_seconds", documentation, registry=registry)
    assert write_page(registry) == prometheus_client.generate_latest(registry)
