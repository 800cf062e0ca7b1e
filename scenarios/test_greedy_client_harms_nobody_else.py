"""One client storms the shop: it is refused, and the other clients notice nothing."""

import pytest


@pytest.mark.cloudcart_settings({"gateway.rate_limit": "on"})
@pytest.mark.cloudcart_load("storm", rate=48, duration="15s", warmup="3s")
@pytest.mark.cloudcart_fault("latency", target="products", fixed="1s", start="5s", duration="8s")
@pytest.mark.cloudcart_slo("throttled > 80%", route="GET /api/products", phase="fault")
@pytest.mark.cloudcart_slo("p95 < 1500ms", route="GET /api/products/{id}", phase="fault")
@pytest.mark.cloudcart_slo("errors < 5%", route="GET /api/products/{id}", phase="fault")
def test_greedy_client_harms_nobody_else(cloudcart_run):
    """One client searches 36 times a second in a product service that takes 1 s, and nobody else waits for longer.

    The protection is the rate limit. Without it (``gateway.rate_limit=off``) the searches take all the places that the
    gateway has for the product service, and everybody waits behind them.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
