"""Keeps what is active in this process equal to what the control plane says, by long polling.

One task per process. It cannot keep a fault alive: time to live and lease end faults where they act, also when this
task is stuck. Not here: how the request is sent; the service hands over a callable.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.process import ProcessFaults
from cloudcart.exceptions import FaultError
from cloudcart.faults import Fault, parse_fault

Poll = Callable[[bytes], Awaitable[bytes]]
"""Posts a JSON document to the control plane's ``/internal/chaos/poll`` and returns the answer's body; raises whatever
it likes if that fails. The control plane holds the request for ``settings.chaos.poll`` seconds at most."""

POLL_PATH: Final = "/internal/chaos/poll"
_NOTHING_KNOWN: Final = -1
_FIRST_PAUSE: Final = 0.05  # seconds between attempts while the control plane does not answer; doubles
_LONGEST_PAUSE: Final = 0.2
_log = logging.getLogger(__name__)


class Agent:
    """Polls the control plane for one process.

    Args:
        active: the set to keep.
        poll: sends one poll.
        routes: the application's route templates, so that a fault aimed at a route that does not exist is refused.
        process: the place of faults on the process itself; without one they cannot act here.
        patience: seconds after which a poll that is not answered is given up.
    """

    def __init__(
        self,
        active: ActiveFaults,
        poll: Poll,
        *,
        routes: Iterable[str] = (),
        process: ProcessFaults | None = None,
        patience: float = 5.0,
    ) -> None:
        self._active = active
        self._poll = poll
        self._routes = sorted(set(routes))
        self._process = process
        self._patience = patience
        self._epoch = ""
        self._version = _NOTHING_KNOWN
        self._reported: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    await self.poll_once()
                pause = _FIRST_PAUSE
            except Exception as error:  # whatever the callable raises: the lease decides what becomes of the faults
                _log.debug("the control plane did not answer: %r", error)
                self._version = _NOTHING_KNOWN  # the lease may lapse meanwhile: ask for everything again
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def poll_once(self) -> None:
        """Report counts, say which version is in force here (that acknowledges it), and take over what comes back."""
        counts = {i: pair for i, pair in self._active.counts().items() if self._reported.get(i) != pair}
        answer = json.loads(await self._poll(json.dumps(self._question(counts)).encode()))
        self._reported.update(counts)
        if self._apply(answer) and self._process is not None:
            await self._process.settle()

    def _question(self, counts: dict[str, tuple[int, int]]) -> dict[str, object]:
        question: dict[str, object] = {
            "service": self._active.service,
            "replica": self._active.replica,
            "boot": self._active.boot,
            "epoch": self._epoch,
            "version": self._version,
            "counts": counts,
            "carried": {i: fault.document() for i, fault in self._active.carried().items() if i in counts},
        }
        if self._version == _NOTHING_KNOWN:
            question["routes"] = self._routes
        return question

    def _apply(self, answer: dict[str, Any]) -> bool:
        """Take over an answer and return whether it changed anything."""
        if answer["faults"] is None:
            self._active.renew(answer["lease"])
            return False
        if answer["epoch"] != self._epoch:  # a new control plane has no counts
            self._reported.clear()
        self._active.replace([item for item in _faults_of(answer) if self._can_act(item[1])], answer["lease"])
        self._epoch, self._version = answer["epoch"], answer["version"]
        return True

    def _can_act(self, fault: Fault) -> bool:
        if fault.place != "process" or self._process is not None:
            return True
        if fault.acts_in(self._active.service, self._active.replica):
            _log.warning("%s cannot act: this application takes faults on its requests only", fault.label)
        return False


def _faults_of(answer: dict[str, Any]) -> Iterable[tuple[str, Fault, float, int]]:
    for item in answer["faults"]:
        try:
            fault = parse_fault(item["document"], services=None)
        except FaultError as error:  # a newer control plane knows kinds that this process does not
            _log.warning("fault %s cannot act here: %s", item["id"], error)
            continue
        yield item["id"], fault, item["ttl_left"], item["ordinal"]
