"""The user service: registration, log-in, tokens, rights, the lab's internal routes."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import Any

import psycopg
import pytest

from cloudcart.exceptions import RefusedError
from cloudcart.services.users import throttle as throttle_module
from cloudcart.services.users.passwords import Passwords
from cloudcart.services.users.throttle import LoginThrottle
from cloudcart.stores.database import conninfo
from cloudcart.stores.redis import Redis
from cloudcart.telemetry.metrics import Telemetry

NEW = {"username": "carla", "email": "Carla@example.org", "password": "long enough", "full_name": "Carla C."}


def test_register_log_in_validate(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("users") as shop:
            answer = await shop.users.post("/auth/register", json=NEW)
            assert answer.status_code == 201
            user = answer.json()["user"]
            assert user.keys() == {"id", "username", "email", "full_name", "is_admin", "created_at", "updated_at"}
            assert user["is_admin"] is False
            for identity in ({"username": "carla"}, {"email": "CARLA@example.org"}):
                answer = await shop.users.post("/auth/login", json={**identity, "password": NEW["password"]})
                assert answer.status_code == 200
            bearer = {"authorization": f"Bearer {answer.json()['token']}"}
            answer = await shop.users.get("/auth/validate", headers=bearer)
            assert answer.json() == {"valid": True, "user": user}
            assert (await shop.users.get("/auth/validate")).status_code == 401
            keys = (await shop.users.get("/auth/jwks")).json()["keys"]
            assert keys[0]["crv"] == "Ed25519"
            assert await shop.metric("users", "user_registrations_total") == 1
            assert await shop.metric("users", "user_logins_total", success="true") == 2

    asyncio.run(main())


CUT_WAITING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = %s
"""

REFUSED = [
    ({"username": "admin"}, 409, "user name"),
    ({"email": "ADMIN@cloudcart.example"}, 409, "email"),
    ({"email": "not an address"}, 422, "email"),
    ({"username": "a b"}, 422, "username"),
    ({"username": "ab\x00cd"}, 422, "username"),
    ({"password": "short"}, 422, "password"),
    ({"password": "ä" * 40}, 422, "password"),
    ({"full_name": "a\x00b"}, 422, "full_name"),
]


def test_registration_refuses(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("users") as shop:
            for change, status, named in REFUSED:
                answer = await shop.users.post("/auth/register", json={**NEW, **change})
                assert answer.status_code == status, change
                assert named in answer.json()["error"]
                assert answer.headers["content-type"] == "application/problem+json"
                assert NEW["password"] not in answer.text
            bold = await shop.users.post("/auth/register", json={**NEW, "is_admin": True})
            assert bold.json()["user"]["is_admin"] is False  # nobody makes himself an administrator

    asyncio.run(main())


def test_rights(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("users") as shop:
            admin, demo = shop.bearer(1, admin=True), shop.bearer(2)
            assert (await shop.users.get("/users", headers=demo)).status_code == 403
            listed = await shop.users.get("/users?limit=1", headers=admin)
            assert [user["username"] for user in listed.json()] == ["admin"]
            assert listed.headers["x-total-count"] == "2"
            assert listed.headers["link"] == '<?limit=1&offset=1>; rel="next", <?limit=1&offset=1>; rel="last"'
            assert (await shop.users.get("/users/1", headers=demo)).status_code == 403
            assert (await shop.users.get("/users/2", headers=demo)).json()["username"] == "demo"
            changed = await shop.users.put("/users/2", headers=demo, json={"full_name": "D. Emo", "is_admin": True})
            assert (changed.json()["full_name"], changed.json()["is_admin"]) == ("D. Emo", False)
            taken = await shop.users.put("/users/2", headers=demo, json={"email": "admin@cloudcart.example"})
            assert taken.status_code == 409
            made = await shop.users.post("/users", headers=admin, json={**NEW, "is_admin": True})
            assert made.json()["is_admin"] is True
            assert (await shop.users.delete(f"/users/{made.json()['id']}", headers=demo)).status_code == 403
            assert (await shop.users.delete(f"/users/{made.json()['id']}", headers=admin)).status_code == 204
            assert (await shop.users.delete(f"/users/{made.json()['id']}", headers=admin)).status_code == 404
            assert (await shop.users.delete("/users/1", headers=admin)).status_code == 409

    asyncio.run(main())


def test_of_two_who_take_an_email_at_the_same_time_one_is_refused(
    start_shop: Any, postgres: Any, admin_sql: Any, eventually: Any
) -> None:
    async def main() -> None:
        async with start_shop("users") as shop:
            with psycopg.connect(conninfo(postgres.url())) as other:  # commits with the block
                other.execute("UPDATE users.users SET email = 'one@b.example' WHERE id = 1")
                form = {"email": "ONE@b.example"}
                change = asyncio.create_task(shop.users.put("/users/2", headers=shop.bearer(2), json=form))

                async def waits() -> bool:
                    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'users'"
                    return admin_sql.execute(waiting).fetchone() is not None

                await eventually(waits)
            answer = await change
            assert (answer.status_code, answer.json()["error"]) == (409, "this email is taken; choose another one")

    asyncio.run(main())


def test_unknown_user_and_wrong_password_are_the_same(start_shop: Any) -> None:
    async def main() -> None:
        # enough rounds that hashing dominates what is measured
        async with start_shop("users", overrides={"auth.bcrypt_rounds": 9}) as shop:

            async def attempt(name: str) -> tuple[int, str, float]:
                begun = time.perf_counter()
                answer = await shop.users.post("/auth/login", json={"username": name, "password": "wrong"})
                return answer.status_code, answer.json()["error"], time.perf_counter() - begun

            known = [await attempt("demo") for _ in range(5)]
            unknown = [await attempt("nobody") for _ in range(5)]
            assert {each[:2] for each in known} == {each[:2] for each in unknown}
            fastest = min(each[2] for each in known), min(each[2] for each in unknown)
            assert max(fastest) < 2 * min(fastest), fastest

    asyncio.run(main())


def test_the_first_unknown_user_costs_one_hash_as_any_other() -> None:
    async def main() -> None:
        telemetry = Telemetry("test")
        passwords = Passwords(4, telemetry)
        try:
            assert not await passwords.matches("wrong", None)
            assert b"password_hashing_duration_seconds_count 1.0" in telemetry.exposition()
        finally:
            await passwords.close()

    asyncio.run(main())


def test_a_seeded_password_is_hashed_once_and_not_kept() -> None:
    async def main() -> None:
        passwords = Passwords(4, Telemetry("test"))
        try:
            first = await passwords.hash_once("demo", "a secret")
            assert await passwords.hash_once("demo", "a secret") == first
            assert await passwords.matches("a secret", first)
            assert "a secret" not in repr(vars(passwords))
        finally:
            await passwords.close()

    asyncio.run(main())


def test_a_deletion_whose_connection_breaks_may_have_happened(
    start_shop: Any, postgres: Any, admin_sql: Any, eventually: Any
) -> None:
    async def main() -> None:
        async with start_shop("users") as shop:
            with psycopg.connect(conninfo(postgres.url())) as other:
                other.execute("UPDATE users.users SET full_name = 'X' WHERE id = 2")
                deletion = asyncio.create_task(shop.users.delete("/users/2", headers=shop.admin))

                async def cut() -> bool:
                    return admin_sql.execute(CUT_WAITING, ("users",)).fetchone() is not None

                await eventually(cut)
                answer = await deletion
            assert answer.status_code == 504
            assert "is not known" in answer.json()["error"]

    asyncio.run(main())


@pytest.mark.parametrize("redis_away", [False, True])
def test_guessing_is_throttled(start_shop: Any, redis_away: bool) -> None:
    async def main() -> None:
        overrides: dict[str, object] = {"users.login_attempts": 3}
        if redis_away:
            overrides["stores.redis"] = "unix:///nowhere/redis.sock"
        async with start_shop("users", overrides=overrides) as shop:
            await shop.users.post("/internal/reset", headers=shop.internal)
            guess = {"username": "demo", "password": "wrong"}
            statuses = [(await shop.users.post("/auth/login", json=guess)).status_code for _ in range(3)]
            assert statuses == [401] * 3
            right = await shop.users.post("/auth/login", json={"username": "demo", "password": "demo-password"})
            assert right.status_code == 429
            assert 1 <= int(right.headers["retry-after"]) <= 60
            other = await shop.users.post("/auth/login", json={"username": "admin", "password": "admin-password"})
            assert other.status_code == 200

    asyncio.run(main())


def test_a_flood_of_names_does_not_reset_the_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle_module, "_REMEMBERED", 100)

    async def main() -> None:
        redis = Redis("unix:///nowhere/redis.sock", Telemetry("test"))
        throttle = LoginThrottle(redis, 3)
        for _ in range(3):
            await throttle.failed("demo")
        for number in range(1000):
            await throttle.check(f"name {number}")
            if number % 20 == 0:
                await throttle.failed(f"name {number}")
        with pytest.raises(RefusedError, match="too many failed"):
            await throttle.check("demo")
        await redis.close()

    asyncio.run(main())


def test_internal_routes(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("users") as shop:
            assert (await shop.users.post("/internal/reset")).status_code == 401
            wanted = {"count": 100, "prefix": "load"}
            prepared = await shop.users.post("/internal/prepare-users", headers=shop.internal, json=wanted)
            users = prepared.json()
            assert len({user["user_id"] for user in users}) == 100
            bearer = {"authorization": f"Bearer {users[0]['token']}"}
            assert (await shop.users.get("/auth/validate", headers=bearer)).json()["user"]["username"] == "load-1"
            again = await shop.users.post("/internal/prepare-users", headers=shop.internal, json=wanted)
            assert [user["user_id"] for user in again.json()] == [user["user_id"] for user in users]
            assert (await shop.users.post("/internal/reset", headers=shop.internal)).status_code == 204
            assert (await shop.users.get("/auth/validate", headers=bearer)).status_code == 401
            login = {"username": "admin", "password": "admin-password"}
            assert (await shop.users.post("/auth/login", json=login)).json()["user"]["id"] == 1

    asyncio.run(main())


def test_no_reset_outside_a_lab(start_shop: Any) -> None:
    async def main() -> None:
        async with start_shop("users", overrides={"lab": False}) as shop:
            for path in ("/internal/reset", "/internal/prepare-users"):
                assert (await shop.users.post(path, headers=shop.internal)).status_code == 404

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a niceness of its own on Linux only")
def test_hashing_gives_way_to_requests() -> None:
    async def main() -> None:
        passwords = Passwords(4, Telemetry("test"))
        try:
            hashing = await passwords._in_thread(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            assert hashing > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        finally:
            await passwords.close()

    asyncio.run(main())
