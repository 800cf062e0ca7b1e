"""What travels with one request or message through the shop: ids, the request key, and the marks of faults.

Set by the first middleware of the stack (``services.assemble``) and by the consumer of the worker; read by the access
log, the chaos middleware and the outbound client, which passes it on. Not a place for business data.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

REQUEST_ID: Final = "x-request-id"
TRACEPARENT: Final = "traceparent"
REQUEST_KEY: Final = "x-cloudcart-request-key"
INJECT: Final = "x-cloudcart-inject"
USER: Final = "x-cloudcart-user"
FAULT_MARK: Final = "x-cloudcart-fault"
_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@dataclass(slots=True)
class RequestContext:
    """One request's travelling data.

    ``request_key`` and ``inject`` are empty outside a lab: the stack drops these headers there. ``marks`` collects the
    ids of faults that hit this request, here or in a service that was called for it. ``user`` is whose request it is,
    by the claim of a token that nobody has checked: only set, and only good, for choosing whom a fault hits.
    """

    request_id: str
    traceparent: str
    request_key: str = ""
    inject: str = ""
    user: str = ""
    marks: list[str] = field(default_factory=list)

    @property
    def trace_id(self) -> str:
        """The 32 hex digits in the middle of the W3C traceparent."""
        return self.traceparent[3:35]

    def outbound_headers(self, attempt: int = 0) -> dict[str, str]:
        """Return the headers for a call made on behalf of this request; a retry appends its attempt to the key."""
        headers = {REQUEST_ID: self.request_id, TRACEPARENT: self.traceparent}
        if self.request_key:
            headers[REQUEST_KEY] = f"{self.request_key}/r{attempt}" if attempt else self.request_key
        if self.inject:
            headers[INJECT] = self.inject
        if self.user:
            headers[USER] = self.user
        return headers

    def outbound_lines(self, attempt: int = 0) -> str:
        """Return the same headers as they are written in HTTP/1.1, each with its line end."""
        if not (self.request_key or self.inject or self.user):
            return f"{REQUEST_ID}: {self.request_id}\r\n{TRACEPARENT}: {self.traceparent}\r\n"
        return "".join([f"{name}: {value}\r\n" for name, value in self.outbound_headers(attempt).items()])


def new_traceparent() -> str:
    """Return a fresh W3C trace context (version 00, sampled). Ids need to differ, not to be secret."""
    digits = f"{random.getrandbits(192):048x}"
    return f"00-{digits[:32]}-{digits[32:]}-01"


def context_from_headers(headers: Mapping[str, str], *, lab: bool) -> RequestContext:
    """Return the context that lower-case ``headers`` describe, with fresh ids where they have none."""
    traceparent = headers.get(TRACEPARENT)
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        traceparent = new_traceparent()
    request_id = headers.get(REQUEST_ID)
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = traceparent[3:35]
    if not lab:
        return RequestContext(request_id, traceparent)
    key, inject = headers.get(REQUEST_KEY, "")[:200], headers.get(INJECT, "")[:500]
    return RequestContext(
        request_id, traceparent, key if key.isprintable() else "", inject if inject.isprintable() else ""
    )


current: ContextVar[RequestContext | None] = ContextVar("cloudcart_request", default=None)
"""The request being served by the running task, if any."""


def carries_fault() -> bool:
    """Return whether the request being served brings a fault along, which an answer from a cache would hide."""
    context = current.get()
    return context is not None and bool(context.inject)
