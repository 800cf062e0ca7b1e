"""A rush for the last ten items: ten are sold, not eleven."""

import pytest


@pytest.mark.cloudcart_load("rush", rate=20, duration="14s", warmup="2s")
@pytest.mark.cloudcart_fault("db_slow_query", target="products", delay="10ms", start="4s", duration="8s")
@pytest.mark.cloudcart_slo("errors < 2%", phase="fault")
def test_rush_for_the_last_items_oversells_nothing(cloudcart_run):
    """Fifty buyers at a time come for ten pieces, on a slow database: the invariants say that the stock adds up.

    The protection is that checking and taking stock is one statement. Without it (``products.atomic_stock=off``) two
    buyers who read the stock at the same time get the same piece.
    """
    assert cloudcart_run.passed, cloudcart_run.explain()
