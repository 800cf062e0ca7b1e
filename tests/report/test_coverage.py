"""What was broken by what: counted from accounting, drawn so that what was never tried stands out."""

from __future__ import annotations

from cloudcart.report.coverage import Coverage, client_hits


def coverage() -> Coverage:
    found = Coverage(["error", "latency", "kill"])
    places = ["products", "orders", "orders->products", "kafka:order.created", "products:/products/{id}"]
    found.add(places, [("products", "error", 20), ("products", "latency", 0)])
    found.add(places, [("products", "error", 5), ("orders->products", "latency", 1)])
    found.add((), [("GET /api/products", "error", 3), ("GET /api/users", "", 0)])
    return found


def test_hits_of_several_tests_are_added_up_and_a_fault_that_hit_nothing_covers_nothing():
    found = coverage()
    assert found.hits[("products", "error")] == 25
    assert found.broken == {"products", "orders->products", "GET /api/products"}


def test_the_lines_say_how_much_and_what_never():
    lines = coverage().lines()
    assert lines[0] == "coverage: 2 of 3 kinds of fault hit something"
    assert "  Services: 1 of 2 broken, never: orders" in lines
    assert "  Links: 1 of 1 broken" in lines
    assert "  Routes as clients saw them: 1 of 2 broken, never: GET /api/users" in lines


def test_the_page_has_every_place_and_names_the_kinds_that_hit_nothing(tmp_path):
    page = coverage().write(tmp_path / "new").read_text()
    for place in ("orders-&gt;products", "products:/products/{id}", "GET /api/users"):
        assert place in page
    assert "Kinds of fault that hit nothing: kill" in page
    assert "http" not in page.replace("https://", "").split("<main>")[1]


def test_marks_of_rows_are_counted_by_route_and_kind():
    rows = {"name": ["GET /a", "GET /a", "GET /b"], "fault_ids": ["f-1", "f-1,f-2", ""]}
    found = client_hits(rows, {"f-1": "error", "f-2": "latency"})
    assert sorted(found) == [("GET /a", "", 0), ("GET /a", "error", 2), ("GET /a", "latency", 1), ("GET /b", "", 0)]
