"""A bad release is deployed: the burn rate of the error budget pages somebody within a minute."""

import pytest


@pytest.mark.cloudcart_load("checkout", rate=10, duration="18s", warmup="3s")
@pytest.mark.cloudcart_fault("bad_deploy", target="orders", share=0.5, start="7s", duration="7s")
@pytest.mark.cloudcart_slo("alert < 10s", slo="99%")
def test_bad_deploy_pages_within_a_minute(cloudcart_run):
    """A release of the order service that fails half of its requests pages somebody, and nothing does before.

    The pages are the usual ones: two per cent of a month's budget spent in an hour, or five per cent in six. A run is
    the whole history there is, so the bound is ten seconds. Without a bad release nobody is paged.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
