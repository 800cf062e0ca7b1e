"""What every fault is: a frozen value with its target, blast radius, schedule, label and contract.

A fault knows the *place* it acts on (below) and nothing of backends, services or HTTP. It does not apply itself: the
control plane (``services.chaos_control``) says which faults are active, and the code that owns a place (``chaos``)
calls :meth:`act`. A new kind is one file beside this one and one line in ``FAULTS``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Final, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cloudcart.exceptions import FaultError
from cloudcart.faults.contract import Contract
from cloudcart.faults.target import STORES, TargetText
from cloudcart.units import Duration, Share, defaults_as_text

MAX_TTL: Final = 3600.0
"""Seconds; no fault outlives this, whatever was asked for."""

_OF_REQUESTS: Final = (
    *("probability", "first", "skip", "every", "max_active", "ramp", "control"),
    *("method", "header", "user", "direction"),
)  # fields that say which requests are hit
_HOW_MANY: Final = frozenset({"probability", "first", "skip", "every", "max_active", "ramp", "control"})

Place = Literal["exchange", "link", "store", "broker", "process"]


class Exchange(Protocol):
    """A place: one piece of work that a service was asked for (an HTTP request, or a message it consumes)."""

    def draw(self, number: int) -> float:
        """Return this fault's ``number``-th random number for this exchange, uniform in [0, 1), 1 to 7.

        Number 0 decided whether the fault hits at all. The same seed, fault and request key give the same numbers.
        """

    async def delay(self, seconds: float) -> None:
        """Let ``seconds`` pass for this exchange alone."""

    async def forward(self) -> None:
        """Let the exchange go on: to the next fault that hit it, or to the service."""

    async def answer(self, status: int, body: Mapping[str, object] | None, headers: Mapping[str, str]) -> None:
        """Answer in the service's stead; the service never sees the request. A consumed message is rejected."""

    async def cut(self, after_bytes: int | None) -> None:
        """Break the connection: before the service sees the request (None), or after so many bytes of its body."""

    async def trickle(self, rate: float) -> None:
        """Let the exchange go on; the answer's body comes at ``rate`` bytes per second."""

    async def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Let the exchange go on; the answer's body is what ``change`` makes of it (of each piece of a stream)."""


class Process(Protocol):
    """A place: the process of a service, for as long as the fault is active."""

    def hit(self) -> None:
        """Say that the fault has acted once; whoever injected it waits for the first time."""

    async def stay(self) -> None:
        """Wait for the end of the fault, which cancels."""

    def seconds_left(self) -> float:
        """Return how long the fault may still act. What stops the event loop must not last longer."""

    def skew_clock(self, seconds: float) -> None:
        """Move the service's wall clock, by which it makes and checks tokens."""

    def refuse_readiness(self, refuse: bool) -> None:
        """Let ``/ready`` say no, until called with False."""

    async def hold(self, service: str, *, pause: bool, seconds: float) -> None:
        """Ask the supervisor to keep ``service`` paused, or else from being started, for at most so many seconds."""

    async def kill(self, service: str) -> None:
        """Ask the supervisor to kill ``service``."""

    async def deploy(self, service: str, settings: Mapping[str, object], *, release: str, seconds: float) -> None:
        """Ask the supervisor to run ``service`` with other settings, as ``release``, for at most so many seconds.

        Asking again moves the end; with zero seconds the release before comes back now.
        """


class Fault(BaseModel):
    """A fault as a value: comparable, printable, JSON. The document form is flat and the same everywhere."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, json_schema_extra=defaults_as_text
    )

    kind: ClassVar[str]
    place: ClassVar[Place]
    contract: ClassVar[Contract]
    needs: ClassVar[str] = ""  # what a backend must be able to do, in a sentence; empty: every backend can
    carried_out_by: ClassVar[str] = ""  # the service whose process acts in the target's stead; empty: the target's own
    store: ClassVar[str] = ""  # places store and broker: postgres, redis or kafka
    side: ClassVar[Literal["publish", "consume"] | None] = None  # place broker: which way the messages go
    standing: ClassVar[bool] = False  # acts from its start to its end, not on single requests
    on_whole_store: ClassVar[bool] = False  # the target is the store itself
    needs_answer: ClassVar[bool] = False  # acts on answers or connections, which a consumed message has not

    target: TargetText = Field(description="service, service:/route, service->link or kafka:topic")
    probability: Share = Field(1.0, description="share of matching requests that are hit; each fault draws for itself")
    ttl: Duration = Field(60.0, gt=0, le=MAX_TTL, description="the fault ends by itself after this time")
    seed: int | None = Field(None, ge=0, description="chooses which requests are hit; the lab's seed if not given")
    first: int | None = Field(None, ge=1, description="hit at most so many requests (of each replica), then none")
    skip: int = Field(0, ge=0, description="let so many matching requests pass first ('after' is understood, too)")
    every: int = Field(1, ge=1, description="consider only every n-th matching request")
    max_active: int | None = Field(None, ge=1, description="requests under this fault at the same time, at most")
    ramp: Duration = Field(0.0, description="the probability grows from 0 to its value over this time")
    control: Share = Field(0.0, lt=1, description="share of visits exempt from faults, the same ones for every fault")
    method: str | None = Field(None, description="only requests with this HTTP method")
    header: str | None = Field(None, description="only requests with this header, as name or name=value")
    user: int | None = Field(None, description="only requests of the user with this id")
    replica: int | None = Field(None, ge=0, description="only this replica of the service, from 0")
    direction: Literal["inbound", "outbound"] = Field("inbound", description="requests to the service, or its calls")

    @model_validator(mode="before")
    @classmethod
    def _after_means_skip(cls, document: Any) -> Any:
        """Take ``after`` for ``skip``, except where a kind has a field ``after`` of its own (``timeout``)."""
        if isinstance(document, dict) and "after" in document and "after" not in cls.model_fields:
            return {"skip" if name == "after" else name: value for name, value in document.items()}
        return document

    @field_validator("method")
    @classmethod
    def _upper(cls, value: str | None) -> str | None:
        return value.upper() if value else None

    @model_validator(mode="after")
    def _place_fits_target(self) -> Self:
        if self.place == "exchange" and self.target.link in STORES:
            raise ValueError(
                f"{self.kind} acts on requests, calls and messages, not on a store like {self.target.link}"
            )
        if self.needs_answer and self.target.topic is not None:
            raise ValueError(f"{self.kind} acts on the answer to a request; a message of a topic has none")
        if self.place in ("store", "broker"):
            self._check_store_target()
        return self

    def _check_store_target(self) -> None:
        if self.method or self.header or self.user is not None or self.direction != "inbound":
            raise ValueError(f"{self.kind} does not act on requests: it knows no method, header, user or direction")
        if self.on_whole_store:
            if str(self.target) != self.store:
                raise ValueError(f"{self.kind} acts on the whole of {self.store}; its target is '{self.store}'")
            return
        wrong_topic = self.target.topic is not None and self.side is None
        if wrong_topic or self.target.route is not None or self.target.link not in (None, self.store):
            topic = "kafka:TOPIC, " if self.side else ""
            raise ValueError(f"{self.kind} acts on {self.store}; aim it at {topic}a service, or SERVICE->{self.store}")

    @model_validator(mode="after")
    def _control_arm_needs_visits(self) -> Self:
        if self.control and (self.place == "link" or self.standing):
            raise ValueError(f"{self.kind} does not know whose request it meets: leave out control")
        return self

    @property
    def nth(self) -> int:
        """Of how many matching requests one is considered; kinds that act by themselves give ``every`` as a time."""
        return self.every if isinstance(self.every, int) else 1

    @property
    def period(self) -> float | None:
        """Seconds between two acts of a standing fault; None: one act lasts until its end."""
        return None

    @model_validator(mode="after")
    def _process_has_no_requests(self) -> Self:
        if self.place != "process":
            return self
        if self.target.route or self.target.link or self.target.topic:
            raise ValueError(f"{self.kind} acts on a process: its target is a service alone, as {self.target.service}")
        for name in _OF_REQUESTS:
            shared = Fault.model_fields[name]
            own_meaning = type(self).model_fields[name].annotation != shared.annotation
            if not own_meaning and getattr(self, name) != shared.default:
                raise ValueError(f"{self.kind} acts on a process, not on requests: leave out {name}")
        return self

    @property
    def aim(self) -> str:
        """What labels call the target: with the replica, if the fault is for one."""
        return str(self.target) if self.replica is None else f"replica {self.replica} of {self.target}"

    @property
    def process(self) -> str:
        """What the supervisor knows the target by: ``products`` for all its replicas, ``products/1`` for one."""
        return self.target.service if self.replica is None else f"{self.target.service}/{self.replica}"

    @property
    def passes(self) -> int:
        """How many matching requests go by before the fault begins."""
        return self.skip

    @property
    def renews_after(self) -> float | None:
        """Seconds after which :attr:`passes` and ``every`` are counted from zero again; None: never."""
        return None

    @property
    def label(self) -> str:
        """What a chart writes on the fault's window."""
        return f"{self.kind} on {self.aim}"

    async def act(self, place: Any, /) -> None:
        """Do what this kind does to its place: an :class:`Exchange`, or one of ``cloudcart.faults.places``."""
        raise NotImplementedError(f"{self.kind} does not act by itself")

    async def act_in(self, process: Process) -> None:
        """Act until cancelled, then undo it. Only kinds whose place is ``process`` have it."""
        raise NotImplementedError(f"{self.kind} does not act in processes")

    def acts_in(self, service: str, replica: int) -> bool:
        """Return whether that process is one in which this fault acts."""
        if self.carried_out_by:
            return service == self.carried_out_by
        replica_fits = self.replica is None or self.replica == replica
        return replica_fits and (self.target.topic is not None or self.target.service == service)

    def document(self) -> dict[str, Any]:
        """Return the flat document of this fault: what it says beyond the defaults, durations as text."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}

    @property
    def identity(self) -> bytes:
        """Eight bytes that are the same for the same kind, target and parameters: the fault's part in a draw.

        The seed is mixed in apart. How long, how often and how many is left out, too, so that a fault with a smaller
        probability hits a part of the same requests, which makes two runs comparable request by request.
        """
        parts = self.model_dump(mode="json", exclude={"ttl", "seed", *_HOW_MANY})
        return hashlib.blake2b(repr((self.kind, sorted(parts.items()))).encode(), digest_size=8).digest()


def first_mistake(error: ValidationError, model: type[Fault]) -> str:
    """Return the sentence that names the first field of a fault that makes no sense, and why."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "fault"
    if first["type"] == "extra_forbidden":
        return f"{field}: the fault {model.kind} has no such field; it has {', '.join(model.model_fields)}"
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"


def parse_fault(
    document: Mapping[str, object], kinds: Mapping[str, type[Fault]], services: Collection[str] | None
) -> Fault:
    """Return the fault that a flat document describes.

    Args:
        document: ``{"kind": .., "target": .., parameters..}`` as in Python, HTTP, YAML and on the command line.
        kinds: name to class; ``cloudcart.faults.FAULTS`` for all there are.
        services: what a target may name; None: anything, since the application that it means is not of the shop.

    Raises:
        FaultError: unknown kind, unknown or missing field, a value that makes no sense, or a target that does not
            exist; the message names the field.
    """
    kind = document.get("kind")
    model = kinds.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise FaultError(f"kind: there is no fault {kind!r}; choose one of {', '.join(sorted(kinds))}")
    try:
        fault = model.model_validate({name: value for name, value in document.items() if name != "kind"})
    except ValidationError as error:
        raise FaultError(first_mistake(error, model)) from None
    if services is not None:
        try:
            fault.target.require_known((*services, fault.store) if fault.on_whole_store else services)
        except ValueError as error:
            raise FaultError(f"target: {error}") from None
    return fault
