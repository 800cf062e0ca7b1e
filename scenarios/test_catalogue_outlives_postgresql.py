"""PostgreSQL is out of reach for five seconds: the catalogue stays up, nothing is lost, the shop recovers by itself."""

import pytest


@pytest.mark.cloudcart_load("checkout", rate=12, duration="16s", warmup="2s")
@pytest.mark.cloudcart_fault("link_down", target="products->postgres", start="6s", duration="5s")
@pytest.mark.cloudcart_fault("link_down", target="orders->postgres", start="6s", duration="5s")
@pytest.mark.cloudcart_slo("errors < 10%", route="GET /api/products", phase="fault")
@pytest.mark.cloudcart_slo("errors < 20%", phase="recovery")
def test_catalogue_outlives_postgresql(cloudcart_run):
    """The list of products is shown without a database, and buyers can order again as soon as it is back.

    The protection is the gateway's cache, which serves the last list it knows. Without it (``gateway.cache=off``) every
    list is an error. That no order was lost or half paid is checked after every run, by the shop's invariants.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
