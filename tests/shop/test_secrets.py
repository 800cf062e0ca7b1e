"""No password, key or token in what the shop writes down: logs, metrics, events, and answers to bad requests."""

from __future__ import annotations

import secrets

import httpx
import pytest

from cloudcart.lab import Lab


@pytest.fixture(scope="module")
def used(lab: Lab, nobody, registration) -> dict[str, str]:
    """Secrets that the shop has seen in this test, in good and bad requests; by what they are."""
    auth = lab.settings.auth
    body = {**registration(), "password": f"pass-{secrets.token_hex(8)}"}
    token = nobody("POST", "/auth/register", json=body).json()["token"]
    wrong, short, misplaced = (f"{what}-{secrets.token_hex(8)}" for what in ("wrong", "short", "misplaced"))
    for login in lab.logins.values():
        nobody("POST", "/auth/login", json=login._asdict())
    nobody("POST", "/auth/login", json={"username": "admin", "password": wrong})
    nobody("POST", "/auth/register", json={**body, "password": short, "email": "no address"})
    nobody("POST", "/auth/register", json={**body, "password": {"is": misplaced}})
    nobody("POST", "/auth/register", content=f'{{"password": "{misplaced}"'.encode())
    nobody("GET", "/users", headers={"authorization": f"Bearer {wrong}"})
    nobody("GET", "/users", headers={"authorization": f"Bearer {token}"})
    nobody("GET", "/users", headers={"x-service-token": lab.service_token()})
    private = auth.private_key.get_secret_value().splitlines()[1]
    return {
        "the password of a new user": body["password"],
        "their token": token,
        "a token's signature": token.rsplit(".", 1)[1],
        "a wrong password or token": wrong,
        "a password of a refused registration": short,
        "a password of the wrong shape": misplaced,
        "the administrator's password": auth.admin_password.get_secret_value(),
        "the demo user's password": auth.demo_password.get_secret_value(),
        "the private key": private,
        "the services' secret": auth.service_secret.get_secret_value(),
        "the administrator's token": lab.token("admin"),
    }


def test_not_in_the_logs(lab, used):
    logs = {path.name: path.read_text(errors="replace") for path in (lab.directory / "logs").iterdir()}
    assert {"gateway.log", "users.log", "postgres.log"} <= logs.keys()
    assert not [(what, name) for name, text in logs.items() for what, secret in used.items() if secret in text]


def test_not_in_the_metrics(lab, used):
    pages = {name: httpx.get(f"{url}/metrics", trust_env=False).text for name, url in lab.service_urls.items()}
    assert not [(what, name) for name, text in pages.items() for what, secret in used.items() if secret in text]


def test_not_in_the_events(lab, nobody, registration):
    with lab.tap_events() as tap:
        body = registration()
        token = nobody("POST", "/auth/register", json=body).json()["token"]
        (event,) = tap.wait_for("user.created")
    text = event.model_dump_json()
    assert body["password"] not in text
    assert token not in text
    assert "$2b$" not in text


@pytest.mark.parametrize(
    "body",
    [
        {"username": "x", "email": "y", "password": "tell-nobody"},
        {"username": "somebody", "email": "a@b.cd", "password": ["tell-nobody"]},
        {"username": "admin", "email": "a@b.cd", "password": "tell-nobody"},
        {"username": "admin", "password": "tell-nobody"},
    ],
)
@pytest.mark.parametrize("path", ["/auth/register", "/auth/login"])
def test_not_in_an_answer(nobody, path, body):
    answer = nobody("POST", path, json=body)
    assert answer.status_code in (401, 409, 422)
    assert "tell-nobody" not in answer.text


def test_a_user_has_no_hash(admin, user):
    for answer in (admin("GET", "/users"), user("GET", f"/users/{user.user_id}"), user("GET", "/auth/validate")):
        assert "hash" not in answer.text
        assert "$2b$" not in answer.text
