"""The gateway as its clients and the services behind it see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cloudcart.lab.valkey import Valkey

UNAVAILABLE = (503, {}, b"{}")


def run(work: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


def is_problem(response: Any, status: int) -> bool:
    document = response.json()
    return (
        response.status_code == document["status"] == status
        and response.headers["content-type"] == "application/problem+json"
        and bool(document["error"])
    )


# Routes and access


@pytest.mark.parametrize(
    ("method", "path", "service", "target"),
    [
        ("POST", "/api/auth/login", "users", "/auth/login"),
        ("GET", "/api/users/7", "users", "/users/7"),
        ("GET", "/api/products?search=a%20b", "products", "/products?search=a%20b"),
        ("PATCH", "/api/products/3/stock", "products", "/products/3/stock"),
        ("POST", "/api/orders", "orders", "/orders"),
        ("GET", "/api/orders/my-orders", "orders", "/orders/my-orders"),
        ("GET", "/api/notifications", "notifications", "/notifications"),
        ("POST", "/api/chaos/inject/latency", "chaos", "/chaos/inject/latency"),
    ],
)
def test_each_path_has_its_service(edge: Callable[..., Any], method: str, path: str, service: str, target: str) -> None:
    async def work() -> None:
        async with edge(lab=False) as it:
            body = b'{"a": 1}' if method in ("POST", "PATCH") else b""
            response = await it.client.request(method, path, content=body, headers=it.token(admin=True))
            assert (response.status_code, response.json()) == (200, {"fine": True})
            (asked,) = it.services[service].asked
            assert (asked.method, asked.target, asked.body) == (method, target, body)
            assert sum(len(other.asked) for other in it.services.values()) == 1

    run(work())


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/", "/api/nothing", "/internal/stock/take", "/api/internal/reset", "/api/products/"]
)
def test_what_is_not_on_the_table_reaches_nobody(edge: Callable[..., Any], path: str) -> None:
    async def work() -> None:
        async with edge(lab=False) as it:
            assert is_problem(await it.get(path, **it.token(admin=True), **it.service_token()), 404)
            assert not any(service.asked for service in it.services.values())

    run(work())


def test_a_wrong_verb_is_405_and_says_which_are_right(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            response = await it.client.put("/api/orders", headers=it.token())
            assert is_problem(response, 405)
            assert response.headers["allow"] == "GET, POST, HEAD, OPTIONS"

    run(work())


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [(None, "missing"), ("Basic abc", "malformed"), ("Bearer abc", "malformed"), ("Bearer ", "malformed")],
)
def test_without_a_good_token_it_is_401(edge: Callable[..., Any], authorization: str | None, reason: str) -> None:
    async def work() -> None:
        async with edge() as it:
            headers = {} if authorization is None else {"authorization": authorization}
            response = await it.get("/api/orders/my-orders", **headers)
            assert is_problem(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
            assert it.metric("jwt_validation_failures_total", reason=reason) == 1
            assert not it.services["orders"].asked
            assert (await it.get("/api/products", **headers)).status_code == 200

    run(work())


def test_chaos_is_for_administrators(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge(lab=False) as it:
            assert is_problem(await it.get("/api/chaos/faults"), 401)
            assert is_problem(await it.get("/api/chaos/faults", **it.token()), 403)
            assert not it.services["chaos"].asked
            assert (await it.get("/api/chaos/faults", **it.token(admin=True))).status_code == 200

    run(work())


# Headers


def test_services_see_who_asks_and_not_who_somebody_claims_to_be(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge(lab=False) as it:
            token = it.token()
            spoofed = {"x-user-id": "1", "x-service-token": "a", "x-cloudcart-request-key": "k", "x-forwarded-for": "b"}
            await it.get("/api/orders/my-orders", **token, **spoofed, **{"x-kept": "1"})
            (asked,) = it.services["orders"].asked
            assert asked.header("authorization") == token["authorization"]
            assert asked.header("x-kept") == "1"
            assert [asked.header(name) for name in spoofed] == [None] * len(spoofed)

    run(work())


def test_ids_travel_and_come_back(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
            headers = {"x-request-id": "mine-1", "traceparent": traceparent, "x-cloudcart-request-key": "buy/1/2"}
            response = await it.get("/api/products/1", **headers)
            assert response.headers["x-request-id"] == "mine-1"
            (asked,) = it.services["products"].asked
            assert {name: asked.header(name) for name in headers} == headers

    run(work())


def test_every_answer_has_security_headers_and_permission_for_listed_origins(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            for path in ("/api/products", "/api/orders/my-orders", "/nothing"):
                answer = await it.get(path, origin="http://localhost:3001")
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["access-control-allow-origin"] == "http://localhost:3001"
                stranger = await it.get(path, origin="http://evil.test")
                assert "access-control-allow-origin" not in stranger.headers

    run(work())


def test_preflight_needs_no_token_and_strangers_are_refused(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            ask = {"access-control-request-method": "POST", "origin": "http://localhost:3001"}
            allowed = await it.client.options("/api/orders", headers=ask)
            assert (allowed.status_code, allowed.headers["access-control-allow-methods"]) == (
                204,
                "GET, POST, HEAD, OPTIONS",
            )
            assert is_problem(
                await it.client.options("/api/orders", headers={**ask, "origin": "http://evil.test"}), 403
            )
            plain = await it.client.options("/api/orders")
            assert (plain.status_code, plain.headers["allow"]) == (204, "GET, POST, HEAD, OPTIONS")
            assert not it.services["orders"].asked

    run(work())


def test_head_is_get_without_its_body(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            response = await it.client.head("/api/products/1")
            assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "14")

    run(work())


def test_a_body_over_a_mebibyte_is_413(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            answers = [
                (await it.client.post("/api/orders", content=bytes(size), headers=it.token())).status_code
                for size in (1024 * 1024, 1024 * 1024 + 1)
            ]
            assert answers == [200, 413]

    run(work())


# Rate limit


@pytest.mark.parametrize("with_redis", [True, False])
def test_the_next_request_is_429_and_others_are_unharmed(
    edge: Callable[..., Any], valkey: Valkey, with_redis: bool
) -> None:
    async def work() -> None:
        switches = {"gateway.rate_limit_requests": 5, "gateway.rate_limit_window": "1h"}
        async with edge(switches, redis=valkey.url if with_redis else "") as it:
            await it.client.post("/internal/reset", headers=it.service_token())
            for _ in range(5):
                assert (await it.get("/api/orders/my-orders", **it.token(1))).status_code == 200
            refused = await it.get("/api/orders/my-orders", **it.token(1))
            assert is_problem(refused, 429)
            assert 0 < int(refused.headers["retry-after"]) <= 7200
            assert it.metric("rate_limit_exceeded_total") == 1
            assert (await it.get("/api/orders/my-orders", **it.token(2))).status_code == 200
            assert (await it.get("/api/products/1")).status_code == 200
            await it.client.post("/internal/reset", headers=it.service_token())
            assert (await it.get("/api/orders/my-orders", **it.token(1))).status_code == 200

    run(work())


def test_guesses_of_tokens_are_limited_by_address(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({"gateway.rate_limit_requests": 2, "gateway.rate_limit_window": "1h"}) as it:
            statuses = [(await it.get("/api/users", authorization=f"Bearer {n}")).status_code for n in range(3)]
            assert statuses == [401, 401, 429]

    run(work())


def test_without_redis_the_limit_goes_on_here_and_a_metric_says_so(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        switches = {"gateway.rate_limit_requests": 2, "gateway.rate_limit_window": "1h"}
        async with edge(switches, redis="unix:///nowhere/redis.sock") as it:
            statuses = [(await it.get("/api/products/1")).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]
            assert it.metric("redis_errors_total") >= 1
            assert it.metric("rate_limit_local") == 1

    run(work())


def test_with_redis_the_metric_says_that_the_limit_is_for_all(edge: Callable[..., Any], valkey: Valkey) -> None:
    async def work() -> None:
        async with edge(redis=valkey.url) as it:
            assert (await it.get("/api/products/1")).status_code == 200
            assert it.metric("rate_limit_local") == 0

    run(work())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/nowhere", 404), ("PUT", "/api/orders", 405), ("OPTIONS", "/api/orders", 204)],
)
def test_what_no_service_is_asked_for_is_limited_too(
    edge: Callable[..., Any], method: str, path: str, status: int
) -> None:
    async def work() -> None:
        async with edge({"gateway.rate_limit_requests": 2, "gateway.rate_limit_window": "1h"}) as it:
            assert [(await it.client.request(method, path)).status_code for _ in range(3)] == [status, status, 429]

    run(work())


def test_switched_off_nobody_is_refused(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({"gateway.rate_limit": "off", "gateway.rate_limit_requests": 1}) as it:
            assert [(await it.get("/api/products/1")).status_code for _ in range(3)] == [200] * 3

    run(work())


# Failing upstreams


def test_a_service_that_is_down_is_503_and_one_that_hangs_up_502(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({"gateway.retries": "off"}, down=("users",)) as it:
            down = await it.get("/api/users/7", **it.token())
            assert is_problem(down, 503)
            assert down.headers["retry-after"] == "1"
            it.services["orders"].answer = cut
            assert is_problem(await it.get("/api/orders/7", **it.token()), 502)
            assert it.metric("upstream_errors_total", upstream="users") == 1
            assert it.metric("upstream_errors_total", upstream="orders") == 1

    run(work())


async def cut(_asked: Any) -> None:
    return None


async def silent(_asked: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("path", "setting"),
    [("/api/orders/7/pay", "pay"), ("/api/auth/login", "password"), ("/api/auth/register", "password")],
)
def test_what_takes_longer_by_its_nature_has_a_time_of_its_own(
    edge: Callable[..., Any], path: str, setting: str
) -> None:
    async def work() -> None:
        async def slow(_asked: Any) -> Any:
            await asyncio.sleep(0.2)  # longer than all others have
            return 200, {}, b"{}"

        async def post(overrides: dict[str, object]) -> int:
            async with edge({"gateway.timeout": "50ms", **overrides}) as it:
                it.services["orders"].answer = it.services["users"].answer = slow
                return (await it.client.post(path, content=b"{}", headers=it.token())).status_code  # type: ignore[no-any-return]

        assert await post({f"gateway.timeout_{setting}": "1h"}) == 200
        assert await post({f"gateway.timeout_{setting}": "50ms"}) == 504

    run(work())


def test_a_service_that_is_slow_is_504(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({"gateway.timeout": "50ms"}) as it:
            it.services["orders"].answer = silent
            assert is_problem(await it.get("/api/orders/7", **it.token()), 504)
            assert len(it.services["orders"].asked) == 1  # a time-out is not repeated

    run(work())


def test_errors_of_a_service_pass_as_they_are(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async def conflict(_asked: Any) -> Any:
            return 409, {"content-type": "application/problem+json"}, b'{"error": "x"}'

        async with edge() as it:
            it.services["orders"].answer = conflict
            response = await it.client.post("/api/orders", content=b"{}", headers=it.token())
            assert (response.status_code, response.json()) == (409, {"error": "x"})

    run(work())


def failing(times: int, answer: Any = UNAVAILABLE) -> Any:
    left = [times]

    async def fail(_asked: Any) -> Any:
        left[0] -= 1
        return answer if left[0] >= 0 else (200, {}, b"{}")

    return fail


@pytest.mark.parametrize("answer", [UNAVAILABLE, (500, {}, b""), None], ids=["503", "500", "cut"])
def test_an_idempotent_request_is_repeated_with_its_attempt_in_the_key(edge: Callable[..., Any], answer: Any) -> None:
    async def work() -> None:
        async with edge() as it:
            it.services["orders"].answer = failing(2, answer)
            headers = it.token() | {"x-cloudcart-request-key": "look/1/1"}
            assert (await it.get("/api/orders/7", **headers)).status_code == 200
            keys = [asked.header("x-cloudcart-request-key") for asked in it.services["orders"].asked]
            assert keys == ["look/1/1", "look/1/1/r1", "look/1/1/r2"]
            assert it.metric("upstream_retries_total", upstream="orders") == 2

    run(work())


@pytest.mark.parametrize(
    ("method", "overrides", "answer"),
    [
        ("POST", {}, UNAVAILABLE),
        ("GET", {"gateway.retries": "off"}, UNAVAILABLE),
        ("GET", {}, (503, {"retry-after": "3"}, b"")),
    ],
    ids=["not idempotent", "switched off", "the service says when"],
)
def test_other_requests_are_not_repeated(
    edge: Callable[..., Any], method: str, overrides: dict[str, object], answer: Any
) -> None:
    async def work() -> None:
        async with edge(overrides) as it:
            it.services["orders"].answer = failing(1, answer)
            assert (await it.client.request(method, "/api/orders", headers=it.token(admin=True))).status_code == 503
            assert len(it.services["orders"].asked) == 1

    run(work())


def test_the_retry_budget_holds(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        switches = {"gateway.circuit_breaker": "off", "gateway.rate_limit": "off", "gateway.retry_budget": 0.2}
        async with edge(switches) as it:
            it.services["orders"].answer = failing(10_000)
            for _ in range(10):
                await asyncio.gather(*(it.get("/api/orders/7", **it.token()) for _ in range(10)))
            assert len(it.services["orders"].asked) <= 120
            assert 10 <= it.metric("upstream_retries_total", upstream="orders") <= 20

    run(work())


def test_a_breaker_opens_tries_once_and_closes(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        switches = {"gateway.breaker_failures": 3, "gateway.breaker_reset": "100ms", "gateway.retries": "off"}
        async with edge(switches) as it:
            orders = it.services["orders"]
            orders.answer = failing(4)
            state = lambda: it.metric("circuit_breaker_state", upstream="orders")  # noqa: E731
            for _ in range(3):
                await it.get("/api/orders/7", **it.token())
            assert state() == 2
            assert is_problem(await it.get("/api/orders/7", **it.token()), 503)
            assert len(orders.asked) == 3
            assert (await it.get("/api/products/1")).status_code == 200  # each service has its own
            await until(lambda: state() == 1)
            await it.get("/api/orders/7", **it.token())
            assert (len(orders.asked), state()) == (4, 2)
            await until(lambda: state() == 1)
            assert (await it.get("/api/orders/7", **it.token())).status_code == 200
            assert state() == 0

    run(work())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is a metric, or what a server has seen
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("bulkhead", ["on", "off"])
def test_a_slow_service_takes_the_others_down_only_without_bulkheads(edge: Callable[..., Any], bulkhead: str) -> None:
    async def work() -> None:
        sizes = {"gateway.bulkhead_size": 3, "gateway.bulkhead_wait": "50ms", "gateway.connections": 3}
        async with edge({"gateway.bulkhead": bulkhead, "gateway.timeouts": "off", **sizes}) as it:
            go_on = asyncio.Event()

            async def slow(_asked: Any) -> Any:
                await go_on.wait()
                return 200, {}, b"{}"

            it.services["orders"].answer = slow
            waiting = [asyncio.create_task(it.get("/api/orders/7", **it.token())) for _ in range(3)]
            await until(lambda: len(it.services["orders"].asked) == 3)
            other = asyncio.create_task(it.get("/api/products/1"))
            if bulkhead == "on":
                assert (await other).status_code == 200
                assert is_problem(await it.get("/api/orders/7", **it.token()), 503)
            else:
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not it.services["products"].asked
            go_on.set()
            assert [(await task).status_code for task in waiting] == [200] * 3
            assert (await other).status_code == 200

    run(work())


# Product lists


def test_a_list_is_remembered_for_everybody_and_a_change_ends_that(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({"gateway.cache_ttl": "1h"}) as it:
            products = it.services["products"]
            for headers in ({}, it.token(), it.token(admin=True)):
                assert (await it.get("/api/products?limit=2", **headers)).status_code == 200
            (asked,) = products.asked
            assert asked.header("authorization") is None
            assert (it.metric("cache_hits_total"), it.metric("cache_misses_total")) == (2, 1)
            await it.get("/api/products")
            await it.get("/api/products/1")
            await it.get("/api/products/1")
            assert len(products.asked) == 4
            await it.client.patch("/api/products/1/stock", json={"stock": 3}, headers=it.token(admin=True))
            await it.get("/api/products?limit=2")
            assert len(products.asked) == 6

    run(work())


@pytest.mark.parametrize("failure", [cut, failing(1000)], ids=["cut", "503"])
def test_the_last_list_is_served_while_products_is_down(edge: Callable[..., Any], failure: Any) -> None:
    async def work() -> None:
        async with edge({"gateway.cache_ttl": "0s"}) as it:
            assert (await it.get("/api/products")).status_code == 200
            it.services["products"].answer = failure
            stale = await it.get("/api/products")
            assert (stale.status_code, stale.json()) == (200, {"fine": True})
            assert "age" in stale.headers
            assert it.metric("cache_stale_total") == 1
            assert (await it.get("/api/products?limit=1")).status_code in (502, 503)

    run(work())


def test_without_the_cache_a_list_is_as_good_as_its_service(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({"gateway.cache": "off"}) as it:
            for _ in range(2):
                assert (await it.get("/api/products")).status_code == 200
            it.services["products"].answer = failing(1000)
            assert (await it.get("/api/products")).status_code == 503
            assert len(it.services["products"].asked) > 3

    run(work())


def test_a_request_with_a_fault_of_its_own_is_not_answered_from_memory(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge({"gateway.cache_ttl": "1h"}) as it:
            for _ in range(2):
                await it.get("/api/products", **{"x-cloudcart-inject": "latency;fixed=1ms;target=products"})
            assert len(it.services["products"].asked) == 2
            assert it.services["products"].asked[0].header("x-cloudcart-inject")

    run(work())


# Faults, reset, metrics


def test_marks_of_services_and_of_the_gateway_reach_the_client(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async def marked(_asked: Any) -> Any:
            return 200, {"x-cloudcart-fault": "deep"}, b"{}"

        async with edge() as it:
            it.services["orders"].answer = marked
            inject = {"x-cloudcart-inject": "latency;fixed=1ms;target=gateway"}
            marks = (await it.get("/api/orders/7", **it.token(), **inject)).headers["x-cloudcart-fault"].split(",")
            assert "deep" in marks
            assert len(marks) == 2

    run(work())


def test_a_service_may_know_a_fault_longer_than_the_gateway(edge: Callable[..., Any]) -> None:
    """Each follows the control plane by itself; a hit in between is a hit, and its client must be told."""

    async def work() -> None:
        async def marked(_asked: Any) -> Any:
            return 500, {"x-cloudcart-fault": "deep"}, b"{}"

        async with edge({"gateway.retries": "off"}) as it:
            it.services["orders"].answer = marked
            answer = await it.get("/api/orders/7", **it.token())
            assert answer.headers.get_list("x-cloudcart-fault") == ["deep"]
            assert "x-cloudcart-fault" not in (await it.get("/api/products")).headers

    run(work())


def test_reset_needs_a_service_token_and_a_lab(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            assert (await it.client.post("/internal/reset")).status_code == 401
            assert (await it.client.post("/internal/reset", headers=it.token(admin=True))).status_code == 401
            assert (await it.client.get("/internal/reset", headers=it.service_token())).status_code == 405
            assert (await it.client.post("/internal/reset", headers=it.service_token())).status_code == 204
        async with edge(lab=False) as it:
            assert (await it.client.post("/internal/reset", headers=it.service_token())).status_code == 404

    run(work())


def test_reset_closes_breakers_and_empties_the_cache(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        switches = {"gateway.breaker_failures": 1, "gateway.breaker_reset": "1h", "gateway.cache_ttl": "1h"}
        async with edge(switches) as it:
            await it.get("/api/products")
            it.services["orders"].answer = failing(1)
            await it.get("/api/orders/7", **it.token())
            assert (await it.get("/api/orders/7", **it.token())).status_code == 503
            await it.client.post("/internal/reset", headers=it.service_token())
            assert (await it.get("/api/orders/7", **it.token())).status_code == 200
            await it.get("/api/products")
            assert len(it.services["products"].asked) == 2

    run(work())


def test_metrics_name_routes_and_never_paths(edge: Callable[..., Any]) -> None:
    async def work() -> None:
        async with edge() as it:
            await it.get("/api/products/4711")
            await it.get("/api/nothing/4711")
            text = (await it.get("/metrics")).text
            assert "4711" not in text
            assert it.metric(
                "http_requests_total", service="gateway", method="GET", route="/api/products/{id}", status="200"
            ) == 1  # fmt: skip
            assert it.metric(
                "http_requests_total", service="gateway", method="GET", route="unmatched", status="404"
            ) == 1  # fmt: skip
            for name in ("rate_limit_exceeded_total", "upstream_request_duration_seconds_bucket", "cache_hits_total"):
                assert name in text
            assert (await it.get("/health")).json()["status"] == "ok"
            assert (await it.get("/ready")).json()["status"] == "ready"

    run(work())
