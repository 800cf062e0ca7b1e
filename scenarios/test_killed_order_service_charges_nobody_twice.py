"""The order service is killed while buyers pay: nobody is charged twice."""

import pytest


@pytest.mark.cloudcart_load("persistent", rate=10, duration="18s", warmup="2s")
@pytest.mark.cloudcart_fault("latency", target="orders->products", fixed="200ms", start="5s", duration="7s")
@pytest.mark.cloudcart_fault(
    "reset", target="orders:/orders/{id}/pay", after_bytes=0, probability=0.3, start="5s", duration="7s"
)
@pytest.mark.cloudcart_fault("kill", target="orders", down="1s", start="8s", duration="3s")
@pytest.mark.cloudcart_slo("errors < 5%", phase="recovery")
def test_killed_order_service_charges_nobody_twice(cloudcart_run):
    """Buyers whose payment broke off pay again, and the invariants say that each order was paid once.

    Calls to the product service are slow, so that payments are under way when the order service dies, and some answers
    are cut off after the payment was made. The protection is that a payment sent again with the same key is recognised.
    Without it (``orders.charge_once=off``) it is charged again.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
