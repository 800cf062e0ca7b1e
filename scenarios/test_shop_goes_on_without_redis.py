"""Redis is gone: the shop goes on, and the gateway limits its clients by itself."""

import pytest


@pytest.mark.cloudcart_settings({"gateway.rate_limit": "on"})
@pytest.mark.cloudcart_load("storm", rate=48, duration="16s", warmup="2s")
@pytest.mark.cloudcart_fault("link_down", target="gateway->redis", start="5s", duration="8s")
@pytest.mark.cloudcart_fault("link_down", target="products->redis", start="5s", duration="8s")
@pytest.mark.cloudcart_slo("errors < 2%", phase="fault")
@pytest.mark.cloudcart_slo("throttled > 50%", route="GET /api/products", phase="fault")
@pytest.mark.cloudcart_slo("throttled < 5%", route="GET /api/orders/my-orders", phase="fault")
def test_shop_goes_on_without_redis(cloudcart_run):
    """Nobody sees an error, and who asks too often is refused as before, while Redis cannot be reached.

    The protection is that the gateway counts requests itself when Redis does not. Without it
    (``gateway.rate_limit_fallback=off``) the whole shop is away as long as Redis is. Products reads its lists from
    PostgreSQL meanwhile.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
