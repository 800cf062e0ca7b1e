"""What a service says of its HTTP API, made true: problem documents instead of FastAPI's errors, and who may call.

FastAPI derives paths, parameters and bodies from the routes; :func:`describe` adds what it cannot know. The gateway
puts the services' documents together (``gateway.schema``). Not here: the routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from cloudcart.services.every_route import every_route
from cloudcart.services.lists import EXACT
from cloudcart.services.problems import MEDIA_TYPE
from cloudcart.services.security import SERVICE_HEADER, current_user, require_admin, require_service

Document = dict[str, Any]

_METHODS: Final = ("get", "put", "post", "delete", "patch")
_OF_FASTAPI: Final = ("HTTPValidationError", "ValidationError")
_USER: Final[list[Document]] = [{"user": []}]
_SERVICE: Final[list[Document]] = [{"service": []}]
_SCHEMES: Final[Document] = {
    "user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "service": {"type": "apiKey", "in": "header", "name": SERVICE_HEADER},
}
_TEXT: Final = {"type": "string"}
PROBLEM: Final[Document] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "error"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "error": {**_TEXT, "description": "one sentence for the person who called; the same as detail"},
        "request_id": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": _TEXT, "message": _TEXT, "type": _TEXT},
            },
        },
    },
}
"""JSON Schema of a problem document."""

_SENTENCES: Final = {
    "401": "No token, or one that cannot be accepted",
    "403": "The token is good and does not give this right",
    "404": "There is no such thing, or it is somebody else's",
    "413": "The body is larger than a mebibyte",
    "422": "The request cannot be understood; the field is named",
    "429": "Too many requests; Retry-After says how long to wait",
    "default": "Any other refusal or failure",
}


_OF_PAGES: Final[Document] = {
    "X-Total-Count": {
        "description": f"entries in all; exact up to {EXACT:,}, beyond that what it was a moment ago",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Link": {"description": "the pages beside this one: first, prev, next, last (RFC 8288)", "schema": _TEXT},
}


def refusal(status: str) -> Document:
    """Return the OpenAPI response of a problem with this status."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _SENTENCES[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def describe(app: FastAPI, *, open_to: Iterable[Callable[..., Any]] = ()) -> None:
    """Make ``app`` answer ``/openapi.json`` with the whole truth.

    Args:
        app: its routers are included when the document is asked for.
        open_to: dependencies that take a user's token, a service's, or none, depending on where the caller is.
    """
    either = list(open_to)

    def document() -> Document:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version="1", routes=app.routes)
            _complete(made, {key: _security(calls, either) for key, calls in _dependencies(app)})
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _complete(document: Document, security: dict[tuple[str, str], list[Document]]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM
    components["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _complete_operation(path, operations[method], security.get((path, method), []))


def _complete_operation(path: str, operation: Document, security: list[Document]) -> None:
    statuses = ["default"]
    if any(parameter["name"] == "offset" for parameter in operation.get("parameters", ())):
        operation["responses"]["200"]["headers"] = _OF_PAGES
    if security:
        operation["security"] = security
        statuses += ["401", "403"]
    if "{" in path:
        statuses.append("404")
    if "requestBody" in operation:
        statuses.append("413")
    if "422" in operation["responses"] or "requestBody" in operation:
        statuses.append("422")
    operation["responses"].update({status: refusal(status) for status in statuses})


def _security(calls: set[Any], either: list[Callable[..., Any]]) -> list[Document]:
    if current_user in calls or require_admin in calls:
        return _USER
    if require_service in calls:
        return _SERVICE
    return [{}, *_USER, *_SERVICE] if any(call in calls for call in either) else []


def _dependencies(app: FastAPI) -> Iterator[tuple[tuple[str, str], set[Any]]]:
    """Yield path and method of each route with all it depends on."""
    for route in every_route(app.routes):
        dependant = getattr(route, "dependant", None)
        if dependant is not None:
            calls = set(_calls(dependant))
            for method in route.methods:
                yield (route.path, method.lower()), calls


def _calls(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)
