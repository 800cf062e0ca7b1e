"""Orders under errors and latency: retries hide a flaky product service from buyers."""

import pytest


@pytest.mark.cloudcart_load("checkout", rate=15, duration="30s", warmup="3s")
@pytest.mark.cloudcart_fault("error", target="products", status=503, probability=0.05, start="8s", duration="14s")
@pytest.mark.cloudcart_fault(
    "latency", target="products", min="1s", max="3s", probability=0.05, start="8s", duration="14s"
)
@pytest.mark.cloudcart_slo("errors < 2%", phase="fault")
@pytest.mark.cloudcart_slo("p50 < 500ms", phase="fault")
@pytest.mark.cloudcart_slo("recovery < 5s")
def test_orders_survive_errors_and_latency(cloudcart_run):
    """Buyers notice fewer than 2 % of errors while 5 % of product calls fail and 5 % take one to three seconds.

    The protection is the retry: of the gateway for catalogue pages, of the order service for stock. With both off
    (``gateway.retries=off``, ``orders.retries=off``) every injected error reaches a buyer.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
