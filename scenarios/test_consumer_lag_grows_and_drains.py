"""A slow notification worker lags behind, catches up, and no buyer notices."""

import pytest


@pytest.mark.cloudcart_load("checkout", rate=15, duration="28s", warmup="5s")
@pytest.mark.cloudcart_fault("latency", target="notifications", fixed="400ms", start="10s", duration="8s")
@pytest.mark.cloudcart_slo("lag > 20", service="notifications", phase="fault")
@pytest.mark.cloudcart_slo("lag_end < 20", service="notifications", phase="recovery")
@pytest.mark.cloudcart_slo("p95 < 250ms", route="POST /api/orders", phase="fault")
def test_consumer_lag_grows_and_drains(cloudcart_run):
    """Lag grows while each event takes 400 ms longer to handle, drains afterwards, and check-outs stay fast.

    The protection is that the worker is told by events, through the outbox. With ``orders.notify=direct`` the order
    service waits for the worker, and every check-out becomes as slow as the worker is.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
