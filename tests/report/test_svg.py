"""Charts as drawings: places, gaps, labels that do not run into each other."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.report.interval import draw_interval
from cloudcart.report.scale import Scale, round_ticks
from cloudcart.report.svg import Band, Bound, Chart, Line, Span, draw


def chart(**changes):
    line = Line("p99", [(0.0, 0.1), (5.0, 0.4), (10.0, 0.2)], "p99")
    return Chart(
        **{"title": "Latency", "description": "All of it.", "unit": "s", "end": 10.0, "lines": [line], **changes}
    )


def parsed(drawing):
    return ElementTree.fromstring(drawing)


def by_class(drawing, name):
    return [part for part in parsed(drawing).iter() if part.get("class", "").split()[:1] == [name]]


@given(st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_round_and_reach_the_top(high, count):
    ticks = round_ticks(high, count)
    assert ticks[0] == 0
    assert ticks[-1] >= high * (1 - 1e-6)
    assert len(ticks) <= count + 2
    assert len({f"{b - a:.6g}" for a, b in pairwise(ticks)}) == 1


def test_an_axis_that_ends_at_zero_is_refused():
    with pytest.raises(ValueError, match="ends above zero"):
        round_ticks(0.0, 4)


def test_a_scale_keeps_what_is_outside_at_its_edge():
    scale = Scale(0, 10, 100, 0)
    assert (scale(0), scale(5), scale(10), scale(11), scale(-1)) == (100, 50, 0, 0, 100)
    assert Scale(3, 3, 7, 9)(3) == 7


def test_a_drawing_is_well_formed_and_named():
    root = parsed(draw(chart(), "latency"))
    assert (root[0].text, root[1].text) == ("Latency", "All of it.")
    assert root.get("aria-labelledby") == "latency-t latency-d"


def test_a_missing_value_is_a_gap_and_a_lone_one_a_dot():
    line = Line("p99", [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 1.0), (4.0, None), (5.0, 1.0), (6.0, 1.0)], "p99")
    drawing = draw(chart(lines=[line]), "x")
    assert by_class(drawing, "line")[0].get("d").count("M") == 2
    assert len(by_class(drawing, "dot")) == 1


def test_a_chart_without_data_is_drawn_empty():
    drawing = draw(chart(lines=[Line("p99", [(0.0, None)], "p99")]), "x")
    assert by_class(drawing, "line") == []
    assert by_class(drawing, "end-label") == []


def test_a_band_lies_between_its_lines_and_skips_gaps():
    low = Line("p50", [(0.0, 1.0), (1.0, 1.0), (2.0, None), (3.0, 1.0), (4.0, 1.0)], "p50")
    high = Line("p95", [(0.0, 2.0), (1.0, 2.0), (2.0, 3.0), (3.0, 2.0), (4.0, 2.0)], "p95")
    drawing = draw(chart(lines=[low, high], bands=[Band(low, high, "band-95")]), "x")
    assert by_class(drawing, "band")[0].get("d").count("Z") == 2


def test_a_fault_is_shaded_over_its_window_and_labelled():
    drawing = draw(chart(faults=[Span(2.0, 6.0, "+80ms on products")]), "x")
    shade, label = by_class(drawing, "fault")[0], by_class(drawing, "fault-label")[0]
    scale = Scale(0, 10, 58, 1000 - 96)
    assert float(shade.get("x")) == pytest.approx(scale(2), abs=0.1)
    assert float(shade.get("width")) == pytest.approx(scale(6) - scale(2), abs=0.1)
    assert label.text == "+80ms on products"


def test_labels_of_overlapping_faults_stand_in_rows_of_their_own():
    faults = [Span(1.0, 8.0, "one"), Span(2.0, 3.0, "two"), Span(2.5, 4.0, "three"), Span(8.5, 9.0, "four")]
    places = {label.text: label.get("y") for label in by_class(draw(chart(faults=faults), "x"), "fault-label")}
    assert len({places["one"], places["two"], places["three"]}) == 3
    assert places["four"] == places["one"]


def test_a_label_near_the_end_is_written_backwards():
    drawing = draw(chart(faults=[Span(9.0, 9.9, "a label that is longer than what is left")]), "x")
    assert by_class(drawing, "fault-label")[0].get("text-anchor") == "end"


def test_labels_at_line_ends_do_not_overlap():
    lines = [Line(f"service {i}", [(0.0, 1.0), (10.0, 0.001 * i)], "x") for i in range(6)]
    places = sorted(float(label.get("y")) for label in by_class(draw(chart(lines=lines), "x"), "end-label"))
    assert all(b - a >= 14.9 for a, b in pairwise(places))
    assert places[-1] <= 260


def test_a_near_bound_is_drawn_and_a_far_one_is_left_out():
    drawing = draw(chart(bounds=[Bound(0.5, "p99 < 500ms", 2.0, 8.0), Bound(30.0, "p99 < 30s")]), "x")
    assert [label.text for label in by_class(drawing, "bound-label")] == ["p99 < 500ms"]


def test_pointing_at_a_slice_shows_its_numbers():
    drawing = draw(chart(slices=[Span(0.0, 5.0, "0 to 5 s: 200 requests"), Span(5.0, 10.0, "5 to 10 s")]), "x")
    assert [part[0].text for part in by_class(drawing, "slice")] == ["0 to 5 s: 200 requests", "5 to 10 s"]


@given(st.text(max_size=30).filter(lambda text: not re.search(r"[\x00-\x1f\ud800-\udfff\ufffe\uffff]", text)))
def test_labels_are_text_whatever_they_say(label):
    drawing = draw(chart(faults=[Span(1, 2, label)], lines=[Line(label, [(0.0, 1.0), (1.0, 1.0)], "x")]), "x")
    assert (by_class(drawing, "fault-label")[0].text or "") == label


@pytest.mark.parametrize(
    ("value", "low", "high"), [(0.4, 0.3, 0.5), (0.4, 0.3, None), (0.4, None, 0.5), (None, 7.0, None), (0.0, 0.0, 0.0)]
)
@pytest.mark.parametrize("good", ["below", "above"])
def test_an_interval_is_drawn_beside_its_bound(value, low, high, good):
    root = parsed(draw_interval(value, low, high, 2.0, good, "a reading"))
    assert root[0].text == "a reading"
    for part in root.iter():
        assert float(part.get("width", 0)) >= 0
    assert len([part for part in root if part.get("class") == "value"]) == (value is not None)


def test_a_bound_is_drawn_over_the_time_that_it_is_about():
    whole, part = by_class(
        draw(chart(bounds=[Bound(0.4, "p95 < 400ms"), Bound(0.5, "p99 < 500ms", 2.0, 8.0)]), "x"), "bound"
    )
    x = Scale(0.0, 10.0, float(whole.get("x1")), float(whole.get("x2")))
    assert (float(part.get("x1")), float(part.get("x2"))) == pytest.approx((x(2.0), x(8.0)), abs=0.1)
