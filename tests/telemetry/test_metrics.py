"""What a service's metrics page says: buckets, traffic by route, release, restarts, the event loop's lag."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from cloudcart.telemetry.metrics import DurationHistogram, Durations, Telemetry, bucket_edges


def test_edges_are_fine_and_hold_the_bounds_that_people_choose() -> None:
    edges = bucket_edges()
    assert (edges[0], edges[-1]) == (0.001, 30.0)
    assert all(below < above <= below * 1.0715 for below, above in pairwise(edges))
    assert {0.25, 0.5, 1.0, 2.0, 5.0} < set(edges)


@given(st.lists(st.floats(0, 100), max_size=50))
def test_buckets_count_what_is_at_or_below_their_edge(seconds: list[float]) -> None:
    durations = Durations()
    for value in seconds:
        durations.observe(value)
    for edge, count in durations.buckets():
        assert count == sum(value <= float(edge) for value in seconds)
    assert durations.total == pytest.approx(math.fsum(seconds))


def test_a_histogram_reads_like_any_other() -> None:
    registry = CollectorRegistry()
    histogram = DurationHistogram(
        "some_seconds", "Text.", registry=registry, labels=("topic",), constant={"service": "users"}
    )
    histogram.labels("a").observe(0.25)
    assert registry.get_sample_value("some_seconds_bucket", {"service": "users", "topic": "a", "le": "0.236"}) == 0
    assert registry.get_sample_value("some_seconds_bucket", {"service": "users", "topic": "a", "le": "0.25"}) == 1
    assert registry.get_sample_value("some_seconds_sum", {"service": "users", "topic": "a"}) == 0.25


def test_http_traffic_is_counted_by_template_and_methods_are_bounded() -> None:
    telemetry = Telemetry("users")
    for method in ("GET", "GET", "BREW", "X" * 50):
        telemetry.http.record(method, "/users/{id}", 200, 0.01)
    telemetry.http.in_flight = 3
    value = telemetry.registry.get_sample_value
    labels = {"service": "users", "route": "/users/{id}"}
    assert value("http_requests_total", {**labels, "method": "GET", "status": "200"}) == 2
    assert value("http_requests_total", {**labels, "method": "other", "status": "200"}) == 2
    assert value("http_request_duration_seconds_count", {**labels, "method": "GET"}) == 2
    assert value("http_requests_in_flight") == 3


def test_every_service_shows_release_restarts_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDCART_RESTARTS", "2")
    telemetry = Telemetry("orders")
    families = {family.name: family for family in text_string_to_metric_families(telemetry.exposition().decode())}
    assert families["service_restarts"].samples[0].value == 2
    assert families["cloudcart_build_info"].samples[0].labels.keys() == {"version", "commit"}
    assert families["cloudcart_deployments"].samples[0].labels == {"service": "orders"}
    for name in (
        "process_cpu_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "db_query_duration_seconds",
        "event_loop_lag_seconds",
        "http_requests_in_flight",
    ):
        assert name in families


def test_two_applications_in_one_process_do_not_meet() -> None:
    first, second = Telemetry("users"), Telemetry("users")
    first.http.record("GET", "/users", 200, 0.1)
    assert b'route="/users"' not in second.exposition()


def test_the_loops_lag_is_measured() -> None:
    telemetry = Telemetry("users")

    async def run() -> None:
        watching = asyncio.create_task(telemetry.watch_event_loop())
        async with asyncio.timeout(10):
            while not telemetry.registry.get_sample_value("event_loop_lag_seconds_count"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())
