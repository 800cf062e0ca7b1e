"""Whether a fault can hit anything: its route must exist where the routes are known, and something must be listening.

A fault that does nothing is the loudest complaint about tools of this kind, so a route that no live replica of the
target has is refused, with the nearest one named, and so is a link that does not go through the proxy; what cannot be
known yet (no replica is connected) is accepted with a warning that the answer carries.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from cloudcart.events import EVENTS
from cloudcart.exceptions import FaultError
from cloudcart.faults import LINKS, Fault, LinkFault
from cloudcart.services.chaos_control.pollers import Poller
from cloudcart.settings import SERVICES, WITH_DATABASE, WITH_KAFKA, WITH_REDIS
from cloudcart.telemetry.routes import UNMATCHED, Routes

_OPERATIONS: Final = ("/health", "/ready", "/metrics")
_USERS: Final[Mapping[tuple[str, str | None], Collection[str]]] = {
    ("postgres", None): WITH_DATABASE,
    ("redis", None): WITH_REDIS,
    ("kafka", "publish"): WITH_KAFKA,
    ("kafka", "consume"): ("products", "notifications"),
}
"""Which services of the shop use a store, or which side of one."""
_PARAMETER: Final = re.compile(r"\{[^{}]*\}")


def check_target(fault: Fault, pollers: Iterable[Poller], *, links: bool = False) -> str | None:
    """Return what the person who injects should know, or None; ``links``: this lab has a fault proxy for its links.

    Raises:
        FaultError: no live replica of the target has the route.
    """
    target = fault.target
    _require_store(fault)
    if fault.carried_out_by and fault.place != "process":
        return None
    if target.topic is not None:
        return None if target.topic in EVENTS else f"nothing is published on topic {target.topic!r} so far"
    if isinstance(fault, LinkFault):
        return _check_link(fault, [poller for poller in pollers if poller.service == LINKS], links)
    if fault.carried_out_by == target.service:
        raise FaultError(f"target: {target.service} heals all faults, so nothing could heal {fault.kind} on it")
    replicas = [poller for poller in pollers if poller.service == target.service]
    if fault.replica is not None:
        replicas = [poller for poller in replicas if poller.replica == fault.replica]
    if not replicas:
        which = target.service if fault.replica is None else f"replica {fault.replica} of {target.service}"
        return f"no process of {which} is connected now; the fault acts as soon as one is"
    outbound = fault.direction == "outbound" or target.link is not None
    if target.route is not None and not outbound and all(poller.routes for poller in replicas):
        _require_route(target.route, target.service, {route for poller in replicas for route in poller.routes})
    return None


def _require_store(fault: Fault) -> None:
    """Refuse a fault between a service of the shop and a store that it does not use."""
    service = fault.target.service
    users = _USERS.get((fault.store, fault.side), SERVICES)
    if fault.target.topic is None and not fault.on_whole_store and service in SERVICES and service not in users:
        raise FaultError(f"target: {fault.kind} finds nothing to act on in {service}; choose one of {', '.join(users)}")


def _check_link(fault: LinkFault, proxies: list[Poller], links: bool) -> str | None:
    if not proxies and links:
        return "the fault proxy is not connected now; the fault acts as soon as it is"
    if not proxies:
        raise FaultError(
            "target: the links of this lab do not go through the fault proxy; "
            "start it with 'cloudcart up --set chaos.links=on'"
        )
    routed = sorted({link for proxy in proxies for link in proxy.routes})
    if fault.target.link == "kafka" and not any(link.endswith("->kafka") for link in routed):
        raise FaultError(
            "target: the mock broker tells its own port to its clients, so a proxy is bypassed; "
            "use broker_pause, or a lab with Apache Kafka (--backend containers)"
        )
    if str(fault.target) not in routed:
        raise FaultError(f"target: no such link goes through the fault proxy; choose one of {', '.join(routed)}")
    return None


def _require_route(route: str, service: str, known: set[str]) -> None:
    templates = sorted(known.union(_OPERATIONS))
    shape = _PARAMETER.sub("{}", route)
    if any(shape == _PARAMETER.sub("{}", template) for template in templates):
        return
    meant = Routes(templates).resolve(route)
    nearest = [meant] if meant != UNMATCHED else difflib.get_close_matches(route, templates, n=3, cutoff=0.4)
    if nearest:
        raise FaultError(f"target: {service} has no route {route!r}; did you mean {' or '.join(nearest)}?")
    raise FaultError(f"target: {service} has no route {route!r}; it has {', '.join(templates)}")
