"""The admin dashboard works under chaos: retries hide that every service behind it is flaky."""

import pytest


@pytest.mark.cloudcart_load("admin", rate=8, duration="16s", warmup="2s")
@pytest.mark.cloudcart_fault("error", target="orders", status=503, probability=0.15, start="5s", duration="8s")
@pytest.mark.cloudcart_fault("error", target="users", status=503, probability=0.15, start="5s", duration="8s")
@pytest.mark.cloudcart_fault(
    "latency", target="orders", min="100ms", max="800ms", probability=0.15, start="5s", duration="8s"
)
@pytest.mark.cloudcart_slo("errors < 5%", phase="fault")
@pytest.mark.cloudcart_slo("p50 < 500ms", phase="fault")
def test_admin_dashboard_works_under_chaos(cloudcart_run):
    """An administrator sees orders, inventory and users while 15 % of the calls for them fail, and as many are slow.

    The protection is the gateway's retry of what only reads. Without it (``gateway.retries=off``) one page in ten of
    the dashboard is an error.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
