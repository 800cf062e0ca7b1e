"""A memory leak shows in the saturation of the service before users feel anything of it."""

import pytest


@pytest.mark.cloudcart_load("browse", rate=12, duration="16s", warmup="2s")
@pytest.mark.cloudcart_fault("memory_leak", target="products", rate="15MiB", limit="256MiB", start="6s", duration="7s")
@pytest.mark.cloudcart_slo("memory_growth < 30MB", service="products", phase="steady")
@pytest.mark.cloudcart_slo("memory_growth > 30MB", service="products", phase="fault")
@pytest.mark.cloudcart_slo("errors < 2%", phase="fault")
@pytest.mark.cloudcart_slo("p95 < 500ms", phase="fault")
def test_memory_leak_shows_before_users_feel_it(cloudcart_run):
    """The product service grows by 30 MB within seconds, and its users get what they want as fast as ever.

    An alarm on errors or latency would be silent here. If nothing leaks, or if users do notice, the scenario fails.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
