"""Charts of recorded runs: what is drawn, not how it looks."""

from __future__ import annotations

import matplotlib as mpl
import pytest
from matplotlib import pyplot

from cloudcart import plots
from cloudcart.exceptions import UsageError


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("agg")
    yield
    pyplot.close("all")


def _labels(ax):
    return ax.get_legend_handles_labels()[1]


def test_latency_is_three_lines_over_shaded_faults(recorded):
    ax = plots.latency(recorded())
    assert _labels(ax) == ["p50", "p95", "p99", "fault"]
    lower, _, upper = (line.get_ydata() for line in ax.lines[:3])
    assert all(low <= high for low, high in zip(lower, upper, strict=True))
    assert ax.get_xlim() == pytest.approx((0, 30), abs=0.2)


def test_a_route_has_less_traffic_than_all(recorded):
    everything = plots.traffic(recorded()).lines[0].get_ydata()
    one = plots.traffic(recorded(), route="POST /api/orders").lines[0].get_ydata()
    assert 0 < sum(one) < sum(everything) / 4


def test_errors_are_where_the_fault_is(recorded):
    ax = plots.errors(recorded("errors_burn_the_budget"))
    seen = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches if bar.get_width() < 2 and bar.get_height() > 0]
    assert 19 < min(seen) < max(seen) < 36


def test_saturation_is_a_line_a_service(recorded):
    assert {"gateway", "orders"} <= set(_labels(plots.saturation(recorded())))
    assert _labels(plots.saturation(recorded(), "pool", services=["orders"])) == ["orders", "fault"]
    with pytest.raises(UsageError, match=r"has no signal 'heat'; recorded: cpu"):
        plots.saturation(recorded(), "heat")


def test_percentile_curves_rise_and_tell_due_from_sent(recorded):
    run = recorded("stall_under_open_load")
    ax = plots.percentiles(run, run, labels=["a", "b"], phase=None)
    values = ax.lines[0].get_ydata()
    assert list(values) == sorted(values)
    sent = plots.percentiles(run, phase=None, since="sent").lines[0].get_ydata()
    assert max(sent) <= max(values)
    with pytest.raises(UsageError, match="from 'due' or 'sent'"):
        plots.percentiles(run, since="done")


def test_a_comparison_shows_both_runs(recorded):
    figure = plots.compare(recorded("orders_with_retries"), recorded("orders_without_retries"))
    assert all("orders_without_retries" in _labels(ax) for ax in figure.axes[:3])
    assert plots.overview(recorded()).axes[0].get_title() == "Latency"


def test_readings_of_a_phase_that_was_not(recorded):
    assert plots.readings(recorded(), phase="fault")["errors"].value < 0.02
    with pytest.raises(UsageError, match="has no phase 'storm'"):
        plots.readings(recorded(), phase="storm")
