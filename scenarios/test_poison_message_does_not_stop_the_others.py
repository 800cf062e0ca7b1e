"""A poison message goes to the dead-letter topic, and the rest flows on."""

import pytest


@pytest.mark.cloudcart_load("checkout", rate=8, duration="18s", warmup="4s")
@pytest.mark.cloudcart_fault("poison_message", target="kafka:order.created", first=5, start="8s", duration="5s")
@pytest.mark.cloudcart_slo("dead_letters >= 5", service="notifications", phase="fault")
@pytest.mark.cloudcart_slo("lag_end < 60", service="notifications", phase="recovery")
@pytest.mark.cloudcart_slo("errors < 2%", phase="fault")
def test_poison_message_does_not_stop_the_others(cloudcart_run):
    """Five messages that nobody can read are set aside, and the worker handles all others, as the invariants say.

    The protection is the dead-letter topic. Without it (``notifications.dead_letters=off``) the worker tries the first
    poison message for ever, and everything behind it waits.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
