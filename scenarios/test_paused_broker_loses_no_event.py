"""The broker stands still for ten seconds: events come late, none is lost, and no buyer waits for it."""

import pytest


@pytest.mark.cloudcart_load("checkout", rate=8, duration="24s", warmup="4s")
@pytest.mark.cloudcart_fault("broker_pause", target="kafka", start="7s", duration="10s")
@pytest.mark.cloudcart_slo("outbox > 20", service="orders", phase="fault")
@pytest.mark.cloudcart_slo("errors < 2%", phase="fault")
@pytest.mark.cloudcart_slo("p95 < 500ms", route="POST /api/orders", phase="fault")
def test_paused_broker_loses_no_event(cloudcart_run):
    """Check-outs stay fast while events wait in the outbox; afterwards each is handled once, as the invariants say.

    The protection is the outbox. Without it (``stores.outbox=off``) each request publishes its events itself, waits
    for the broker until the gateway gives up, and takes them to its grave if it dies meanwhile.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
