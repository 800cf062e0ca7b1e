"""Every metric of the contract is there, at the services that it is of."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloudcart.lab import Lab

EVERYWHERE = """
    http_requests_total http_request_duration_seconds http_requests_in_flight process_cpu_seconds_total
    process_resident_memory_bytes process_open_fds event_loop_lag_seconds service_restarts_total
    chaos_injected_latency_ms chaos_injected_errors_total chaos_injected_timeouts_total chaos_faults_active
    chaos_faults_injected_total kafka_events_published_total cloudcart_build_info cloudcart_deployments_total
"""
DATABASE = "db_query_duration_seconds db_pool_in_use db_pool_size"
OUTBOX = "outbox_pending outbox_oldest_age_seconds"
CONSUMER = "kafka_events_consumed_total kafka_consumergroup_lag expired_rows_deleted_total"
OF_SERVICES = {
    "gateway": """
        rate_limit_exceeded_total jwt_validation_failures_total upstream_request_duration_seconds upstream_errors_total
        upstream_retries_total upstream_ejections_total upstream_replica_ejected circuit_breaker_state
        cache_hits_total cache_misses_total redis_errors_total
        host_cpu_seconds_total host_memory_available_bytes host_disk_free_bytes
    """,
    "users": f"""
        user_registrations_total user_logins_total password_hashing_duration_seconds redis_errors_total {DATABASE}
        {OUTBOX}
    """,
    "products": f"""
        product_views_total product_stock_updates_total low_stock_products inventory_alerts_total cache_hits_total
        cache_misses_total redis_errors_total {DATABASE} {OUTBOX} {CONSUMER}
    """,
    "orders": f"""
        orders_created_total orders_by_status order_transitions_total order_payments_total
        order_payment_duration_seconds orders_revenue_total expired_rows_deleted_total upstream_ejections_total
        upstream_replica_ejected {DATABASE} {OUTBOX}
    """,
    "chaos": "",
    "notifications": f"event_end_to_end_seconds {DATABASE} {CONSUMER}",
}


@pytest.mark.parametrize("service", OF_SERVICES)
def test_the_metrics_of_the_contract_are_there(lab: Lab, service: str) -> None:
    text = httpx.get(f"{lab.urls[service]}/metrics", timeout=10, trust_env=False).text
    found = {
        family.name + ("_total" if family.type == "counter" else "") for family in text_string_to_metric_families(text)
    }
    wanted = {*EVERYWHERE.split(), *OF_SERVICES[service].split()}
    assert wanted - found == set()


def test_the_host_is_told_once(lab: Lab) -> None:
    tell = [
        service
        for service, url in lab.service_urls.items()
        if "host_cpu_seconds_total" in httpx.get(f"{url}/metrics", timeout=10, trust_env=False).text
    ]
    assert tell == ["gateway"]
