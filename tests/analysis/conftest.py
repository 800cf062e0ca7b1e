"""A run that ships with the repository, recorded on a real lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudcart import Run

RUNS = Path(__file__).parents[2] / "notebooks" / "runs"


@pytest.fixture
def recorded():
    """Load a recorded run: ``recorded("orders_with_retries")``."""
    return lambda name="orders_with_retries": Run.load(RUNS / name)
