"""How an application that is not the shop's joins a lab: what the environment says, and the first faults.

Called by the middleware when it is not given a set of active faults, and by ``cloudcart.hooks``.

==========================  ==================================================================================
``CLOUDCART_LAB``           ``1`` declares a lab; without it, and without ``lab=True``, nothing ever acts
``CLOUDCART_FAULTS``        a JSON list of fault documents, active from the start until their time to live ends
``CLOUDCART_CHAOS_URL``     a control plane whose faults act here, too
``CLOUDCART_CHAOS_TOKEN``   the service token to show it, where it asks for one
``CLOUDCART_SEED``          chooses which requests are hit by faults that name no seed
``CLOUDCART_REPLICA``       which replica this process is, from 0
==========================  ==================================================================================
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.agent import POLL_PATH, Agent
from cloudcart.exceptions import FaultError
from cloudcart.faults import Fault, Place, Target, parse_fault

_REQUESTS: Final[tuple[Place, ...]] = ("exchange",)


def join_lab(
    service: str, faults: Sequence[Fault | Mapping[str, object]], lab: bool | None
) -> tuple[ActiveFaults, Callable[[], None] | None]:
    """Return the set for ``service`` and what to call once a loop runs (None: nothing).

    Raises:
        FaultError: a document makes no sense, or the environment holds no JSON list.
    """
    active = make_active(service, faults, lab)
    url = control_plane() if active.lab else ""
    if not url:
        return active, None
    active.any = True  # so that the first request or the start of the application begins the polling
    return active, _Polling(active, url)


def make_active(
    service: str,
    faults: Sequence[Fault | Mapping[str, object]],
    lab: bool | None,
    *,
    kind: type[ActiveFaults] = ActiveFaults,
    places: Collection[Place] = _REQUESTS,
) -> ActiveFaults:
    """Return the set of ``service`` with the faults that are given and, in a lab, those of the environment.

    Args:
        service: the name by which targets call the application.
        faults: active from now on, as values or documents; a document without target means this application.
        lab: whether this is a lab; None: what ``CLOUDCART_LAB`` says.
        kind: class of the set.
        places: where faults can act here.

    Raises:
        FaultError: a document makes no sense, or the environment holds no JSON list.
    """
    _require_name(service)
    lab = declared_lab() if lab is None else lab
    active = kind(service, _number("CLOUDCART_REPLICA"), lab=lab, seed=_number("CLOUDCART_SEED"))
    for place, fault in enumerate([*faults, *_from_environment()] if lab else faults, start=1):
        if isinstance(fault, Mapping):
            fault = parse_fault({"target": service, **fault}, services=None)
        if fault.place not in places or fault.standing:
            where = "requests alone" if places == _REQUESTS else "requests, calls, statements and messages"
            raise FaultError(f"kind: {fault.kind} acts on services of the shop; here faults act on {where}")
        active.add(fault, f"{service}-{place}")
    return active


def control_plane() -> str:
    """Return the URL of the control plane that the environment names, or nothing."""
    return os.environ.get("CLOUDCART_CHAOS_URL", "")


async def follow(active: ActiveFaults, url: str) -> None:
    """Keep the set equal to what a control plane says, until cancelled."""
    import httpx

    headers = {"content-type": "application/json"}
    token = os.environ.get("CLOUDCART_CHAOS_TOKEN")
    if token:
        headers["x-service-token"] = token
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10.0, trust_env=False) as client:

        async def poll(question: bytes) -> bytes:
            answer = await client.post(POLL_PATH, content=question)
            return answer.raise_for_status().content

        await Agent(active, poll).run()


class _Polling:
    """Starts the agent on the running loop, once; it ends with the loop."""

    def __init__(self, active: ActiveFaults, url: str) -> None:
        self._active = active
        self._url = url
        self._task: asyncio.Task[None] | None = None  # the loop itself keeps only a weak reference

    def __call__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(follow(self._active, self._url))


def _require_name(service: str) -> None:
    try:
        target = Target.parse(service)
    except ValueError as error:
        raise FaultError(f"service: {error}") from None
    if str(Target(service=target.service)) != service or target.topic is not None:
        raise FaultError(f"service: {service!r} is a target; give the plain name of the application, as mine")


def declared_lab() -> bool:
    """Return whether the environment declares a lab."""
    return os.environ.get("CLOUDCART_LAB", "").lower() in {"1", "true", "yes", "on"}


def _from_environment() -> list[Mapping[str, object]]:
    text = os.environ.get("CLOUDCART_FAULTS", "[]")
    try:
        documents = json.loads(text)
    except ValueError:
        documents = None
    if not isinstance(documents, list) or not all(isinstance(document, dict) for document in documents):
        raise FaultError('CLOUDCART_FAULTS: write a JSON list, as [{"kind": "latency", "fixed": "80ms"}]')
    return documents


def _number(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else 0
