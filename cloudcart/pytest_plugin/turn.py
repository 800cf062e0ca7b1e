"""Load one at a time: workers of pytest-xdist share the machine, and two loads at once would measure each other.

A lock in the folder that all workers of a session share; the system lets go of it when a worker dies. Without xdist
nobody else is there and nothing is locked.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turn:
    """The right to start a lab or give load.

    Args:
        lock: the file that all workers lock; None: there are no others.
    """

    def __init__(self, lock: Path | None) -> None:
        self._lock = lock
        self._depth = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn and keep it for the block; within it, taking it again is nothing."""
        if self._lock is None or self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._depth = 1
            yield
        finally:
            self._depth = 0
            os.close(descriptor)
