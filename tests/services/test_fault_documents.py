"""Ten thousand random fault documents against the control API: never a 500, never a fault that cannot be healed.

The documents come from the JSON Schemas of the catalogue, so most are nearly right; some fields are junk. They are sent
to the application itself, without sockets, and each fault that was accepted is changed at random and healed. All of it
follows from one seed: whatever fails is the same the next time.
"""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any, Final, NamedTuple

from cloudcart.faults.catalogue import catalogue
from cloudcart.services.chaos_control import create_app
from cloudcart.settings import Settings

DOCUMENTS: Final = 10_000
SEED: Final = 7
PARTS: Final = {"chaos.links": "on", "chaos.supervisor": "nowhere", "stores.redis": "redis://nowhere"}

SERVICES: Final = ["products", "orders:/orders/{order_id}", "products->postgres", "gateway->orders", "gateway->redis"]
OTHERS: Final = ["kafka:order.created", "kafka:nothing", "kafka", "redis", "chaos", "links", "", "->", "x:y", "né"]
TEXTS: Final = ["80ms", "5s", "0s", "1e3s", "-2h", "5%", "64KiB", "POST", "x-a=b", "=", "", "\x00", "\ud800", "1" * 400]
NUMBERS: Final = [0, 1, 0.5, 503, -1, 2**53, 10**400, 1e308, float("nan"), float("inf"), True, None]
NESTED: Final = [[], {}, [[["80ms"]]], {"kind": {"target": None}}, ["\x00"] * 3]
JUNK: Final[list[Any]] = [*SERVICES, *OTHERS, *TEXTS, *NUMBERS, *NESTED]

CATALOGUE: Final[list[Any]] = catalogue()
NAMES: Final = sorted({name for entry in CATALOGUE for name in entry["parameters"]["properties"]})


def value(lot: Random, schema: dict[str, Any]) -> object:
    """Return a value that a field's schema allows, as far as a schema says it, or now and then junk."""
    if lot.random() < 0.3:
        return lot.choice(JUNK)
    variants = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    schema = {**schema, **(variants[0] if variants else {})}
    if "enum" in schema:
        return lot.choice(schema["enum"])
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    if schema.get("type") == "integer":
        return lot.randint(least, min(schema.get("maximum", 1000), 1000))
    if schema.get("type") == "number":
        return lot.uniform(least, schema.get("maximum", least + 100))
    return lot.choice(schema.get("examples", TEXTS))


def random_document(lot: Random) -> dict[str, Any]:
    """Return the example of a kind with some fields more, and now and then another kind or target."""
    entry = lot.choice(CATALOGUE)
    fields = entry["parameters"]["properties"]
    document = {"kind": entry["kind"], **entry["contract"]["example"]}
    for name in lot.sample(sorted(fields), lot.randint(0, 3)):
        document[name] = value(lot, fields[name])
    if lot.random() < 0.3:
        document[lot.choice(["target", "target", "kind", "nothing"])] = lot.choice(JUNK)
    return document


def random_changes(lot: Random) -> dict[str, Any]:
    """Return a merge patch, mostly of fields that the fault has not."""
    return {lot.choice(NAMES): lot.choice(JUNK) for _ in range(lot.randint(0, 2))}


class Answer(NamedTuple):
    """What the control plane said."""

    status: int
    body: Any


class Plane:
    """The chaos service as an application in this process."""

    def __init__(self) -> None:
        self._app = create_app(Settings(lab=True, log_level="error").with_overrides(PARTS))

    async def ask(self, method: str, path: str, document: object = None, *, query: bytes = b"") -> Answer:
        """Send one request, as a process on this machine would."""
        body = b"" if document is None else json.dumps(document).encode()
        headers = [(b"host", b"127.0.0.1:8004"), (b"content-type", b"application/json")]
        headers.append((b"content-length", str(len(body)).encode()))
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query}
        scope |= {"headers": headers, "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8004), "scheme": "http"}
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app({**scope, "http_version": "1.1", "root_path": ""}, receive, send)
        return Answer(sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent)))

    async def try_out(self, document: object, changes: object) -> bool:
        """Inject, change and heal; return whether the document was accepted."""
        created = await self.ask("POST", "/chaos/faults", document)
        assert created.status in (201, 422), (document, created)
        if created.status == 422:
            assert created.body["errors"][0]["field"], (document, created)
            return False
        for fault in created.body if isinstance(created.body, list) else [created.body]:
            where = f"/chaos/faults/{fault['id']}"
            changed = await self.ask("PATCH", where, changes)
            assert changed.status in (200, 409, 422), (document, changes, changed)
            healed = await self.ask("DELETE", where)
            assert (healed.status, healed.body["state"]) in {(200, "healed"), (200, "expired")}, (document, healed)
        return True


def test_any_document_is_refused_with_its_field_or_can_be_healed() -> None:
    async def run() -> None:
        lot, plane, accepted = Random(SEED), Plane(), 0
        for number in range(DOCUMENTS):
            accepted += await plane.try_out(random_document(lot), random_changes(lot))
            if number % 10 == 0:
                await plane.try_out([random_document(lot) for _ in range(lot.randint(0, 3))], {})
            if number % 500 == 0:
                assert (await plane.ask("GET", "/chaos/faults", query=b"state=active")).body == []
        assert accepted > DOCUMENTS / 4, "most documents were so wrong that nothing was tried"

    asyncio.run(run())
