"""Errors as clients see them: RFC 9457 problem documents that also carry ``error``, one short sentence.

Every service and the gateway answer errors through :func:`problem`; FastAPI services install :func:`add_handlers`, so
that routes just raise ``RefusedError``. No stack trace, SQL or host name ever gets into an answer. Not the faults'
answers: those are made by ``chaos``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cloudcart.exceptions import OutcomeUnknownError, RefusedError, StoreError, UpstreamUnavailableError
from cloudcart.services.every_route import every_route
from cloudcart.telemetry.context import current
from cloudcart.telemetry.routes import ROUTE

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, error: str, *, headers: Mapping[str, str] | None = None, **extra: object) -> Response:
    """Return the answer to a request that failed.

    Args:
        status: HTTP status.
        error: one sentence for the person who called; it is both ``detail`` (RFC 9457) and ``error``.
        headers: further headers, such as ``Retry-After``.
        extra: further members of the document, such as ``errors`` of a validation.
    """
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error,
        "error": error,
    }
    context = current.get()
    if context is not None:
        document["request_id"] = context.request_id
    return Response(json.dumps(document | extra), status, headers, MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Make ``app`` answer every error as a problem document."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(StoreError, _store_unavailable)
    app.add_exception_handler(UpstreamUnavailableError, _service_unavailable)
    app.add_exception_handler(OutcomeUnknownError, _outcome_unknown)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    headers = {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
    if "retry_after" in error.extra:
        headers["retry-after"] = str(error.extra["retry_after"])
    return problem(error.status, error.error, headers=headers, **error.extra)


async def _store_unavailable(_request: Request, _error: Exception) -> Response:
    return problem(503, "a data store is not available; try again shortly", headers={"retry-after": "1"})


async def _service_unavailable(_request: Request, _error: Exception) -> Response:
    return problem(
        503, "a service that this one needs is not available; try again shortly", headers={"retry-after": "1"}
    )


async def _outcome_unknown(_request: Request, _error: Exception) -> Response:
    return problem(504, "the service took too long; whether your request had its effect is not known, so look first")


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": _field(item["loc"]), "message": item["msg"], "type": item["type"]} for item in error.errors()]
    return problem(422, f"{errors[0]['field']}: {errors[0]['message']}", errors=errors)


def _field(location: tuple[int | str, ...]) -> str:
    """Return ``items.0.quantity`` for pydantic's ``("body", "items", 0, "quantity")``."""
    return ".".join(map(str, location[1:])) or str(location[0])


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that is too deeply nested to be read
        sentence = "cannot be read as JSON"
        return problem(
            422, f"body: {sentence}", errors=[{"field": "body", "message": sentence, "type": "json_invalid"}]
        )
    sentences = {404: "there is nothing at this address", 405: "this address does not support this method"}
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (allowed := _allowed(request)):
        headers = {"allow": allowed}
    return problem(error.status_code, sentences.get(error.status_code, error.detail), headers=headers)


def _allowed(request: Request) -> str:
    """Return the methods of all routes at this address; the router itself names those of the first one only."""
    here = request.scope.get(ROUTE)
    methods = {
        method for route in every_route(request.app.routes) if route.path == here for method in route.methods or ()
    }
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


async def _unexpected(_request: Request, _error: Exception) -> Response:
    return unexpected()


def unexpected() -> Response:
    """Return the answer to a request that failed in a way that nobody had foreseen: no details."""
    return problem(500, "something went wrong inside the shop; the request id leads to the log line")
