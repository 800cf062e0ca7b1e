"""Control: no fault, no alarm (A/A)."""

import pytest


@pytest.mark.cloudcart_load("checkout", rate=15, duration="20s", warmup="4s")
@pytest.mark.cloudcart_slo("errors < 1%")
@pytest.mark.cloudcart_slo("p95 < 500ms")
@pytest.mark.cloudcart_slo("p95 < 500ms", service="products", source="scrape")
def test_control_no_fault_no_alarm(cloudcart_run):
    """Nothing is broken and no objective is missed.

    If this scenario fails, no verdict of the others can be trusted: the shop, the load or this machine has a problem
    of its own.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
