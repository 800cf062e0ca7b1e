"""A real Prometheus server beside the lab's own scrapes, on the same exporters: both must say the same.

Skipped where there is no ``prometheus`` binary, unless ``CLOUDCART_REQUIRE_PROMETHEUS=1``: then that is a failure.
"""

from __future__ import annotations

import random
import socket
import subprocess
import time
from types import SimpleNamespace

import httpx
import pytest

from cloudcart.signals import PrometheusSource, Scraper, ScrapeSource, Window, disagreement

INTERVAL = 0.2


def wait_for(condition, what, deadline=20.0):
    end = time.monotonic() + deadline
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {deadline:g} s"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def prometheus(prometheus_program, exporter, tmp_path_factory):
    """A server that scrapes two exporters, with both; shared, since it looks for its targets only every 5 s."""
    folder = tmp_path_factory.mktemp("prometheus")
    exporters = {name: exporter(name) for name in ("gateway", "orders")}
    jobs = "".join(
        f"  - job_name: {name}\n    honor_labels: true\n    static_configs:\n"
        f"      - targets: ['127.0.0.1:{one.port}']\n        labels: {{service: {name}}}\n"
        for name, one in exporters.items()
    )
    times = "".join(
        f"  {name}: {INTERVAL * 1000:g}ms\n" for name in ("scrape_interval", "scrape_timeout", "evaluation_interval")
    )
    (folder / "prometheus.yml").write_text(f"global:\n{times}scrape_configs:\n{jobs}")
    url, server = _start(prometheus_program("prometheus"), folder)
    try:
        yield SimpleNamespace(url=url, **exporters)
    finally:
        server.kill()
        server.wait()


def _start(binary, folder):
    """Start on a free port; another process may take it first, so try again."""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        if (server := _start_on(address, binary, folder)) is not None:
            return f"http://{address}", server
    return pytest.fail((folder / "prometheus.log").read_text())


def _start_on(address, binary, folder):
    """Return the server once it is ready; None if it ended at once."""
    command = [binary, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(lambda: server.poll() is not None or _is_ready(address), "prometheus ready")
    except BaseException:
        server.kill()
        server.wait()
        raise
    return server if server.poll() is None else None


def _is_ready(address):
    try:
        return httpx.get(f"http://{address}/-/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def settle(server):
    """Wait until the server has scraped both exporters as they are now; return the time from which it knows them."""
    asked = time.time()

    def known():
        answer = httpx.post(
            f"{server.url}/api/v1/query", data={"query": "timestamp(process_start_time_seconds)"}, trust_env=False
        )
        stamps = [float(series["value"][1]) for series in answer.json()["data"]["result"]]
        return len(stamps) == 2 and min(stamps) > asked and max(stamps)

    return wait_for(known, "both exporters scraped")


def traffic(server, chance):
    for one in (server.gateway, server.orders):
        for _ in range(600):
            status = 503 if chance.random() < 0.05 else 200
            one.serve(1, seconds=chance.lognormvariate(-3, 1), status=status, route="/orders")
        one.pool_size.set(8)
        one.pool_in_use.inc(2)
        one.lag.labels("order.created").inc(100)
        one.injected.labels("f1", "error").inc(30)


def test_prometheus_and_our_own_scrapes_agree_within_five_percent(prometheus):
    chance = random.Random(7)
    traffic(prometheus, chance)  # before the window
    with Scraper({"gateway": prometheus.gateway.url, "orders": prometheus.orders.url}) as scraper:
        start = settle(prometheus)
        scrapes = [scraper.take()]
        traffic(prometheus, chance)
        end = max(settle(prometheus), start + 2)  # a window of some length, since edges are a scrape apart
        wait_for(lambda: time.time() > end, "the window's end")
        settle(prometheus)
        scrapes.append(scraper.take())
    window = Window(start, end)
    ours, theirs = ScrapeSource(scrapes), PrometheusSource(prometheus.url)
    try:
        for service in ("gateway", "orders"):
            for signal in ("p50", "p95", "p99", "mean", "errors", "pool", "lag", "memory", "injected"):
                pair = [source.read(signal, window, service=service) for source in (ours, theirs)]
                assert None not in [reading.value for reading in pair]
                assert disagreement(pair) is None
                assert pair[0].samples == pair[1].samples or signal in ("pool", "lag", "memory")
            rates = [source.read("traffic", window, service=service) for source in (ours, theirs)]
            assert [reading.samples for reading in rates] == [600, 600]
            assert rates[1].value == pytest.approx(600 / rates[1].window.seconds)
            assert rates[1].window.seconds == pytest.approx(window.seconds, abs=2 * INTERVAL + 0.1)
        assert theirs.read("p95", window, service="orders", route="/api/orders").samples == 600
        assert theirs.read("cpu", window).note.startswith("highest: ")
    finally:
        theirs.close()


def test_a_restart_is_counted_through(prometheus):
    prometheus.gateway.serve(100)
    start = settle(prometheus)
    prometheus.gateway.serve(50)
    settle(prometheus)
    prometheus.gateway.restart()
    prometheus.gateway.serve(30)
    end = settle(prometheus)
    source = PrometheusSource(prometheus.url)
    try:
        reading = source.read("errors", Window(start, end))
        assert reading.samples == 80
        assert "gateway restarted" in reading.note
    finally:
        source.close()


def test_what_the_server_does_not_know_has_no_value(prometheus):
    prometheus.gateway.serve(10)
    end = settle(prometheus)
    source = PrometheusSource(prometheus.url)
    try:
        before = source.read("traffic", Window(end - 3600, end))
        assert before.value is None  # it was not running yet: nobody knows where the counters stood
        nobody = source.read("p99", Window(end - 0.1, end), service="gatway")
        assert nobody.value is None
        assert "there is no service 'gatway', only gateway, orders" in nobody.note
        assert source.read("errors", Window(end, end + 0.001), service="orders").value is None
        assert source.read("lag", Window(end - 0.001, end - 0.0005), service="gateway").value is None
    finally:
        source.close()


def test_a_server_that_does_not_answer_gives_no_value():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        source = PrometheusSource(f"http://127.0.0.1:{closed.getsockname()[1]}")
        try:
            reading = source.read("p99", Window(0, 1))
        finally:
            source.close()
    assert reading.value is None
    assert "does not answer" in reading.note
