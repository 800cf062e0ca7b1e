"""A small exporter: one service's metrics on a free port, without the service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import Counter, Gauge

from cloudcart.telemetry.metrics import Telemetry


class Exporter:
    """Serves the metrics of :attr:`telemetry`; :meth:`restart` forgets them, as a killed process does."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.status = 200
        self.restart()

        exporter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                page = exporter.telemetry.exposition()
                self.send_response(exporter.status)
                self.send_header("content-length", str(len(page)))
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def restart(self) -> None:
        self.telemetry = Telemetry(self.service)
        registry = self.telemetry.registry
        self.pool_in_use = Gauge("db_pool_in_use", "In use.", registry=registry)
        self.pool_size = Gauge("db_pool_size", "Size.", registry=registry)
        self.lag = Gauge("kafka_consumergroup_lag", "Lag.", ["topic"], registry=registry)
        self.outbox = Gauge("outbox_pending", "Pending.", registry=registry)
        self.memory = Gauge("process_memory", "Stands in for the real one.", registry=registry)
        self.consumed = Counter("kafka_events_consumed", "Handled.", ["topic", "outcome"], registry=registry)
        self.injected = Gauge("chaos_faults_injected_total", "A counter.", ["fault_id", "kind"], registry=registry)

    def serve(self, count: int, *, route="/api/orders", method="POST", status=200, seconds=0.05) -> None:
        for _ in range(count):
            self.telemetry.http.record(method, route, status, seconds)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def exporter() -> Iterator[Callable[[str], Exporter]]:
    """Start exporters; they end with the module."""
    with ExitStack() as opened:

        def start(service: str) -> Exporter:
            started = Exporter(service)
            opened.callback(started.close)
            return started

        yield start
