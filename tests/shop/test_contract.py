"""What clients may rely on, seen through the gateway: pages, methods, problem documents, limits, prices."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from cloudcart.services.gateway.routes import ENDPOINTS

ONE = {"items": [{"product_id": 1, "quantity": 1}]}


def links(answer):
    """Return the addresses of an answer's links by their relation."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("link", ""))
    return {relation: place for place, relation in found}


@pytest.mark.parametrize("path", ["/products", "/users", "/orders", "/orders/my-orders", "/notifications"])
def test_pages_join_to_the_whole_list(lab, admin, path):
    admin.order()
    admin.order()
    with lab.tap_events(from_beginning=True) as tap:
        lab.check_invariants(tap)  # waits until nothing is under way, so that lists stay as they are
    whole = admin("GET", path, params={"limit": 500})
    count = int(whole.headers["x-total-count"])
    assert count == len(whole.json())
    assert "link" not in whole.headers
    if not count:
        return
    first = admin("GET", path, params={"limit": 2})
    assert first.json() == whole.json()[:2]
    assert int(first.headers["x-total-count"]) == count
    following = links(first)
    if count > 2:
        assert {"next", "last"} <= following.keys()
        second = admin.client.get(first.url.join(following["next"]), headers=admin.headers)
        assert second.json() == whole.json()[2:4]
        assert {"first", "prev"} <= links(second).keys()
        last = admin.client.get(first.url.join(following["last"]), headers=admin.headers)
        assert last.json()[-1] == whole.json()[-1]
        assert "next" not in links(last)
    beyond = admin("GET", path, params={"offset": count + 10})
    assert beyond.json() == []
    assert int(beyond.headers["x-total-count"]) == count


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"offset": -1}, {"offset": 2**40}])
@pytest.mark.parametrize("path", ["/products", "/products/category/books", "/orders/my-orders", "/notifications"])
def test_pages_have_limits(user, is_problem, path, bad):
    answer = user("GET", path, params=bad)
    assert is_problem(answer, 422)
    assert answer.json()["errors"][0]["field"] in bad


def test_links_keep_the_search(nobody):
    first = nobody("GET", "/products", params={"limit": 1, "category": "books", "search": "a & b?"})
    assert first.status_code == 200
    some = nobody("GET", "/products", params={"limit": 1, "search": "e"})
    following = links(some)["next"]
    assert "search=e" in following
    assert nobody.client.get(some.url.join(following)).json() != some.json()


def test_products_are_found_by_category_and_text(nobody, new_product, admin):
    product = new_product()
    odd = admin("PUT", f"/products/{product['id']}", json={"name": "100% _odd_ \\ näme", "category": "a/b c%"}).json()
    for text in ("100% _", "ODD", "\\ nä"):
        assert odd in nobody("GET", "/products", params={"search": text}).json()
    assert nobody("GET", "/products", params={"search": "100_ _odd"}).json() == []
    assert nobody("GET", "/products", params={"category": "a/b c%"}).json() == [odd]
    assert nobody("GET", "/products/category/no%20such").json() == []


def test_head_is_get_without_its_body(admin):
    for route, endpoint in ENDPOINTS.items():
        if "GET" not in endpoint.methods or endpoint.streamed or "{" in route:
            continue
        head, get = admin("HEAD", route.removeprefix("/api")), admin("GET", route.removeprefix("/api"))
        assert (head.status_code, head.content) == (get.status_code, b""), route
        assert head.headers["content-type"] == get.headers["content-type"]


def test_options_and_wrong_verbs_name_the_right_ones(nobody, is_problem):
    for route, endpoint in ENDPOINTS.items():
        path = re.sub(r"\{\w+\}", "1", route).removeprefix("/api")
        options = nobody("OPTIONS", path)
        assert options.status_code == 204, route
        allowed = set(options.headers["allow"].split(", "))
        assert endpoint.methods.keys() <= allowed
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - allowed:
            answer = nobody(method, path)
            assert is_problem(answer, 405), (method, route)
            assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/", "/nothing", "/products/1/2", "/orders/1/refund", "/auth", "/users/1/orders"])
def test_unknown_addresses_are_404(admin, is_problem, path):
    for method in ("GET", "POST", "DELETE"):
        assert is_problem(admin(method, path), 404)


@pytest.mark.parametrize("path", ["/products/999999", "/orders/999999", "/users/999999", "/chaos/faults/none"])
def test_unknown_things_are_404(admin, is_problem, path):
    assert is_problem(admin("GET", path), 404)


@pytest.mark.parametrize("path", ["/products/x", "/products/0", "/orders/-1", "/users/1.5", "/orders/99999999999"])
def test_ids_that_cannot_be_are_422_or_404(admin, is_problem, path):
    answer = admin("GET", path)
    assert is_problem(answer, 422)
    assert answer.json()["errors"][0]["field"] == "id"


def test_large_bodies_are_413(user, is_problem):
    body = b'{"items": "' + b"x" * (1024 * 1024) + b'"}'
    headers = {"content-type": "application/json"}
    assert is_problem(user("POST", "/orders", headers, content=body), 413)
    assert is_problem(user("POST", "/orders", headers, content=iter([body[:500_000], body[500_000:]])), 413)
    assert is_problem(user("POST", "/orders", headers, content=body[: 1024 * 1024]), 422)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/auth/register", {}, "username"),
        ("/auth/register", {"username": "ab", "email": "a@b.cd", "password": "x" * 8}, "username"),
        ("/auth/register", {"username": "a b", "email": "a@b.cd", "password": "x" * 8}, "username"),
        ("/auth/register", {"username": "abc", "email": "a.b.cd", "password": "x" * 8}, "email"),
        ("/auth/register", {"username": "abc", "email": "a@b.cd", "password": "x" * 7}, "password"),
        ("/auth/register", {"username": "abc", "email": "a@b.cd", "password": "x" * 73}, "password"),
        ("/auth/register", {"username": "abc", "email": "a@b.cd", "password": "x" * 8, "full_name": "\0"}, "full_name"),
        ("/auth/login", {"username": "admin"}, "password"),
        ("/orders", {}, "items"),
        ("/orders", {"items": []}, "items"),
        ("/orders", {"items": ONE["items"] * 51}, "items"),
        ("/orders", {"items": {"product_id": 1}}, "items"),
        ("/orders", {"items": [{"product_id": 1}]}, "items.0.quantity"),
        ("/orders", {"items": [{"product_id": 1, "quantity": 0}]}, "items.0.quantity"),
        ("/orders", {"items": [{"product_id": 1, "quantity": -1}]}, "items.0.quantity"),
        ("/orders", {"items": [{"product_id": 1, "quantity": 1001}]}, "items.0.quantity"),
        ("/orders", {"items": [{"product_id": 1, "quantity": 1.5}]}, "items.0.quantity"),
        ("/orders", {"items": [{"product_id": 1, "quantity": "1"}]}, "items.0.quantity"),
        ("/orders", {"items": [*ONE["items"], {"product_id": 999_999, "quantity": 1}]}, "items.1.product_id"),
        ("/orders", {"items": [{"product_id": "1", "quantity": 1}]}, "items.0.product_id"),
        ("/orders", [], "body"),
        ("/products", {"name": "x", "category": "x"}, "price"),
        ("/products", {"name": "x", "category": "x", "price": -0.01}, "price"),
        ("/products", {"name": "x", "category": "x", "price": 100_000_000}, "price"),
        ("/products", {"name": "x", "category": "x", "price": 1.001}, "price"),
        ("/products", {"name": "x", "category": "x", "price": "NaN"}, "price"),
        ("/products", {"name": "", "category": "x", "price": 1}, "name"),
        ("/products", {"name": "x" * 201, "category": "x", "price": 1}, "name"),
        ("/products", {"name": "x", "category": "x", "price": 1, "stock": -1}, "stock"),
        ("/products", {"name": "x", "category": "x", "price": 1, "image_url": "javascript:alert(1)"}, "image_url"),
        ("/chaos/faults", {"kind": "none", "target": "orders"}, "kind"),
    ],
)
def test_validation_errors_name_the_field(admin, is_problem, path, body, field):
    answer = admin("POST", path, json=body)
    assert is_problem(answer, 422)
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert field in answer.json()["error"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"items": NaN}', b'{"items": 1e999}']
)
def test_what_is_no_json_is_422(user, is_problem, content):
    answer = user("POST", "/orders", {"content-type": "application/json"}, content=content)
    assert is_problem(answer, 422)


def test_conflicts_are_409(admin, nobody, user, registration, is_problem):
    body = registration()
    assert nobody("POST", "/auth/register", json=body).status_code == 201
    assert is_problem(nobody("POST", "/auth/register", json=body), 409)
    assert is_problem(nobody("POST", "/auth/register", json={**registration(), "email": body["email"].upper()}), 409)
    assert is_problem(user("PUT", f"/users/{user.user_id}", json={"email": body["email"].title()}), 409)
    order = user.order()
    for status in ("shipped", "delivered", "returned", "awaiting_payment"):
        assert is_problem(admin("PATCH", f"/orders/{order['id']}/status", json={"status": status}), 409)


def test_a_product_with_open_orders_stays(admin, user, new_product, is_problem):
    product = new_product()
    order = user.order(product["id"])
    assert is_problem(admin("DELETE", f"/products/{product['id']}"), 409)
    assert user("PATCH", f"/orders/{order['id']}/status", json={"status": "cancelled"}).status_code == 200
    assert admin("DELETE", f"/products/{product['id']}").status_code == 204
    assert is_problem(user("POST", "/orders", json={"items": [{"product_id": product["id"], "quantity": 1}]}), 422)


def test_prices_come_from_the_catalogue_and_stay_those_of_the_day(admin, user, new_product):
    product = new_product(price=0.1)
    line = {"product_id": product["id"], "quantity": 3, "price": 0.01, "product_name": "free"}
    order = user(
        "POST", "/orders", json={"items": [line], "total_amount": 0, "status": "confirmed", "user_id": 1}
    ).json()
    assert order["total_amount"] == 0.3
    assert order["status"] == "awaiting_payment"
    assert order["user_id"] == user.user_id
    admin("PUT", f"/products/{product['id']}", json={"price": 99})
    assert user("GET", f"/orders/{order['id']}").json() == order
    paid = user("POST", f"/orders/{order['id']}/pay", json={"payment_method": "card", "amount": 0.01}).json()
    assert (paid["status"], paid["total_amount"]) == ("confirmed", 0.3)


def test_money_is_exact_and_limits_are_inside(user, new_product, is_problem):
    product = new_product(price=99_999_999.99)
    order = user.order(product["id"])
    assert Decimal(str(order["total_amount"])) == Decimal("99999999.99")
    both = {"items": [{"product_id": product["id"], "quantity": 1}, {"product_id": 1, "quantity": 1}]}
    assert is_problem(user("POST", "/orders", json=both), 422)
    free, dime = new_product(price=0, stock=10_000), new_product(price=0.1)
    assert user.order(free["id"], 1_000)["total_amount"] == 0
    assert user("POST", "/orders", json={"items": [{"product_id": dime["id"], "quantity": 1}] * 50}).json()[
        "total_amount"
    ] == pytest.approx(5, abs=0)


def test_shapes_are_those_of_the_contract(admin, user, nobody, registration):
    made = nobody("POST", "/auth/register", json={**registration(), "full_name": "Ann Ex"}).json()
    assert made.keys() == {"token", "user"}
    stamps = {"created_at", "updated_at"}
    assert made["user"].keys() == {"id", "username", "email", "full_name", "is_admin", *stamps}
    product = nobody("GET", "/products/1").json()
    fields = {"id", "name", "description", "price", "stock", "category", "image_url", *stamps}
    assert product.keys() == fields
    order = user.order()
    assert order.keys() == {"id", "user_id", "total_amount", "status", "items", *stamps}
    (item,) = order["items"]
    assert item.keys() == {"id", "order_id", "product_id", "product_name", "quantity", "price", "created_at"}
    assert admin("GET", "/orders").json()[0].keys() == order.keys()
    for thing in (made["user"], product, order, item):
        assert datetime.fromisoformat(thing["created_at"]).utcoffset() == timedelta(0)


def test_logging_in_by_name_or_email(nobody, registration, is_problem):
    body = registration()
    nobody("POST", "/auth/register", json=body)
    for who in ({"username": body["username"]}, {"email": body["email"].upper()}):
        answer = nobody("POST", "/auth/login", json={**who, "password": body["password"]})
        assert answer.json()["user"]["username"] == body["username"]
    assert is_problem(nobody("POST", "/auth/login", json={**body, "password": "wrong password"}), 401)


def test_the_token_of_a_deleted_user_is_not_valid(admin, user, is_problem):
    assert admin("DELETE", f"/users/{user.user_id}").status_code == 204
    assert is_problem(user("GET", "/auth/validate"), 401)
