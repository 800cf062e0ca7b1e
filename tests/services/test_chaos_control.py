"""The control plane over HTTP: what it takes, what it refuses, who may use it, and what becomes of a fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcart.faults import FAULTS, MAX_TTL
from cloudcart.services.chaos_control import create_app
from cloudcart.services.security import Principal, ServiceTokens, TokenSigner
from cloudcart.settings import Auth, Settings

KEY = Ed25519PrivateKey.generate()
AUTH = Auth.model_validate(
    {
        "private_key": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "public_key": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "service_secret": "a secret of more than thirty-two characters",
    }
)
LAB = Settings(lab=True, auth=AUTH, log_level="warning")
LATENCY = {"kind": "latency", "target": "products", "fixed": "80ms"}


@asynccontextmanager
async def plane(
    configuration: Settings = LAB, *, client: str = "127.0.0.1", server: str = "127.0.0.1", **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A control plane, and a client that speaks to it as a process on ``client`` would."""
    transport = httpx.ASGITransport(create_app(configuration), client=(client, 50000))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{server}:8004", headers=headers) as http:
        yield http


def with_plane(test: Callable[[httpx.AsyncClient], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with plane(**options) as http:
            await test(http)

    asyncio.run(run())


async def poll(http: httpx.AsyncClient, **question: Any) -> Any:
    answer = await http.post("/internal/chaos/poll", json={"service": "products", "boot": "one", **question})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("kind", ["pause", "kill"])
def test_a_lab_without_a_supervisor_says_that_it_cannot_pause_or_kill(kind: str) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        answer = await http.post("/chaos/faults", json={"kind": kind, "target": "products"})
        assert answer.status_code == 422
        assert "needs services that the lab itself has started" in answer.json()["error"]

    with_plane(test)


def test_the_life_of_a_fault() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        created = await http.post("/chaos/faults", json={**LATENCY, "ttl": "30s"})
        fault = created.json()
        assert (created.status_code, fault["state"], fault["label"]) == (201, "active", "+80ms on products")
        assert created.headers["location"] == f"/chaos/faults/{fault['id']}"
        assert (fault["probability"], fault["ttl"], fault["seed"]) == (1.0, "30s", 0)
        assert fault["warning"] == "no process of products is connected now; the fault acts as soon as one is"
        assert (await http.get(f"/chaos/faults/{fault['id']}")).json() == fault
        assert [entry["id"] for entry in (await http.get("/chaos/faults")).json()] == [fault["id"]]
        for _ in range(2):
            healed = await http.delete(f"/chaos/faults/{fault['id']}")
            assert (healed.status_code, healed.json()["state"], healed.json()["reason"]) == (200, "healed", "healed")
        assert (await http.get("/chaos/faults", params={"state": "active"})).json() == []

    with_plane(test)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({**LATENCY, "target": "prodcuts"}, "target"),
        ({**LATENCY, "target": "products->mongodb"}, "target"),
        ({**LATENCY, "probability": 2}, "probability"),
        ({**LATENCY, "ttl": 0}, "ttl"),
        ({**LATENCY, "ttl": MAX_TTL + 1}, "ttl"),
        ({**LATENCY, "kind": "earthquake"}, "kind"),
        ({**LATENCY, "fixd": "1s"}, "fixd"),
        ({}, "kind"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_field_named(document: dict[str, Any], field: str) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        answer = await http.post("/chaos/faults", json=document)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"] == field
        assert answer.json()["error"].startswith(f"{field}: ")

    with_plane(test)


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b"", b"null", b"[" * 5000, b'{"kind": "\\ud800"}', b'{"a": NaN}'])
def test_a_body_that_is_no_document(body: bytes) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        answer = await http.post("/chaos/faults", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)

    with_plane(test)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLAUSIBLE = st.sampled_from(
    ["80ms", "5s", "1h", "0s", "5%", 0, 1, 0.5, 3, 503, 404, True, "POST", "x-a=b", "inbound", "outbound"]
)
TARGETS = st.sampled_from(["products", "gateway:/api/products", "orders->products", "kafka:order.created", "x", ""])
FIELDS = st.sampled_from(sorted({name for kind in FAULTS.values() for name in kind.model_fields} - {"target"}))
DOCUMENTS = st.fixed_dictionaries(
    {"kind": st.sampled_from([*FAULTS, "nothing"]), "target": TARGETS | JSON},
    optional={"fixed": st.just("80ms"), "status": st.integers(400, 599), "ttl": st.sampled_from(["1s", "60s", 1e-9])},
)


async def inject_and_heal(http: httpx.AsyncClient, document: dict[str, Any], changes: dict[str, Any]) -> None:
    kind = {"content-type": "application/json"}
    answer = await http.post("/chaos/faults", content=json.dumps(document), headers=kind)
    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 422:
        assert answer.json()["errors"][0]["field"]
        return
    where = answer.headers["location"]
    patch = await http.patch(where, content=json.dumps(changes), headers=kind)
    assert patch.status_code in (200, 409, 422), patch.text
    assert (await http.delete(where)).json()["state"] in ("healed", "expired")
    assert (await http.get("/chaos/faults", params={"state": "active"})).json() == []


def test_any_document_is_refused_or_can_be_healed() -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        http = runner.run(stack.enter_async_context(plane()))

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(DOCUMENTS, st.dictionaries(FIELDS, PLAUSIBLE | JSON, max_size=3), st.dictionaries(FIELDS, PLAUSIBLE))
        def check(document: dict[str, Any], more: dict[str, Any], changes: dict[str, Any]) -> None:
            runner.run(inject_and_heal(http, {**document, **more}, changes))

        check()
        runner.run(stack.aclose())


def test_a_list_is_injected_as_a_whole_or_not_at_all() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        error = {"kind": "error", "target": "orders"}
        refused = await http.post("/chaos/faults", json=[LATENCY, {**error, "status": 200}])
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "faults[1].status")
        assert (await http.get("/chaos/faults")).json() == []
        created = await http.post("/chaos/faults", json=[LATENCY, LATENCY, error])
        assert created.status_code == 201
        told = await poll(http)
        assert [fault["id"] for fault in told["faults"]] == [fault["id"] for fault in created.json()]
        assert [fault["ordinal"] for fault in told["faults"]] == [0, 1, 0], "two alike draw apart"
        assert told["version"] == 1, "no service ever sees a part of them"
        too_many = await http.post("/chaos/faults", json=[LATENCY] * 498)
        assert (too_many.status_code, len((await poll(http))["faults"])) == (409, 3)
        assert (await http.post("/chaos/faults", json=[])).status_code == 422

    with_plane(test, configuration=quick_poll())


def test_a_configuration_is_taken_over_as_a_whole_or_not_at_all() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        kept = (await http.post("/chaos/faults", json=LATENCY)).json()["id"]
        wrong = {"enabled": True, "error_rate": 0.5, "faults": [{"kind": "error", "target": "nobody"}]}
        refused = await http.put("/chaos/config", json=wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "faults[0].target")
        config = (await http.get("/chaos/config")).json()
        assert (config["enabled"], config["error_rate"], [f["id"] for f in config["faults"]]) == (False, 0.1, [kept])

    with_plane(test)


def test_reset_heals_everything_and_puts_the_knobs_back() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        await http.put("/chaos/config", json={"enabled": True, "error_rate": 0.5})
        await http.post("/chaos/faults", json=LATENCY)
        config = (await http.post("/chaos/reset")).json()
        assert (config["enabled"], config["error_rate"], config["faults"]) == (False, 0.1, [])

    with_plane(test)


def test_a_change_is_admitted_like_an_injection() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        where = (await http.post("/chaos/faults", json={"kind": "redis_flush", "target": "redis"})).headers["location"]
        for wrong in ({"every": "0s"}, {"method": "GET"}):
            assert (await http.patch(where, json=wrong)).status_code == 422
        assert (await http.patch(where, json={"every": "5s"})).json()["every"] == "5s"

    with_plane(test, configuration=LAB.with_overrides({"stores.redis": "redis://nowhere"}))


def test_a_change_is_a_merge_patch() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        where = (await http.post("/chaos/faults", json={**LATENCY, "first": 5})).headers["location"]
        changed = (await http.patch(where, json={"probability": "50%", "first": None, "ttl": "2m"})).json()
        assert (changed["probability"], changed["ttl"], "first" in changed) == (0.5, "120s", False)
        for wrong, field in (({"kind": "error"}, "kind"), ({"target": "orders"}, "target"), ({"first": 0}, "first")):
            answer = await http.patch(where, json=wrong)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
        await http.delete(where)
        assert (await http.patch(where, json={"probability": 0.1})).status_code == 409

    with_plane(test)


def test_an_unknown_fault_is_404() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        for method in ("GET", "DELETE"):
            assert (await http.request(method, "/chaos/faults/none")).status_code == 404
        assert (await http.patch("/chaos/faults/none", json={})).status_code == 404

    with_plane(test)


def test_a_route_that_no_replica_has_is_refused_with_the_one_that_was_meant() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        await poll(http, routes=["/products", "/products/{id}"])
        for route, wanted in (("/products/7", "did you mean /products/{id}?"), ("/produtcs", "did you mean /products")):
            answer = await http.post("/chaos/faults", json={**LATENCY, "target": f"products:{route}"})
            assert answer.status_code == 422
            assert wanted in answer.json()["error"]
        accepted = ("/products/{product_id}", "/products", "/health")
        created = [await http.post("/chaos/faults", json={**LATENCY, "target": f"products:{r}"}) for r in accepted]
        assert [answer.status_code for answer in created] == [201] * 3

    with_plane(test, configuration=quick_poll())


def test_what_is_connected() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        assert (await http.get("/chaos/targets")).json() == []
        await poll(http, routes=["/products"])
        await poll(http, replica=1)
        assert (await http.get("/chaos/targets")).json() == [
            {"service": "products", "replica": 0, "routes": ["/products"]},
            {"service": "products", "replica": 1, "routes": []},
        ]

    with_plane(test, configuration=quick_poll())


def quick_poll() -> Settings:
    """Settings with which a poll returns at once and nobody counts as live for long."""
    return LAB.with_overrides({"chaos.poll": "1ms"})


def test_a_poll_acknowledges_and_reports_and_returns_when_something_changes() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        first = await poll(http)
        assert (first["faults"], first["lease"]) == ([], 5.0)
        known = {"epoch": first["epoch"], "version": first["version"]}
        held = asyncio.create_task(poll(http, **known))
        injecting = asyncio.create_task(http.post("/chaos/faults", json=LATENCY))
        news = await asyncio.wait_for(held, 5)
        (fault,) = news["faults"]
        assert fault["document"]["fixed"] == "80ms"
        assert 59 < fault["ttl_left"] <= 60
        assert not injecting.done(), "nobody has acknowledged it"
        known = {"epoch": news["epoch"], "version": news["version"]}
        following = asyncio.create_task(poll(http, **known, counts={fault["id"]: [10, 3]}))
        created = (await asyncio.wait_for(injecting, 5)).json()
        assert (created["acknowledged"], created["waiting_for"]) == (["products/0"], [])
        looking = asyncio.create_task(http.get(f"/chaos/faults/{fault['id']}"))
        assert (await asyncio.wait_for(following, 5))["faults"] is None, "a look asks for fresh counts"
        following = asyncio.create_task(poll(http, **known, counts={fault["id"]: [12, 4]}))
        assert (await looking).json()["injected"] == 4
        healing = asyncio.create_task(http.delete(f"/chaos/faults/{fault['id']}"))
        news = await asyncio.wait_for(following, 5)
        assert news["faults"] == []
        last = poll(http, epoch=news["epoch"], version=news["version"], counts={fault["id"]: [20, 7]})
        waiting = asyncio.create_task(last)
        assert (await asyncio.wait_for(healing, 5)).json()["injected"] == 7, "healing waits for the final counts"
        waiting.cancel()

    with_plane(test)


def test_a_target_that_does_not_answer_holds_nobody_up_for_long() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        held = asyncio.create_task(poll(http))
        await asyncio.wait_for(held, 5)
        created = await asyncio.wait_for(http.post("/chaos/faults", json=LATENCY), 2)
        assert created.json()["waiting_for"] == ["products/0"]
        await asyncio.wait_for(http.delete("/chaos/faults"), 3)

    with_plane(test)


def test_counts_that_come_after_the_heal_are_waited_for_and_told_as_final() -> None:
    """A heal returns in time also when a service is busy; what it says is marked until that service has spoken."""

    async def test(http: httpx.AsyncClient) -> None:
        created = asyncio.create_task(http.post("/chaos/faults", json=LATENCY))
        fault_id = (await created).json()["id"]
        first = await poll(http)
        healing = asyncio.create_task(http.delete(f"/chaos/faults/{fault_id}"))
        known = {"epoch": first["epoch"], "version": first["version"]}
        news = await asyncio.wait_for(poll(http, **known, counts={fault_id: [9, 4]}), 5)
        healed = (await healing).json()
        assert (healed["state"], healed["injected"], healed["settled"]) == ("healed", 4, False)
        known = {"epoch": news["epoch"], "version": news["version"]}
        late = asyncio.create_task(poll(http, **known, counts={fault_id: [10, 5]}))
        async with asyncio.timeout(5):
            while not (shown := (await http.get(f"/chaos/faults/{fault_id}")).json())["settled"]:
                continue
        assert shown["injected"] == 5
        late.cancel()

    with_plane(test)


def test_a_process_that_is_silent_for_longer_than_a_poll_is_waited_for_unless_it_was_replaced() -> None:
    """Not to answer in time is what busy processes do; dead ones are followed by others."""

    async def test(http: httpx.AsyncClient) -> None:
        first = await poll(http)
        fault_id = (await http.post("/chaos/faults", json=LATENCY)).json()["id"]
        await asyncio.sleep(1.1)  # beyond the silence after which it does not count as connected
        assert (await http.delete(f"/chaos/faults/{fault_id}")).json()["settled"] is False
        newest = await poll(http, boot="two")
        assert (await http.get(f"/chaos/faults/{fault_id}")).json()["settled"] is False, "the new one has it still"
        held = asyncio.create_task(poll(http, boot="two", epoch=first["epoch"], version=newest["version"]))
        async with asyncio.timeout(5):
            while not (await http.get(f"/chaos/faults/{fault_id}")).json()["settled"]:
                continue
        held.cancel()

    with_plane(test, configuration=quick_poll())


def test_counts_of_a_process_that_was_restarted_are_added() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        fault_id = (await http.post("/chaos/faults", json=LATENCY)).json()["id"]
        for boot, counts in (("one", [5, 4]), ("one", [3, 2]), ("two", [2, 1]), ("two", [2, 2])):
            await poll(http, boot=boot, counts={fault_id: counts, "unknown": [1, 1]})
        shown = (await http.get(f"/chaos/faults/{fault_id}")).json()
        assert (shown["drawn"], shown["injected"]) == (7, 6)

    with_plane(test, configuration=quick_poll())


def test_a_fault_expires_by_itself() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        where = (await http.post("/chaos/faults", json={**LATENCY, "ttl": "20ms"})).headers["location"]
        async with asyncio.timeout(5):
            while (await http.get(where)).json()["state"] == "active":  # noqa: ASYNC110 - it is asked from outside
                await asyncio.sleep(0.005)
        shown = (await http.get(where)).json()
        assert (shown["state"], shown["reason"]) == ("expired", "ttl")
        assert (await http.delete(where)).json()["state"] == "expired", "healing comes too late and changes nothing"

    with_plane(test)


def test_two_faults_alike_get_different_ordinals_so_that_they_draw_apart() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        for _ in range(3):
            await http.post("/chaos/faults", json=LATENCY)
        assert [fault["ordinal"] for fault in (await poll(http))["faults"]] == [0, 1, 2]

    with_plane(test, configuration=quick_poll())


# The simple API


def test_the_master_switch() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        config = (await http.get("/chaos/config")).json()
        shares = (config["error_rate"], config["latency_rate"], config["timeout_rate"])
        assert (config["enabled"], config["faults"], shares) == (False, [], (0.1, 0.25, 0.05))
        enabled = (await http.post("/chaos/enable")).json()
        assert {f["kind"]: (f["target"], f["probability"]) for f in enabled["faults"]} == {
            "latency": ("gateway", 0.25),
            "error": ("gateway", 0.1),
            "timeout": ("gateway", 0.05),
        }
        await http.post("/chaos/faults", json=LATENCY)
        disabled = (await http.post("/chaos/disable")).json()
        assert (disabled["enabled"], disabled["faults"]) == (False, [])
        assert {f["reason"] for f in (await http.get("/chaos/faults")).json()} == {"disabled"}

    with_plane(test)


def test_what_was_healed_or_reset_is_not_enabled_any_more() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        await http.put("/chaos/config", json={"enabled": True, "error_rate": 0.5})
        await http.delete("/chaos/faults")
        assert (await http.get("/chaos/config")).json()["enabled"] is False
        assert (await http.post("/internal/reset")).status_code == 204
        assert (await http.get("/chaos/config")).json()["error_rate"] == 0.1

    with_plane(test)


def test_turning_the_knobs() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        change = {"enabled": True, "error_rate": "20%", "timeout_rate": 0, "latency_min_ms": 50, "latency_max_ms": 60}
        config = (await http.put("/chaos/config", json=change)).json()
        assert {f["kind"]: f["probability"] for f in config["faults"]} == {"latency": 0.25, "error": 0.2}
        again = await http.put("/chaos/config", json={k: v for k, v in config.items() if k != "faults"})
        assert [f["id"] for f in again.json()["faults"]] == [f["id"] for f in config["faults"]], "nothing has changed"
        for wrong in ({"error_rate": 2}, {"latency_min_ms": 99}, {"nonsense": 1}, {"ttl": 0}, {"faults": [{}]}):
            answer = await http.put("/chaos/config", json=wrong)
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["field"]
        assert (await http.put("/chaos/config", json={"enabled": False})).json()["faults"] == []

    with_plane(test)


def test_the_faults_of_the_configuration_are_the_whole_set() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        kept = (await http.post("/chaos/faults", json=LATENCY)).json()
        await http.post("/chaos/faults", json=LATENCY)
        faults = [kept, {"kind": "error", "target": "orders"}]
        config = (await http.put("/chaos/config", json={"faults": faults})).json()
        assert [f["label"] for f in config["faults"]] == ["+80ms on products", "503 on orders"]
        assert config["faults"][0]["id"] == kept["id"]

    with_plane(test)


def test_the_short_forms() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        latency = await http.post("/chaos/inject/latency", json={"min_ms": 100, "max_ms": 200, "target": "orders"})
        assert (latency.status_code, latency.json()["target"], latency.json()["min"]) == (201, "orders", "100ms")
        error = await http.post("/chaos/inject/error", json={"error_code": 502, "ttl": "5s", "probability": 1})
        assert (error.status_code, error.json()["target"], error.json()["status"]) == (201, "gateway", 502)
        one, same = [(await http.post("/chaos/inject/random", json={"seed": 4})).json() for _ in range(2)]
        assert (one["kind"], one["label"], one["seed"]) == (same["kind"], same["label"], 4)
        assert (await http.post("/chaos/inject/random")).status_code == 201
        for path, wrong, field in (
            ("latency", {"min_ms": 2, "max_ms": 1}, "body"),
            ("latency", {"min_ms": 2}, "max_ms"),
            ("error", {"error_code": 200}, "error_code"),
            ("error", {"error_code": 500, "target": "x"}, "target"),
            ("random", {"seed": -1}, "seed"),
        ):
            answer = await http.post(f"/chaos/inject/{path}", json=wrong)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)

    with_plane(test)


@given(st.integers(0, 2**40))
@settings(max_examples=60)
def test_a_random_fault_is_always_a_good_one(seed: int) -> None:
    from cloudcart.faults import parse_fault
    from cloudcart.services.chaos_control.legacy import random_document

    fault = parse_fault(random_document(seed))
    assert fault.probability <= 0.5
    assert parse_fault(random_document(seed)) == fault


def test_the_self_tests() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        assert (await http.get("/chaos/test/slow", params={"ms": 5})).json() == {"slept_ms": 5}
        assert (await http.get("/chaos/test/error", params={"status": 503})).status_code == 503
        held = [(await http.get("/chaos/test/memory-leak", params={"mb": 64})).json()["held_mb"] for _ in range(6)]
        assert held == [64, 128, 192, 256, 256, 256], "there is a limit"
        assert (await http.get("/chaos/test/slow", params={"ms": 1e9})).status_code == 422

    with_plane(test)


def test_the_catalogue() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        entries = (await http.get("/chaos/catalogue")).json()
        assert [entry["kind"] for entry in entries] == sorted(FAULTS)
        assert all({"acts_on", "parameters", "needs", "contract"} <= entry.keys() for entry in entries)

    with_plane(test)


# Who may


def status(
    configuration: Settings = LAB, *, client: str = "127.0.0.1", server: str = "127.0.0.1", **headers: str
) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found: list[int] = []

    async def test(http: httpx.AsyncClient) -> None:
        found.append((await http.post("/chaos/faults", json=LATENCY, headers=named)).status_code)

    with_plane(test, configuration=configuration, client=client, server=server)
    return found[0]


def bearer(*, admin: bool) -> str:
    return "Bearer " + TokenSigner(AUTH).issue(Principal(7, "somebody", is_admin=admin))


NOT_A_LAB = Settings(lab=False, auth=AUTH, log_level="warning")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 201),
        ({"host": "localhost:8004"}, 201),
        ({"host": "[::1]:8004"}, 201),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"origin": "http://localhost:3001"}, 201),
        ({"origin": "http://127.0.0.1:8004"}, 201),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"x_forwarded_for": "10.0.0.9"}, 401),
        ({"via": "1.1 gateway"}, 401),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_plain_request_on_a_lab_of_this_machine(headers: dict[str, str], expected: int) -> None:
    assert status(**headers) == expected


def test_everywhere_else_a_plain_request_is_refused() -> None:
    assert status(NOT_A_LAB) == 401
    assert status(client="10.0.0.9") == 401
    assert status(server="10.0.0.1") == 401


@pytest.mark.parametrize("configuration", [LAB, NOT_A_LAB])
def test_tokens(configuration: Settings) -> None:
    remote = {"client": "10.0.0.9", "server": "10.0.0.1"}
    service_token = ServiceTokens(AUTH, "orders").header()[1].decode()
    assert status(configuration, **remote, x_service_token=service_token) == 201
    assert status(configuration, **remote, authorization=bearer(admin=True)) == 201
    assert status(configuration, **remote, authorization=bearer(admin=False)) == 403
    assert status(configuration, **remote, authorization="Bearer nonsense") == 401
    assert status(configuration, x_service_token="nonsense") == 401, "also on a lab of this machine"
    assert status(configuration, authorization=bearer(admin=False)) == 403


def test_a_page_of_the_cors_list_may_ask_first() -> None:
    async def test(http: httpx.AsyncClient) -> None:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        good = await http.options("/chaos/faults", headers={"origin": "http://localhost:3001", **asked})
        bad = await http.options("/chaos/faults", headers={"origin": "http://evil.example", **asked})
        assert good.headers["access-control-allow-origin"] == "http://localhost:3001"
        assert "access-control-allow-origin" not in bad.headers

    with_plane(test)
