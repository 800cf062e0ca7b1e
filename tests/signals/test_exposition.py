"""The reader of the text format against prometheus_client, which writes it and has a reader of its own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cloudcart.signals.exposition import parse_exposition, parse_labels
from cloudcart.telemetry.metrics import Telemetry

values = st.floats(allow_nan=False) | st.integers(-(10**6), 10**12)


def as_prometheus_client_reads(page):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def as_we_read(page):
    metrics = parse_exposition(page)
    names = {series.partition(b"{")[0].strip().decode() for series in metrics.layout.series}
    return {(n, tuple(sorted(labels.items()))): value for n in names for labels, value in metrics.series(n)}


@given(st.dictionaries(st.tuples(st.text(max_size=12), st.text(max_size=12)), values, max_size=6))
def test_any_labels_and_values_are_read_as_prometheus_client_reads_them(series):
    registry = CollectorRegistry()
    gauge = Gauge("a_gauge", "With help.", ["one", "two"], registry=registry)
    for labels, value in series.items():
        gauge.labels(*labels).set(value)
    Counter("a_counter", "", registry=registry).inc(2)
    page = generate_latest(registry)
    expected = {key: value for key, value in as_prometheus_client_reads(page).items() if "created" not in key[0]}
    found = {key: value for key, value in as_we_read(page).items() if "created" not in key[0]}
    assert found == expected


def test_a_whole_page_of_ours_is_read_as_prometheus_client_reads_it():
    telemetry = Telemetry("gateway")
    for i in range(50):
        telemetry.http.record("GET", f"/api/products/{i % 3}", 200, 0.001 * i)
    page = telemetry.exposition()
    assert as_we_read(page) == as_prometheus_client_reads(page)


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        (b"up 1", {}, 1.0),
        (b"up 1 1395066363000", {}, 1.0),
        (b"up\t1", {}, 1.0),
        (b'up{a="b"} 1 1395066363000', {"a": "b"}, 1.0),
        (b'up{a="b",} 1', {"a": "b"}, 1.0),
        (b'up{ a = "b" , c="d"}   1', {"a": "b", "c": "d"}, 1.0),
        (b'up{a="x} 7",b="\\"\\\\\\n"} +Inf', {"a": "x} 7", "b": '"\\\n'}, math.inf),
        (b"up -Inf", {}, -math.inf),
    ],
)
def test_odd_but_legal_lines_are_read(line, labels, value):
    metrics = parse_exposition(b"# TYPE up gauge\n\n" + line + b"\n  \n")
    assert list(metrics.series("up")) == [(labels, value)]


@pytest.mark.parametrize("line", [b"up", b"up one", b"<html> </html>", b'up{a="b" 1'])
def test_what_is_no_sample_is_refused(line):
    with pytest.raises(ValueError, match="is not a sample of the text format"):
        parse_exposition(line)


def test_labels_that_are_none_are_refused():
    with pytest.raises(ValueError, match="is not a list of labels"):
        parse_labels('{a="b" c}')


def test_a_name_is_not_taken_for_another_that_begins_with_it():
    metrics = parse_exposition(b'http_requests_total 1\nhttp_requests 2\nhttp_requests{a="b"} 3\n')
    assert [value for _, value in metrics.series("http_requests")] == [2.0, 3.0]


def test_pages_with_the_same_series_share_a_layout():
    first = parse_exposition(b"a 1\nb 2\n")
    second = parse_exposition(b"a 3\nb 4\n", first)
    third = parse_exposition(b"a 3\nb 4\nc 5\n", second)
    assert second.layout is first.layout
    assert third.layout is not first.layout
    assert list(second.values) == [3.0, 4.0]
