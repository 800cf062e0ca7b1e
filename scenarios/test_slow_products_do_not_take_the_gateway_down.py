"""A slow product service does not take the gateway down."""

import pytest


@pytest.mark.cloudcart_load("mixed", rate=60, duration="25s", warmup="3s")
@pytest.mark.cloudcart_fault("latency", target="products", fixed="5s", start="8s", duration="10s")
@pytest.mark.cloudcart_slo("p95 < 500ms", route="/api/orders/my-orders", phase="fault")
@pytest.mark.cloudcart_slo("errors < 2%", route="/api/orders/my-orders", phase="fault")
@pytest.mark.cloudcart_slo("recovery < 5s")
def test_slow_products_do_not_take_the_gateway_down(cloudcart_run):
    """Other routes stay fast while every product call takes five seconds.

    The protections are the gateway's bulkhead, time-out and circuit breaker: products may fill its own share of
    connections only. With them off, calls to products take every connection and all other routes wait.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
