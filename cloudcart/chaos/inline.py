"""Faults that one request carries for itself, in the header ``X-CloudCart-Inject``; only a lab honours it.

``latency;median=200ms;target=products`` is one fault, a comma separates several. The header travels on down the calls,
so the service that is the target acts, however deep it is. They are marked, counted and told like others, under an id
that begins with ``request-``; the control plane hears of them afterwards. Called by ``chaos.active``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from typing import Final

from cloudcart.chaos.draw import Draws
from cloudcart.chaos.matching import RouteIndex
from cloudcart.chaos.record import ActiveFault
from cloudcart.exceptions import FaultError
from cloudcart.faults import Fault, parse_fault

_KEPT: Final = 128  # different headers that are remembered
_COUNTED: Final = 1024  # faults whose counts are: a caller who makes up a new one for each request is bounded, too


def parse_header(text: str) -> list[Fault]:
    """Return the faults that a header describes.

    Raises:
        FaultError: it is not of the form ``kind;name=value;..``, or a fault makes no sense; the message names it.
    """
    return [_parse_one(part) for part in text.split(",") if part.strip()]


def _parse_one(text: str) -> Fault:
    kind, *parameters = (part.strip() for part in text.split(";"))
    document: dict[str, object] = {"kind": kind}
    for parameter in filter(None, parameters):
        name, equals, value = parameter.partition("=")
        if not equals:
            raise FaultError(f"x-cloudcart-inject: write name=value, not {parameter!r}")
        document[name.strip()] = value.strip()
    fault = parse_fault(document, services=None)
    if fault.place != "exchange":
        raise FaultError(f"x-cloudcart-inject: {kind} does not act on a single request; inject it into the lab")
    return fault


class InlineFaults:
    """The faults of headers seen lately, with their counts. One fault that several headers carry has one record."""

    __slots__ = ("_records", "_seed", "_service", "_texts")

    def __init__(self, service: str, seed: int) -> None:
        self._service = service
        self._seed = seed
        self._texts: OrderedDict[str, RouteIndex[ActiveFault]] = OrderedDict()
        self._records: OrderedDict[str, ActiveFault] = OrderedDict()  # by id; counts are reported, so they stay longer

    def of(self, text: str) -> RouteIndex[ActiveFault]:
        """Return those faults of the header ``text`` that are aimed at this service; raises as :func:`parse_header`."""
        known = self._texts.get(text)
        if known is None:
            records = [self._record(fault) for fault in parse_header(text) if fault.target.service == self._service]
            known = self._texts[text] = RouteIndex((record, record.fault) for record in records)
            if len(self._texts) > _KEPT:
                self._texts.popitem(last=False)
        return known

    def records(self) -> list[ActiveFault]:
        """Return every record whose counts are still known."""
        return list(self._records.values())

    def _record(self, fault: Fault) -> ActiveFault:
        text = json.dumps(fault.document(), sort_keys=True)  # all of it: two that differ in anything count apart
        name = f"request-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
        known = self._records.get(name)
        if known is None:
            draws = Draws(self._seed if fault.seed is None else fault.seed, fault.identity)
            known = self._records[name] = ActiveFault(name, fault, draws, -math.inf, math.inf)
            if len(self._records) > _COUNTED:
                self._records.popitem(last=False)
        return known
