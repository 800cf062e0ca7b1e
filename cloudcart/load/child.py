"""The generator's process as its parent holds it: started, listened to, given orders, killed.

The parent's end of the line whose other end is ``control``: a socket pair that is the child's standard input, one JSON
object a line. Used by ``runner`` only, which knows what the news mean.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


class GeneratorProcess:
    """A started generator, in a session and process group of its own.

    Args:
        specification: file that tells it what to do.
        log: file that gets what it writes.
        module: of this package, to be run: ``generator``, or ``master``.
    """

    def __init__(self, specification: Path, log: Path, *, module: str = "generator") -> None:
        self._log = log
        self._heard = b""
        self._line, theirs = socket.socketpair()
        with theirs, log.open("wb") as output:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", f"cloudcart.load.{module}", str(specification)],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches us alone, and all of it can be killed at once
            )

    def fileno(self) -> int:
        """The descriptor on which its news arrive, for waiting on several at once."""
        return self._line.fileno()

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group."""
        return self._process.pid

    def tell(self, **order: Any) -> None:
        """Send an order. If it has just died nothing happens: whoever listens next hears of that."""
        with contextlib.suppress(OSError):
            self._line.sendall(json.dumps(order).encode() + b"\n")

    def listen(self, seconds: float) -> list[dict[str, Any]] | None:
        """Wait for news for at most so long and return them; None when it has ended and there will be no more."""
        if not select.select([self._line], [], [], max(0.0, seconds))[0]:
            return []
        try:
            heard = self._line.recv(65536)
        except OSError:  # it died with an order unread
            heard = b""
        if not heard:
            return None
        *lines, self._heard = (self._heard + heard).split(b"\n")
        return [json.loads(line) for line in lines]

    def last_words(self) -> str:
        """Say in one sentence how it ended, with the last line of its log. Call it when it has ended."""
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = self._log.read_text(errors="replace").strip().splitlines()
        return f"the load generator {how}{f': {said[-1]}' if said else ''} (its log: {self._log})"

    def kill(self) -> None:
        """End it and whatever it started, at once. Idempotent."""
        self._line.close()
        if self._process.returncode is None:  # not reaped yet, so the number is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
