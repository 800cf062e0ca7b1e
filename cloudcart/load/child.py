"""The generator's process as its parent holds it: started, told what to do, listened to, killed.

The parent's end of the line whose other end is ``control``: a socket pair that is the child's standard input, one JSON
object a line. Used by ``start``, which knows what it is to do, and ``runner``, which knows what the news mean.
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
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

_CHANGES_WITH_EACH_TEST: Final = "PYTEST_CURRENT_TEST"


class GeneratorProcess:
    """A generator, in a session and process group of its own: it imports its libraries and waits for :meth:`begin`.

    Args:
        module: of this package, to be run: ``generator``, or ``master``.
    """

    def __init__(self, *, module: str = "generator") -> None:
        self._log: Path | None = None
        self._early = tempfile.TemporaryFile()  # noqa: SIM115 - gets what it writes as long as it has no log
        self._heard = b""
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", f"cloudcart.load.{module}"],
                stdin=theirs.fileno(),
                stdout=self._early,
                stderr=self._early,
                start_new_session=True,  # Ctrl-C reaches us alone, and all of it can be killed at once
            )

    def fileno(self) -> int:
        """The descriptor on which its news arrive, for waiting on several at once."""
        return self._line.fileno()

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def begin(self, specification: Mapping[str, Any], log: Path) -> None:
        """Let it do what ``specification`` says, and write to ``log`` from now on."""
        log.write_bytes(b"")
        self._log = log
        self.tell(**specification, log=str(log))

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
        self._early.seek(0)
        said = self._early.read() + (self._log.read_bytes() if self._log else b"")
        lines = said.decode(errors="replace").strip().splitlines()
        return f"the load generator {how}{f': {lines[-1]}' if lines else ''} (its log: {self._log})"

    def kill(self) -> None:
        """End it and whatever it started, at once. Idempotent."""
        self._line.close()
        self._early.close()
        if self._process.returncode is None:  # not reaped yet, so the number is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Generators:
    """Where generators come from. One can be prepared: it has imported Locust, which takes 0.4 s, when it is needed.

    A context manager: leaving it ends the one that was prepared and not taken.
    """

    def __init__(self) -> None:
        self._prepared: GeneratorProcess | None = None
        self._surroundings: object = None

    def prepare(self) -> None:
        """Have one ready soon, if there is none that lives in the folder and the environment of this process."""
        here = Path.cwd(), {name: value for name, value in os.environ.items() if name != _CHANGES_WITH_EACH_TEST}
        if self._prepared is not None and not (self._prepared.alive and self._surroundings == here):
            self.close()
        if self._prepared is None:
            self._prepared, self._surroundings = GeneratorProcess(), here

    def take(self) -> GeneratorProcess:
        """Return one, which is the caller's from here on."""
        self.prepare()
        found, self._prepared = self._prepared, None
        assert found is not None
        return found

    def close(self) -> None:
        """End the one that was prepared and not taken."""
        if self._prepared is not None:
            self._prepared.kill()
            self._prepared = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
