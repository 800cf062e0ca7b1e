"""The faults that are active on the links of one proxy: the same set as in every service, which says when it changes.

Time to live and lease end faults here, too; a timer looks, since a silent link brings no traffic that would. Not here:
what becomes of bytes (``course``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from cloudcart.chaos.active import ActiveFaults
from cloudcart.chaos.record import ActiveFault
from cloudcart.faults.link import LINKS, LinkFault

_SOON = 0.001  # seconds; timers may be early by so much


class LinkFaults(ActiveFaults):
    """What is active on links.

    Args:
        lab: whether faults may act at all.
        seed: for faults that name none.
    """

    __slots__ = ("_followers", "_timer")

    def __init__(self, *, lab: bool = True, seed: int = 0) -> None:
        super().__init__(LINKS, lab=lab, seed=seed)
        self._followers: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever a fault begins, changes or ends."""
        self._followers.append(changed)

    def unfollow(self, changed: Callable[[], None]) -> None:
        """Call it no more."""
        self._followers.remove(changed)

    def on(self, link: str) -> list[ActiveFault]:
        """Return what is active on a link, in the order in which the faults act."""
        return [record for record in self._records.values() if str(record.fault.target) == link]

    def add_lasting(self, fault: LinkFault, fault_id: str) -> ActiveFault | None:
        """Make a fault active until it is removed: for a proxy that somebody runs alone and looks after."""
        record = self.add(fault, fault_id)
        if record is not None:
            record.deadline = math.inf
            self._changed()
        return record

    def forget(self, fault_id: str) -> None:
        """End a fault, if there is one, and its counts with it: what comes under the same id draws from the start."""
        self.remove(fault_id)
        self._ended.pop(fault_id, None)

    def close(self) -> None:
        """Look no more at the time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _changed(self) -> None:
        super()._changed()
        self.close()
        if self._horizon < math.inf:
            left = max(0.0, self._horizon - self._clock())
            self._timer = asyncio.get_running_loop().call_later(left + _SOON, self.records)
        for follower in tuple(self._followers):
            follower()
