"""One slow replica, a gray failure: it answers everything, late, and buyers are led around it."""

import pytest


@pytest.mark.cloudcart_settings({"products.replicas": "2"})
@pytest.mark.cloudcart_load("browse", rate=20, duration="18s", warmup="2s")
@pytest.mark.cloudcart_fault("latency", target="products", replica=1, fixed="1s", start="5s", duration="9s")
@pytest.mark.cloudcart_slo("p90 < 500ms", route="GET /api/products/{id}", phase="fault")
@pytest.mark.cloudcart_slo("errors < 2%", phase="fault")
def test_one_slow_replica_is_avoided(cloudcart_run):
    """Nine in ten products are shown quickly while one of the two processes of the product service takes a second.

    No probe sees that anything is wrong with it. The protection is that the gateway compares the replicas and leaves
    the one that stands out alone for a while. Without it (``gateway.outlier_ejection=off``) every other answer is late.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
