"""The full fault model over HTTP: ``/chaos/faults``, ``/chaos/catalogue``, and the poll of the services.

Thin: each route is one call of the ledger. The older, simple API is in ``legacy``.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from pydantic import Field
from starlette.responses import Response

from cloudcart.faults.catalogue import catalogue
from cloudcart.services.chaos_control.access import Access
from cloudcart.services.chaos_control.entry import Injected
from cloudcart.services.chaos_control.ledger import MOST_ACTIVE, Ledger
from cloudcart.services.chaos_control.pollers import Question
from cloudcart.settings import Settings

Document = Annotated[dict[str, Any], Body(description="a flat fault document; GET /chaos/catalogue has them all")]


Documents = Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_ACTIVE)]


class Answer(Response):
    """JSON in ASCII: whatever text a document carried, it can be sent."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the body."""
        return json.dumps(content).encode()


def ledger_of(request: Request) -> Ledger:
    """FastAPI dependency: the application's ledger."""
    ledger: Ledger = request.app.state.ledger
    return ledger


TheLedger = Annotated[Ledger, Depends(ledger_of)]


def routers(access: Access, settings: Settings) -> list[APIRouter]:
    """Return the routes, behind ``access``; ``settings`` are what the shop says of itself."""
    return [_faults(access), _internal(access, settings)]


def _faults(access: Access) -> APIRouter:
    router = APIRouter(prefix="/chaos", dependencies=[Depends(access)], tags=["faults"])

    @router.post("/faults", status_code=201)
    async def inject(document: Document | Documents, ledger: TheLedger) -> Response:
        """Make a fault active, or all of a list or none; it acts when the answer comes, or half a second is over."""
        if isinstance(document, list):
            return Answer([ledger.show(entry) for entry in await ledger.inject_all(document)], 201)
        entry = await ledger.inject(document)
        return Answer(ledger.show(entry), 201, {"location": f"/chaos/faults/{entry.id}"})

    @router.get("/faults")
    async def list_faults(ledger: TheLedger, state: str | None = None) -> Response:
        """Every fault that is remembered, also ended ones; ``?state=active`` for what is active."""
        return Answer([ledger.show(entry) for entry in ledger.all() if state in (None, entry.state)])

    @router.delete("/faults")
    async def heal_all(ledger: TheLedger) -> Response:
        """End everything; the answer shows what was active, with final counts."""
        return _shown(ledger, await ledger.heal_all())

    @router.get("/faults/{fault_id}")
    async def look(fault_id: str, ledger: TheLedger) -> Response:
        """One fault, with counts that are at most a moment old."""
        return Answer(ledger.show(await ledger.look(fault_id)))

    @router.patch("/faults/{fault_id}")
    async def change(fault_id: str, changes: Document, ledger: TheLedger) -> Response:
        """Change some fields of an active fault (JSON merge patch, RFC 7396)."""
        return Answer(ledger.show(await ledger.change(fault_id, changes)))

    @router.delete("/faults/{fault_id}")
    async def heal(fault_id: str, ledger: TheLedger) -> Response:
        """End one fault; the answer has its final counts. Doing it twice is the same as once."""
        return Answer(ledger.show(await ledger.heal(fault_id)))

    @router.get("/catalogue")
    async def show_catalogue() -> Response:
        """Every kind of fault with its parameters as JSON Schema."""
        return Answer(catalogue())

    @router.get("/targets")
    async def targets(ledger: TheLedger) -> Response:
        """Every process that is connected now, with the routes that a fault may name."""
        live = sorted(ledger.connected(), key=lambda poller: poller.name)
        return Answer([{"service": p.service, "replica": p.replica, "routes": p.routes} for p in live])

    return router


def _internal(access: Access, settings: Settings) -> APIRouter:
    router = APIRouter(prefix="/internal", dependencies=[Depends(access)], include_in_schema=False)

    @router.post("/chaos/poll")
    async def poll(question: Question, ledger: TheLedger) -> Response:
        return Answer(await ledger.poll(question))

    @router.get("/lab")
    async def facts() -> Response:
        """Whether this is a lab, and how it is set, by dotted name; no addresses and no secrets."""
        return Answer(settings.switches())

    return router


def _shown(ledger: Ledger, entries: list[Injected]) -> Response:
    return Answer([ledger.show(entry) for entry in entries])
