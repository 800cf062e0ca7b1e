"""A path becomes the template of its route, and nothing else ever becomes a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcart.telemetry.routes import UNMATCHED, Routes

ROUTES = Routes(
    ["/orders/my-orders", "/orders/{id}", "/orders/{id}/pay", "/files/{rest:path}", "/users/{id:int}", "/a.b"]
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/orders/my-orders", "/orders/my-orders"),
        ("/orders/7", "/orders/{id}"),
        ("/orders/7/pay", "/orders/{id}/pay"),
        ("/orders/", UNMATCHED),
        ("/orders/7/", UNMATCHED),
        ("/orders/7/pay/again", UNMATCHED),
        ("/files/a/b/c", "/files/{rest}"),
        ("/users/7", "/users/{id}"),
        ("/aXb", UNMATCHED),
        ("/orders/7\n", "/orders/{id}"),
        ("", UNMATCHED),
    ],
)
def test_a_path_gives_its_template(path: str, template: str) -> None:
    assert ROUTES.resolve(path) == template


@given(st.text())
def test_any_path_gives_one_of_the_templates_or_none(path: str) -> None:
    assert ROUTES.resolve(path) in {*ROUTES, UNMATCHED}


def test_where_two_fit_the_first_wins_but_fixed_paths_before_all() -> None:
    routes = Routes(["/{a}/x", "/y/{b}", "/y/x"])
    assert routes.resolve("/y/x") == "/y/x"
    assert Routes(["/{a}/x", "/y/{b}"]).resolve("/y/x") == "/{a}/x"
