"""Password hashes (bcrypt), computed in threads, so that the event loop goes on meanwhile.

A wrong user name costs the same time as a wrong password: :meth:`Passwords.matches` hashes in either case. Used by the
accounts only.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import bcrypt

from cloudcart.telemetry.metrics import DurationHistogram, Telemetry

T = TypeVar("T")

_THREADS: Final = 2  # a hash is 50 ms of CPU; more would only take it away from requests
_NICENESS: Final = 5  # of these threads: a third of the weight of a thread that serves requests, where CPU is short


class Passwords:
    """Hashes and checks.

    Args:
        rounds: bcrypt's work factor; each step doubles the time.
        telemetry: where the time that hashing takes is counted.
    """

    def __init__(self, rounds: int, telemetry: Telemetry) -> None:
        self._rounds = rounds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="bcrypt", initializer=_give_way)
        self._nobody = bcrypt.gensalt(rounds) + b"." * 31  # of the form of a hash: comparing with it costs the same
        self._known: dict[str, str] = {}
        self._durations = DurationHistogram(
            "password_hashing_duration_seconds", "Time of one bcrypt hash.", registry=telemetry.registry
        )

    async def hash(self, password: str) -> str:
        """Return a hash of ``password``, with a salt of its own."""
        return (await self._in_thread(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._rounds)))).decode()

    async def hash_once(self, user: str, password: str) -> str:
        """Return the hash of the password that a user of the seed always has."""
        known = self._known.get(user)
        if known is None:
            known = self._known[user] = await self.hash(password)
        return known

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Say whether ``password`` has this hash; takes as long, and says no, if there is no hash to compare with."""
        given = password.encode()[:72]  # bcrypt looks at no more, and refuses more
        expected = password_hash.encode() if password_hash else self._nobody
        matching = await self._in_thread(lambda: bcrypt.checkpw(given, expected))
        return matching and password_hash is not None

    async def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def timed() -> tuple[T, float]:
            begun = time.perf_counter()
            return work(), time.perf_counter() - begun

        result, seconds = await asyncio.get_running_loop().run_in_executor(self._threads, timed)
        self._durations.observe(seconds)
        return result


def _give_way() -> None:
    """Let the threads and processes that serve requests go first; on Linux a thread has a niceness of its own."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(niceness, _NICENESS))  # only root may lower it
