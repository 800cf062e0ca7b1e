"""Product lists that the gateway remembers: fresh for a moment, and good enough for as long as products is down.

Kept in this process, not in Redis: a list must be there while Redis is gone, too, a look-up must cost less than the
call it saves, and with a life of a second replicas would gain little by sharing. The requests for lists carry no
identity, so everybody may see what anybody was answered.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cloudcart.services.http_connection import Response

_MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_LISTS: Final = 1000


@dataclass(slots=True)
class _Entry:
    response: Response
    stored: float
    generation: int


class ListCache:
    """The answers to lists by their target, those used longest ago dropped first.

    Args:
        ttl: seconds for which an answer is fresh.
        clock: seconds that only ever grow.

    Attributes:
        generation: what :meth:`put` wants to know from before the call; it changes when products do.
    """

    def __init__(self, ttl: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def fresh(self, target: str) -> Response | None:
        """Return the answer if it is fresh."""
        entry = self._entries.get(target)
        if entry is None or entry.generation != self.generation or self._clock() - entry.stored >= self._ttl:
            return None
        self._entries.move_to_end(target)
        return entry.response

    def stale(self, target: str) -> tuple[Response, float] | None:
        """Return the answer however old, and its age in seconds."""
        entry = self._entries.get(target)
        return None if entry is None else (entry.response, self._clock() - entry.stored)

    def put(self, target: str, response: Response, generation: int) -> None:
        """Keep an answer that was asked for when the generation was the given one."""
        self._drop(target)
        self._entries[target] = _Entry(response, self._clock(), generation)
        self._bytes += len(response.body)
        while self._bytes > _MAX_BYTES or len(self._entries) > _MAX_LISTS:
            self._drop(next(iter(self._entries)))

    def expire(self) -> None:
        """Products have changed: nothing is fresh any more."""
        self.generation += 1

    def clear(self) -> None:
        """Forget everything."""
        self.expire()
        self._entries.clear()
        self._bytes = 0

    def _drop(self, target: str) -> None:
        entry = self._entries.pop(target, None)
        if entry is not None:
            self._bytes -= len(entry.response.body)
