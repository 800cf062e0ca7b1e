"""The simple chaos API: a master switch, three knobs that act on the gateway, short forms of two faults, self-tests.

Everything it injects is an ordinary fault of the ledger, seen and healed like any other.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.responses import Response

from cloudcart.exceptions import FaultError
from cloudcart.faults import MAX_TTL
from cloudcart.services.answers import WHOLE
from cloudcart.services.chaos_control.access import Access
from cloudcart.services.chaos_control.api import Answer, TheLedger
from cloudcart.services.chaos_control.entry import Injected
from cloudcart.services.chaos_control.ledger import Ledger
from cloudcart.services.problems import problem
from cloudcart.units import Duration, Share, format_duration

_ON: Final = "gateway"
_RANDOM_TARGETS: Final = ("gateway", "users", "products", "orders", "notifications")
_MAX_LEAK: Final = 256  # mebibytes held by the self-test in all

Milliseconds = Annotated[float, Field(ge=0, le=300_000, strict=True)]


class Strict(BaseModel):
    """A body whose unknown fields are refused, since a misspelt knob would do nothing."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Knobs(Strict):
    """The simple knobs: shares of the gateway's requests. They act for ``ttl`` seconds from when they are enabled."""

    error_rate: Share = 0.10
    latency_rate: Share = 0.25
    latency_min_ms: Milliseconds = 100
    latency_max_ms: Milliseconds = 1000
    timeout_rate: Share = 0.05
    ttl: Duration = Field(600.0, gt=0, le=MAX_TTL)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.latency_min_ms > self.latency_max_ms:
            raise ValueError("latency_min_ms is greater than latency_max_ms")
        return self

    def documents(self) -> list[dict[str, object]]:
        """Return the faults that the knobs stand for; a share of zero is none."""
        ttl = format_duration(self.ttl)
        latency = {"min": self.latency_min_ms / 1000, "max": self.latency_max_ms / 1000}
        wanted: list[tuple[float, dict[str, object]]] = [
            (self.latency_rate, {"kind": "latency", **latency}),
            (self.error_rate, {"kind": "error", "status": 503}),
            (self.timeout_rate, {"kind": "timeout"}),
        ]
        return [{**document, "target": _ON, "probability": share, "ttl": ttl} for share, document in wanted if share]


class ConfigChange(Strict):
    """What PUT takes: the fields of GET, each optional. ``faults`` is the whole set that shall be active."""

    enabled: Annotated[bool, Field(strict=True)] | None = None
    faults: list[dict[str, Any]] | None = Field(None, max_length=500)
    error_rate: Share | None = None
    latency_rate: Share | None = None
    latency_min_ms: Milliseconds | None = None
    latency_max_ms: Milliseconds | None = None
    timeout_rate: Share | None = None
    ttl: Duration | None = Field(None, gt=0, le=MAX_TTL)


class LatencyForm(Strict):
    """Short form of a uniform latency."""

    min_ms: Milliseconds
    max_ms: Milliseconds
    probability: Share = 0.25
    target: str = _ON
    ttl: Duration = Field(60.0, gt=0, le=MAX_TTL)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_ms > self.max_ms:
            raise ValueError("min_ms is greater than max_ms")
        return self


class ErrorForm(Strict):
    """Short form of an error."""

    error_code: Annotated[int, Field(ge=400, le=599), WHOLE] = 503
    probability: Share = 0.10
    target: str = _ON
    ttl: Duration = Field(60.0, gt=0, le=MAX_TTL)


class RandomForm(Strict):
    """A fault chosen by lot; the same seed chooses the same."""

    seed: Annotated[int, Field(ge=0), WHOLE] | None = None


class Switch:
    """The master switch and the knobs behind it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._mine: list[str] = []
        self._on = False
        self.knobs = Knobs()

    @property
    def enabled(self) -> bool:
        """Whether the knobs act: switched on, and neither healed nor expired since."""
        active = {entry.id for entry in self._ledger.active()}
        return self._on and (not self.knobs.documents() or not active.isdisjoint(self._mine))

    async def enable(self) -> None:
        """Let the knobs act, for their time to live from now on."""
        await self._withdraw()
        self._on = True
        self._mine = [entry.id for entry in await self._ledger.inject_all(self.knobs.documents())]

    async def reset(self) -> None:
        """End everything and put the knobs back to where they are at the start."""
        self.knobs = Knobs()
        await self.disable("reset")

    async def disable(self, reason: str = "disabled") -> None:
        """End everything at once, not only the knobs."""
        self._on = False
        self._mine.clear()
        await self._ledger.heal_all(reason)

    async def change(self, change: ConfigChange) -> None:
        """Take over what is given; raises as :meth:`Ledger.inject` does for its faults."""
        fields = change.model_dump(exclude_none=True, exclude={"enabled", "faults"})
        try:
            knobs = Knobs.model_validate({**dict(self.knobs), **fields})
        except ValidationError:
            raise FaultError("latency_min_ms: must not be greater than latency_max_ms") from None
        new = [document for document in change.faults or () if "id" not in document]
        await self._ledger.check_all(new)  # so that all of it is done, or nothing
        was_enabled, turned = self.enabled, knobs != self.knobs
        self.knobs = knobs
        if change.enabled is False:
            await self.disable()
        elif (change.enabled and not was_enabled) or (was_enabled and turned):
            await self.enable()
        if change.faults is not None:
            await self._replace({document.get("id") for document in change.faults}, new)

    def show(self) -> dict[str, object]:
        """Return the configuration with the faults that are active."""
        active = [self._ledger.show(entry) for entry in self._ledger.active()]
        knobs = {**dict(self.knobs), "ttl": format_duration(self.knobs.ttl)}
        return {"enabled": self.enabled, "faults": active, **knobs}

    async def _replace(self, kept: set[object], new: list[dict[str, Any]]) -> None:
        keep = kept | set(self._mine)
        for entry in list(self._ledger.active()):
            if entry.id not in keep:
                await self._ledger.heal(entry.id)
        await self._ledger.inject_all(new)

    async def _withdraw(self) -> None:
        mine, self._mine = self._mine, []
        for fault_id in mine:
            await self._ledger.heal(fault_id)


def switch_of(request: Request) -> Switch:
    """FastAPI dependency: the application's switch."""
    switch: Switch = request.app.state.switch
    return switch


TheSwitch = Annotated[Switch, Depends(switch_of)]


def routers(access: Access) -> list[APIRouter]:
    """Return the routes, behind ``access``."""
    return [_config(access), _short_forms(access), _self_tests(access), _reset(access)]


def _config(access: Access) -> APIRouter:
    router = APIRouter(prefix="/chaos", dependencies=[Depends(access)], tags=["simple"])

    @router.get("/config")
    async def config(switch: TheSwitch) -> Response:
        """The switch, the knobs and what is active."""
        return Answer(switch.show())

    @router.put("/config")
    async def change_config(change: ConfigChange, switch: TheSwitch) -> Response:
        """Turn knobs; fields that are not given stay as they are."""
        await switch.change(change)
        return Answer(switch.show())

    @router.post("/enable")
    async def enable(switch: TheSwitch) -> Response:
        """Let the simple knobs act on the gateway."""
        await switch.enable()
        return Answer(switch.show())

    @router.post("/disable")
    async def disable(switch: TheSwitch) -> Response:
        """Heal everything at once."""
        await switch.disable()
        return Answer(switch.show())

    @router.post("/reset")
    async def reset(switch: TheSwitch) -> Response:
        """Heal everything, and put the knobs back to where they are at the start."""
        await switch.reset()
        return Answer(switch.show())

    return router


def _short_forms(access: Access) -> APIRouter:
    router = APIRouter(prefix="/chaos/inject", dependencies=[Depends(access)], tags=["simple"])

    @router.post("/latency", status_code=201)
    async def latency(form: LatencyForm, ledger: TheLedger) -> Response:
        """A uniform latency, on the gateway unless said otherwise."""
        delays = {"min": form.min_ms / 1000, "max": form.max_ms / 1000}
        shared = {"target": form.target, "probability": form.probability, "ttl": form.ttl}
        return _created(ledger, await ledger.inject({"kind": "latency", **delays, **shared}))

    @router.post("/error", status_code=201)
    async def error(form: ErrorForm, ledger: TheLedger) -> Response:
        """An HTTP error, on the gateway unless said otherwise."""
        shared = {"target": form.target, "probability": form.probability, "ttl": form.ttl}
        return _created(ledger, await ledger.inject({"kind": "error", "status": form.error_code, **shared}))

    @router.post("/random", status_code=201)
    async def random_fault(ledger: TheLedger, form: Annotated[RandomForm | None, Body()] = None) -> Response:
        """A moderate fault chosen by lot; the answer names its seed."""
        seed = form.seed if form is not None and form.seed is not None else secrets.randbits(32)
        return _created(ledger, await ledger.inject(random_document(seed)))

    return router


def random_document(seed: int) -> dict[str, object]:
    """Return a fault that a shop survives; the same for the same seed."""
    lot = random.Random(seed)
    kind = lot.choice(("latency", "error", "timeout"))
    document: dict[str, object] = {"kind": kind, "target": lot.choice(_RANDOM_TARGETS), "seed": seed}
    if kind == "latency":
        median = lot.uniform(0.05, 0.5)
        return {**document, "median": median, "p99": median * lot.uniform(2, 6), "probability": lot.uniform(0.1, 0.5)}
    if kind == "error":
        return {**document, "status": lot.choice((500, 502, 503, 504)), "probability": lot.uniform(0.05, 0.3)}
    return {**document, "after": lot.uniform(1, 10), "probability": lot.uniform(0.01, 0.1)}


def _self_tests(access: Access) -> APIRouter:
    router = APIRouter(prefix="/chaos/test", dependencies=[Depends(access)], tags=["self-tests"])
    leaks: list[bytearray] = []

    @router.get("/slow")
    async def slow(ms: Annotated[float, Query(ge=0, le=30_000)] = 3000) -> Response:
        """Answers after ``ms`` milliseconds: does a client's time-out work?"""
        await asyncio.sleep(ms / 1000)
        return Answer({"slept_ms": ms})

    @router.get("/error")
    async def error(status: Annotated[int, Query(ge=400, le=599)] = 500) -> Response:
        """Answers with an error: does a client show it?"""
        return problem(status, "this error was asked for")

    @router.get("/memory-leak")
    async def memory_leak(
        mb: Annotated[int, Query(ge=1, le=64)] = 10, seconds: Annotated[float, Query(gt=0, le=600)] = 60
    ) -> Response:
        """Holds ``mb`` mebibytes for some time: does an alarm on memory go off? There is a limit to it."""
        held = sum(map(len, leaks)) // 2**20
        if held + mb <= _MAX_LEAK:
            block = bytearray(b"\1") * (mb * 2**20)
            leaks.append(block)
            held += mb
            asyncio.get_running_loop().call_later(seconds, leaks.remove, block)
        return Answer({"held_mb": held, "limit_mb": _MAX_LEAK, "seconds": seconds})

    return router


def _reset(access: Access) -> APIRouter:
    router = APIRouter(prefix="/internal", dependencies=[Depends(access)], include_in_schema=False)

    @router.post("/reset", status_code=204)
    async def reset(switch: TheSwitch) -> None:
        await switch.reset()

    return router


def _created(ledger: Ledger, entry: Injected) -> Response:
    return Answer(ledger.show(entry), 201, {"location": f"/chaos/faults/{entry.id}"})
