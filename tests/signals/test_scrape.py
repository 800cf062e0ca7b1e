"""The scraper against real HTTP servers, and what is subtracted between its scrapes."""

from __future__ import annotations

import socket
import time

import pytest

from cloudcart.exceptions import UsageError
from cloudcart.signals import MetricNames, ScrapeLog, Scraper, ScrapeSource, Signals, Window
from cloudcart.signals.exposition import parse_exposition
from cloudcart.signals.scrape import Page, Scrape


def pages(*texts, service="gateway", every=10.0, start=1000.0):
    """Scrapes of one service at known times."""
    return [
        Scrape(start + every * i, {service: Page(start + every * i, parse_exposition(text.encode()))})
        for i, text in enumerate(texts)
    ]


def requests(count, errors=0, started=1.0):
    return (
        f"process_start_time_seconds {started}\nprocess_cpu_seconds_total {count / 100}\n"
        f'http_requests_total{{service="gateway",method="GET",route="/x",status="200"}} {count}\n'
        f'http_requests_total{{service="gateway",method="GET",route="/x",status="503"}} {errors}\n'
    )


WINDOW = Window(1000.0, 1020.0)


def test_services_are_scraped_at_once_and_the_missing_are_named(exporter):
    gateway, orders = exporter("gateway"), exporter("orders")
    orders.status = 503
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        urls = {"gateway": gateway.url, "orders": orders.url, "users": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        with Scraper(urls) as scraper:
            before = time.time()
            scrape = scraper.take()
    assert set(scrape.pages) == {"gateway"}
    assert before <= scrape.pages["gateway"].time <= time.time()
    assert scrape.missing["orders"] == "answered 503"
    assert "ConnectError" in scrape.missing["users"]


def test_a_page_that_is_no_metrics_is_missing(exporter):
    web = exporter("web")
    web.telemetry.exposition = lambda: b"<html>"
    with Scraper({"web": f"{web.url}/other/path"}) as scraper:
        assert "is not a sample" in scraper.take().missing["web"]


def test_signals_of_a_window_are_what_happened_in_it(exporter):
    gateway = exporter("gateway")
    gateway.serve(500, seconds=3.0, status=500)  # before the window: must not show
    with Scraper({"gateway": gateway.url}) as scraper:
        first = scraper.take()
        gateway.serve(380, seconds=0.101)
        gateway.serve(10, seconds=0.101, status=503)
        gateway.serve(10, seconds=0.5, status=429, method="GET", route="/api/products/{id}")
        gateway.injected.labels("f1", "error").inc(10)
        last = scraper.take()
    source = ScrapeSource([first, last])
    window = Window(first.pages["gateway"].time, last.pages["gateway"].time)
    signals = Signals(source, window)
    assert signals.errors().ratio == pytest.approx(10 / 400)
    assert signals.errors().throttled == pytest.approx(10 / 400)
    assert signals.errors().low < 10 / 400 < signals.errors().high
    assert signals.traffic().requests == 400
    assert signals.traffic().rate == pytest.approx(400 / window.seconds)
    assert signals.latency().p50 == pytest.approx(0.101, rel=0.06)
    assert signals.latency().mean == pytest.approx((390 * 0.101 + 10 * 0.5) / 400)
    assert signals.latency(route="GET /api/products/{product_id}").samples == 10
    assert signals.latency(route="POST /api/orders").samples == 390
    assert signals.read("injected").value == 10
    p99 = signals.read("p99")
    assert p99.low <= 0.5 <= p99.high
    assert p99.source == "scrape"


def test_a_service_knows_the_gateways_route_without_its_prefix(exporter):
    orders = exporter("orders")
    with Scraper({"orders": orders.url}) as scraper:
        scrapes = [scraper.take()]
        orders.serve(20, route="/orders")
        scrapes.append(scraper.take())
    reading = ScrapeSource(scrapes).read(
        "p50", Window(scrapes[0].time, time.time()), service="orders", route="/api/orders"
    )
    assert (reading.samples, reading.route) == (20, "/orders")


def test_saturation_is_the_worst_of_all_services(exporter):
    gateway, orders = exporter("gateway"), exporter("orders")
    for service, used in ((gateway, 2), (orders, 6)):
        service.pool_size.set(8)
        service.pool_in_use.set(used)
    orders.lag.labels("order.created").set(30)
    orders.lag.labels("user.created").set(12)
    gateway.lag.labels("user.created").set(20)
    for _ in range(50):
        orders.telemetry.event_loop_lag_seconds.observe(0.2)
        gateway.telemetry.event_loop_lag_seconds.observe(0.001)
    with Scraper({"gateway": gateway.url, "orders": orders.url}) as scraper:
        scrapes = [scraper.take()]
        for _ in range(50):
            orders.telemetry.event_loop_lag_seconds.observe(0.2)
        orders.pool_in_use.set(4)
        orders.lag.labels("order.created").set(0)
        scrapes.append(scraper.take())
    source, window = ScrapeSource(scrapes), Window(scrapes[0].time, scrapes[-1].time + 0.5)
    pool = source.read("pool", window)
    assert pool.value == pytest.approx(6 / 8)
    assert "orders" in pool.note
    assert source.read("pool", window, service="gateway").value == pytest.approx(2 / 8)
    assert source.read("lag", window).value == 42
    assert source.read("lag_end", window).value == 20
    assert source.read("lag_end", window, service="orders").value == 12
    assert source.read("loop_lag", window).value == pytest.approx(0.2, rel=0.07)
    assert source.read("memory", window).value > 1e6
    assert source.read("cpu", window, service="gateway").value >= 0
    saturation = Signals(source, window).saturation("orders")
    assert (saturation.pool, saturation.lag) == (0.75, 42)


@pytest.fixture
def replicas():
    """Two replicas of orders and a gateway, at three moments; the second replica is started again on the way."""

    def gauges(memory, outbox=4):
        return f"process_memory {memory}\noutbox_pending {outbox}\n"

    first = pages(*(requests(n) + gauges(m) for n, m in ((100, 1e8), (130, 1.01e8), (140, 1.03e8))), service="orders")
    lives = ((100, 0, 1.0, 2e8), (0, 20, 2.0, 2.07e8), (40, 20, 2.0, 2.07e8))
    second = pages(*(requests(n, e, s) + gauges(m) for n, e, s, m in lives), service="orders/1")
    gateway = pages(*[requests(7) + gauges(5e7, 0)] * 3)
    scrapes = [
        Scrape(one.time, {**one.pages, **two.pages, **three.pages})
        for one, two, three in zip(first, second, gateway, strict=True)
    ]
    return ScrapeSource(scrapes, MetricNames(memory="process_memory")), WINDOW


@pytest.mark.parametrize(("service", "count"), [("orders", 100), ("orders/0", 40), ("orders/1", 60), ("gateway", 0)])
def test_counters_of_replicas_are_added_up_each_from_its_own_start(replicas, service, count):
    source, window = replicas
    assert source.read("traffic", window, service=service).samples == count


def test_a_restart_is_that_of_one_replica(replicas):
    source, window = replicas
    assert source.read("traffic", window, service="orders").note.startswith("orders/1 restarted once")
    assert "restarted" not in source.read("traffic", window, service="orders/0").note
    errors = source.read("errors", window, service="orders")
    assert (errors.value, errors.samples) == (pytest.approx(0.2), 100)


def test_the_worst_replica_counts_for_saturation(replicas):
    source, window = replicas
    assert source.read("memory", window, service="orders").value == 207e6
    assert source.read("memory", window, service="orders/0").value == 103e6
    assert source.read("memory_growth", window, service="orders").value == 7e6
    assert source.read("memory_growth", window).note == "highest: orders/1"
    assert source.read("outbox", window, service="orders").value == 4, "replicas tell of the same rows"


def test_a_replica_that_is_not_there_is_named(replicas):
    source, window = replicas
    assert (
        "no service 'orders/2', only gateway, orders, orders/1" in source.read("p90", window, service="orders/2").note
    )


def test_events_that_wait_or_are_set_aside(exporter):
    orders, worker = exporter("orders"), exporter("notifications")
    worker.consumed.labels("order.created", "dead_letter").inc(4)
    with Scraper({"orders": orders.url, "notifications": worker.url}) as scraper:
        scrapes = [scraper.take()]
        orders.outbox.set(12)
        worker.consumed.labels("order.created", "dead_letter").inc(2)
        worker.consumed.labels("user.created", "dead_letter").inc()
        worker.consumed.labels("user.created", "handled").inc(30)
        scrapes.append(scraper.take())
        orders.outbox.set(3)
        scrapes.append(scraper.take())
    source, window = ScrapeSource(scrapes), Window(scrapes[0].time, scrapes[-1].time + 0.5)
    assert (source.read("outbox", window).value, source.read("outbox", window, service="notifications").value) == (
        12,
        0,
    )
    assert source.read("dead_letters", window).value == 3
    assert source.read("dead_letters", window, service="orders").value is None


def test_memory_growth_is_that_of_the_service_that_grew_most(exporter):
    orders, worker = exporter("orders"), exporter("notifications")
    names = MetricNames(memory="process_memory")
    with Scraper({"orders": orders.url, "notifications": worker.url}) as scraper:
        scrapes = []
        for ours, its in ((100e6, 90e6), (180e6, 90e6), (150e6, 91e6)):
            orders.memory.set(ours)
            worker.memory.set(its)
            scrapes.append(scraper.take())
    source, window = ScrapeSource(scrapes, names), Window(scrapes[0].time, scrapes[-1].time + 0.5)
    assert source.read("memory_growth", window).value == 50e6
    assert "orders" in source.read("memory_growth", window).note
    assert source.read("memory_growth", window, service="notifications").value == 1e6
    assert source.read("memory_growth", Window(scrapes[0].time, scrapes[0].time)).value is None


def test_counters_are_subtracted_at_the_edges_not_extrapolated():
    source = ScrapeSource(pages(requests(100), requests(150, 5), requests(300, 30)))
    assert source.read("traffic", WINDOW).value == pytest.approx((300 + 30 - 100) / 20)
    assert source.read("errors", Window(1000, 1010)).value == pytest.approx(5 / 55)
    assert source.read("errors", Window(1010, 1020)).value == pytest.approx(25 / 175)


def test_a_restart_is_told_and_counted_from_zero():
    scrapes = pages(requests(100), requests(150), requests(10, started=2.0), requests(40, started=2.0))
    reading = ScrapeSource(scrapes).read("traffic", Window(1000, 1030))
    assert reading.samples == 50 + 40
    assert reading.note == "gateway restarted once; what it counted between its last scrape and its end is lost"


def test_a_restart_is_noticed_without_a_start_time():
    texts = [text.partition("\n")[2] for text in (requests(100), requests(150), requests(10), requests(40))]
    reading = ScrapeSource(pages(*texts)).read("traffic", Window(1000, 1030))
    assert reading.samples == 90
    assert "restarted once" in reading.note


def test_a_series_that_is_new_has_risen_from_zero():
    source = ScrapeSource(pages("process_start_time_seconds 1\n", requests(7)))
    assert source.read("traffic", Window(1000, 1010)).samples == 7


def test_a_service_that_was_away_at_an_edge_is_read_from_the_nearest_scrape():
    scrapes = [*pages(requests(100)), Scrape(1010.0, {}, {"gateway": "ReadTimeout"}), *pages(requests(130), start=1013)]
    reading = ScrapeSource(scrapes).read("traffic", Window(1000, 1010))
    assert reading.value == pytest.approx(30 / 13)
    assert "3.0 s off its end" in reading.note
    assert reading.window == Window(1000, 1013)


@pytest.mark.parametrize(
    "signal",
    [
        *("p99", "mean", "errors", "traffic", "cpu", "memory", "memory_growth", "loop_lag", "pool", "lag", "lag_end"),
        *("outbox", "dead_letters", "injected", "recovery"),
    ],
)
@pytest.mark.parametrize("scrapes", [[], pages("process_start_time_seconds 1\n"), pages("a 1\n", "a 1\n")])
def test_without_data_there_is_no_value(signal, scrapes):
    reading = ScrapeSource(scrapes).read(signal, WINDOW)
    assert reading.value is None
    assert reading.note


def test_a_service_that_is_not_there_is_named():
    note = ScrapeSource(pages(requests(1), requests(2))).read("p99", WINDOW, service="gatway").note
    assert "there is no service 'gatway', only gateway" in note


def test_nonsense_is_refused():
    source = ScrapeSource([])
    with pytest.raises(UsageError, match="there is no signal"):
        source.read("speed", WINDOW)
    with pytest.raises(UsageError, match="is not a route"):
        source.read("p99", WINDOW, route="orders")


def test_other_conventions_are_read_by_their_names():
    names = MetricNames(requests="hits_total", route="handler", status="code")
    page = 'hits_total{{handler="/x",code="200"}} {0}\nhits_total{{handler="/x",code="500"}} {1}\n'
    source = ScrapeSource(pages(page.format(10, 0), page.format(19, 1)), names)
    assert source.read("errors", Window(1000, 1010), route="/x").value == pytest.approx(0.1)


def test_beyond_the_last_bucket_is_said():
    text = 'http_request_duration_seconds_bucket{{le="1"}} 0\nhttp_request_duration_seconds_bucket{{le="+Inf"}} {0}\n'
    reading = ScrapeSource(pages(text.format(0), text.format(1000))).read("p50", Window(1000, 1010))
    assert (reading.value, reading.high) == (1.0, None)
    assert "beyond the histogram's last bucket" in reading.note


def test_a_log_takes_scrapes_by_itself_and_when_asked(exporter):
    gateway = exporter("gateway")
    with Scraper({"gateway": gateway.url}) as scraper:
        with ScrapeLog(scraper, every=0.02) as log:
            edge = log.mark()
            deadline = time.monotonic() + 10
            while len(log.scrapes) < 5:
                assert time.monotonic() < deadline, f"only {len(log.scrapes)} scrapes"
                time.sleep(0.01)
        taken = log.scrapes
        assert edge in taken
        assert [scrape.time for scrape in taken] == sorted(scrape.time for scrape in taken)
        assert log.scrapes == taken
