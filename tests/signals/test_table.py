"""The long table of signals between scrapes."""

from __future__ import annotations

import pytest

from cloudcart.signals import Scraper, signal_rows, signals_table


@pytest.fixture
def scrapes(exporter):
    gateway = exporter("gateway")
    gateway.pool_size.set(8)
    with Scraper({"gateway": gateway.url}) as scraper:
        taken = [scraper.take()]
        gateway.serve(95, seconds=0.1, route="/api/a")
        gateway.serve(5, seconds=0.1, route="/api/b", status=503)
        gateway.pool_in_use.set(4)
        gateway.lag.labels("order.created").set(7)
        gateway.outbox.set(3)
        gateway.consumed.labels("order.created", "dead_letter").inc(2)
        gateway.consumed.labels("order.created", "handled").inc(5)
        taken.append(scraper.take())
        taken.append(scraper.take())
    return taken


def test_each_interval_has_its_signals(scrapes):
    first, second = (scrape.pages["gateway"].time for scrape in scrapes[:2])
    rows = {(row.signal, row.route): row for row in signal_rows(scrapes) if row.time <= second}
    assert rows["traffic", None].value == pytest.approx(100 / (second - first))
    assert rows["traffic", "POST /api/b"].value == pytest.approx(5 / (second - first))
    assert rows["errors", None].value == pytest.approx(0.05)
    assert rows["errors", "POST /api/b"].value == 1.0
    assert rows["p95", None].value == pytest.approx(0.1, rel=0.06)
    assert rows["p50", "POST /api/a"].value == pytest.approx(0.1, rel=0.06)
    assert rows["pool", None].value == 0.5
    assert rows["lag", None].value == 7
    assert rows["outbox", None].value == 3
    assert rows["dead_letters", None].value == 2
    assert rows["memory", None].value > 1e6
    assert rows["cpu", None].value >= 0
    assert rows["cpu", None].time == pytest.approx((first + second) / 2)
    assert rows["memory", None].time == second


def test_an_interval_without_requests_has_traffic_but_no_latency(scrapes):
    second = scrapes[1].pages["gateway"].time
    last = {row.signal: row.value for row in signal_rows(scrapes) if row.time > second and row.route is None}
    assert last["traffic"] == 0
    assert last["dead_letters"] == 0, "counted from scrape to scrape"
    assert not {"p50", "p99", "errors"} & set(last)


def test_the_table_holds_the_rows(scrapes):
    table = signals_table(scrapes)
    assert table.column_names == ["time", "service", "signal", "route", "value"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [tuple(row) for row in signal_rows(scrapes)]
    assert table.column("route").null_count > 0


def test_no_scrapes_give_an_empty_table():
    assert signals_table([]).num_rows == 0
