"""``GET /api/openapi.json``: what the shop offers through its gateway, put together from what the services say.

A path is in the document when the gateway lets it through (``routes``), with what the gateway adds: the rate limit, and
its own 502, 503 and 504 (``default``). Asked of the services once and then kept.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from cloudcart.exceptions import UpstreamError
from cloudcart.services.gateway.headers import SECURITY_HEADERS
from cloudcart.services.gateway.routes import ANYBODY, ENDPOINTS
from cloudcart.services.http_client import HttpClient
from cloudcart.services.openapi import Document, refusal
from cloudcart.services.problems import problem
from cloudcart.telemetry.routes import Routes

PATH: Final = "/api/openapi.json"
_HEADERS: Final = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
_ALLOWED: Final = {"allow": "GET, HEAD, OPTIONS"}
_TIMEOUT: Final = 5.0


class Schema:
    """The ASGI application of the document.

    Args:
        services: base address of each service behind the gateway.
        client: asks them.
    """

    def __init__(self, services: Mapping[str, str], client: HttpClient) -> None:
        self._services = services
        self._client = client
        self._document: Document | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await (await self._answer(scope["method"]))(scope, receive, send)

    async def _answer(self, method: str) -> Response:
        if method == "OPTIONS":
            return Response(status_code=204, headers={**_HEADERS, **_ALLOWED})
        if method != "GET":
            return problem(405, "this address is only read", headers={**_HEADERS, **_ALLOWED})
        try:
            self._document = self._document or await self._ask()
        except (UpstreamError, ValueError):
            return problem(
                503, "a service does not answer; try again shortly", headers={**_HEADERS, "retry-after": "1"}
            )
        return JSONResponse(self._document, headers=_HEADERS)

    async def _ask(self) -> Document:
        answers = await asyncio.gather(
            *(self._client.request("GET", base, "/openapi.json", timeout=_TIMEOUT) for base in self._services.values())
        )
        documents = [json.loads(answer.body) for answer in answers]
        return merged(dict(zip(self._services, documents, strict=True)))


def merged(documents: Mapping[str, Document]) -> Document:
    """Return the gateway's document, made from those of the services by name."""
    schemas: Document = {}
    paths: Document = {}
    schemes: Document = {}
    for service, document in documents.items():
        document = _without_conflicts(service, document, schemas)
        schemas.update(document["components"]["schemas"])
        schemes |= document["components"]["securitySchemes"]
        paths |= _let_through(document["paths"])
    schemes.pop("service", None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "CloudCart", "version": "1"},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": schemes},
    }


def _let_through(paths: Document) -> Document:
    """Return the operations that the gateway forwards, by the path that its clients use."""
    routes = Routes(list(ENDPOINTS))
    found: Document = {}
    for path, operations in paths.items():
        endpoint = ENDPOINTS.get(routes.resolve(f"/api{path}"))
        for method, access in endpoint.methods.items() if endpoint else ():
            if method.lower() in operations:
                operation = operations[method.lower()]
                found.setdefault(f"/api{path}", {})[method.lower()] = _at_the_gateway(operation, access is ANYBODY)
    return found


def _at_the_gateway(operation: Document, public: bool) -> Document:
    more = {"429": refusal("429")} if public else {status: refusal(status) for status in ("401", "403", "429")}
    return {**operation, "security": [] if public else [{"user": []}], "responses": {**operation["responses"], **more}}


def _without_conflicts(service: str, document: Document, taken: Mapping[str, Any]) -> Document:
    """Return a document whose schemas are named otherwise where another service has another one of the name."""
    text = json.dumps(document)
    for name, schema in document["components"]["schemas"].items():
        if name in taken and taken[name] != schema:
            text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{service}.{name}"')
            text = text.replace(f'"{name}": {{', f'"{service}.{name}": {{', 1)
    return dict(json.loads(text))
