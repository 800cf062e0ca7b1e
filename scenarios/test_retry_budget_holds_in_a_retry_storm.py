"""A retry storm: most calls fail, and retries still add no more than their budget to the load."""

import pytest


@pytest.mark.cloudcart_load("browse", rate=25, duration="18s", warmup="2s")
@pytest.mark.cloudcart_fault(
    "error", target="products:/products/{id}", status=503, probability=0.6, start="5s", duration="9s"
)
@pytest.mark.cloudcart_slo("traffic < 40/s", service="products", route="GET /api/products/{id}", phase="fault")
@pytest.mark.cloudcart_slo("errors < 5%", phase="recovery")
def test_retry_budget_holds_in_a_retry_storm(cloudcart_run):
    """The product service sees under 40 requests a second of the 25 that clients send, though 60 % of them fail.

    The protection is the retry budget: a fifth of the requests may be repeated. Without it (``gateway.retry_budget=1``)
    two repeats follow nearly each failure, and a service in trouble gets twice its load on top.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
