"""Errors as clients see them: problem documents, and nothing of what is inside."""

from __future__ import annotations

import asyncio
from typing import Annotated

import httpx
from fastapi import FastAPI
from pydantic import BaseModel, Field, SecretStr

from cloudcart.exceptions import OutcomeUnknownError, RefusedError, StoreError, TokenError
from cloudcart.services.problems import add_handlers, problem


class Form(BaseModel):
    quantity: Annotated[int, Field(ge=1)]
    password: Annotated[SecretStr, Field(min_length=8)] = SecretStr("long enough")


def application() -> FastAPI:
    app = FastAPI()
    add_handlers(app)
    failures = {
        "refused": RefusedError(409, "too late", order=7),
        "throttled": RefusedError(429, "slow down", retry_after=9),
        "token": TokenError("expired", "log in again"),
        "store": StoreError("password=secret host=db1 did not answer"),
        "unknown": OutcomeUnknownError("db1 went away"),
        "defect": ValueError("secret"),
    }

    @app.get("/fail/{how}")
    async def fail(how: str) -> None:
        raise failures[how]

    @app.post("/form")
    async def form(given: Form) -> None: ...

    return app


def answers(*requests: tuple[str, str, bytes]) -> list[httpx.Response]:
    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(application(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            json = {"content-type": "application/json"}
            return [await client.request(method, path, content=body, headers=json) for method, path, body in requests]

    return asyncio.run(main())


def test_each_failure_is_a_problem_document() -> None:
    expected = {"refused": 409, "throttled": 429, "token": 401, "store": 503, "unknown": 504, "defect": 500}
    for how, answer in zip(expected, answers(*(("GET", f"/fail/{how}", b"") for how in expected)), strict=True):
        document = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == document["status"] == expected[how]
        assert document["error"] == document["detail"]
        assert "secret" not in answer.text
        assert "db1" not in answer.text
        assert "Traceback" not in answer.text


def test_headers_and_extra_members() -> None:
    refused, throttled, token = answers(*(("GET", f"/fail/{how}", b"") for how in ("refused", "throttled", "token")))
    assert refused.json()["order"] == 7
    assert throttled.headers["retry-after"] == "9"
    assert token.headers["www-authenticate"] == "Bearer"


def test_validation_names_the_field_and_keeps_secrets() -> None:
    missing, low, no_json, short = answers(
        ("POST", "/form", b"{}"),
        ("POST", "/form", b'{"quantity": 0}'),
        ("POST", "/form", b"{"),
        ("POST", "/form", b'{"quantity": 1, "password": "tiny"}'),
    )
    assert missing.json()["error"] == "quantity: Field required"
    assert low.json()["errors"][0]["field"] == "quantity"
    assert no_json.status_code == 422
    assert "tiny" not in short.text


def test_unknown_routes_and_wrong_verbs() -> None:
    unknown, verb = answers(("GET", "/nowhere", b""), ("DELETE", "/form", b""))
    assert (unknown.status_code, verb.status_code) == (404, 405)
    assert verb.headers["allow"] == "POST"


def test_without_a_request_there_is_no_request_id() -> None:
    assert b"request_id" not in problem(404, "there is nothing here").body
