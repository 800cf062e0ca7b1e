"""Readings from rows: the truth of a known distribution, the rules of what counts, windows and routes."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.load.rows import Row, RowWriter, counts_as_error, write_parquet
from cloudcart.signals import RowsSource, Window
from cloudcart.signals.rows import is_error

WINDOW = Window(1000.0, 1010.0)


def columns(requests):
    """Rows from (due, latency, status, name) with the rest filled in."""
    return {
        "due": [due for due, *_ in requests],
        "sent": [due + 0.001 for due, *_ in requests],
        "done": [due + latency for due, latency, *_ in requests],
        "status": [status for _, _, status, _ in requests],
        "name": [name for *_, name in requests],
    }


def lognormal(count, median=0.08, p99=0.9):
    """Latencies at evenly spread shares of a lognormal distribution, shuffled: its quantiles are known."""
    sigma = math.log(p99 / median) / NormalDist().inv_cdf(0.99)
    shares = [(i + 0.5) / count for i in range(count)]
    latencies = [median * math.exp(sigma * NormalDist().inv_cdf(share)) for share in shares]
    random.Random(1).shuffle(latencies)
    return latencies, {
        share: median * math.exp(sigma * NormalDist().inv_cdf(share)) for share in (0.5, 0.9, 0.95, 0.99)
    }


def test_percentiles_are_within_two_percent_of_the_truth():
    latencies, truth = lognormal(5000)
    source = RowsSource(columns([(1000 + i / 500, latency, 200, "GET /x") for i, latency in enumerate(latencies)]))
    for share, expected in truth.items():
        reading = source.read(f"p{share * 100:g}", WINDOW)
        assert reading.value == pytest.approx(expected, rel=0.02)
        assert reading.low < expected < reading.high
        assert reading.samples == 5000
    mean = source.read("mean", WINDOW)
    assert mean.value == pytest.approx(sum(latencies) / 5000, rel=1e-9)
    assert mean.low < mean.value < mean.high


def test_a_stall_is_seen_from_when_requests_were_due():
    """Coordinated omission: one stall of 2 s in 20 s at 100 requests/s hits a tenth of the requests."""
    due = [1000 + i / 100 for i in range(2000)]
    sent = [1012.0 if 1010 <= moment < 1012 else moment for moment in due]
    rows = {
        "due": due,
        "sent": sent,
        "done": [moment + 0.01 for moment in sent],
        "status": [200] * 2000,
        "name": ["GET /x"] * 2000,
    }
    whole = Window(1000, 1020)
    assert RowsSource(rows).read("p99", whole).value == pytest.approx(1.81, abs=0.02)
    from_sent = RowsSource(rows, since="sent").read("p99", whole)
    assert from_sent.value == pytest.approx(0.01)
    assert from_sent.note == "counted from when it was sent"


def test_errors_are_no_answer_or_500_and_above_and_429_is_throttled():
    statuses = [200, 201, 404, 409, 429, 429, 500, 503, 0, 302]
    source = RowsSource(columns([(1000 + i, 0.01, status, "GET /x") for i, status in enumerate(statuses)]))
    assert source.read("errors", WINDOW).value == pytest.approx(0.3)
    assert source.read("throttled", WINDOW).value == pytest.approx(0.2)


def test_the_generator_counts_errors_the_same_way():
    assert all(is_error(status) is counts_as_error(status) for status in range(600))


def test_a_request_belongs_to_the_window_in_which_it_was_due():
    source = RowsSource(columns([(due, 5.0, 200, "GET /x") for due in (999.999, 1000.0, 1009.999, 1010.0)]))
    traffic = source.read("traffic", WINDOW)
    assert (traffic.value, traffic.samples) == (0.2, 2)
    assert traffic.low == traffic.high == traffic.value


def test_order_of_rows_does_not_matter():
    rows = [(1000 + i / 10, 0.01 * i, 200, "GET /x") for i in range(90)]
    shuffled = random.Random(3).sample(rows, len(rows))
    assert RowsSource(columns(rows)).read("p50", WINDOW) == RowsSource(columns(shuffled)).read("p50", WINDOW)


def test_routes_are_told_apart():
    rows = [
        (1000.0, 0.1, 200, "GET /api/orders"),
        (1001.0, 0.2, 201, "POST /api/orders"),
        (1002.0, 0.3, 200, "GET /api/x/{a}"),
    ]
    source = RowsSource(columns(rows))
    assert source.read("traffic", WINDOW, route="/api/orders").samples == 2
    assert source.read("p50", WINDOW, route="POST /api/orders").value == pytest.approx(0.2)
    assert source.read("p50", WINDOW, route="/api/x/{id}").value == pytest.approx(0.3)
    assert source.read("p50", WINDOW, route="/api/none").value is None


def test_what_the_client_cannot_see_has_no_value():
    source = RowsSource(columns([(1000.0, 0.1, 200, "GET /x")]))
    assert "the client does not see orders" in source.read("p99", WINDOW, service="orders").note
    assert source.read("cpu", WINDOW).value is None
    assert source.read("p99", Window(0, 1)).note == "no request was due in this window"
    assert RowsSource(columns([])).read("errors", WINDOW).value is None


def test_marked_requests_are_counted():
    rows = columns([(1000 + i, 0.1, 200, "GET /x") for i in range(4)])
    rows["fault_ids"] = ["", "f1", "f1,f2", ""]
    assert RowsSource(rows).read("injected", WINDOW).value == 2


def test_a_request_that_never_ended_waited_until_the_last_end():
    rows = columns([(1000.0, 0.1, 200, "GET /x"), (1001.0, 0.1, 0, "GET /x"), (1008.0, 1.0, 200, "GET /x")])
    rows["done"][1] = None
    assert RowsSource(rows).read("p90", WINDOW).value == pytest.approx(8.0)


def test_rows_are_read_from_the_generators_file(tmp_path):
    writer = RowWriter(tmp_path / "rows.tsv")
    for i in range(400):
        writer.add(
            Row(1000 + i / 100, 1000 + i / 100, 1000.05 + i / 100, "GET /x", "browse", i, 0, 200, "", "", "t", "k")
        )
    writer.flush()
    write_parquet([tmp_path / "rows.tsv"], tmp_path / "requests.parquet", {})
    source = RowsSource(tmp_path / "requests.parquet")
    assert len(source) == 400
    assert source.read("p99", WINDOW).value == pytest.approx(0.05)
    assert source.latencies(WINDOW) == pytest.approx([0.05] * 400)


def test_what_are_no_rows_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        RowsSource(tmp_path / "requests.parquet")
    with pytest.raises(UsageError, match="the column 'sent' is missing"):
        RowsSource({"due": []})
