"""The generator's tie to its parent: orders come in, news goes out, and when the parent is gone so is the generator.

One JSON object a line over the socket that is the generator's standard input. A native thread reads it, so that orders
and the parent's death are heard even while a journey keeps the event loop busy. The other end is ``runner.LoadRun``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import monkey
from gevent.event import Event

_PARENT_GONE: Final = 4
_TIME_OVER: Final = 3  # exit codes of a generator that ended itself by force
_STANDARD_OUTPUTS: Final = (1, 2)


def receive_specification(descriptor: int = 0) -> tuple[dict[str, Any], bytes]:
    """Wait for the line that says what to do, and write to the log that it names from then on.

    Returns:
        The specification, and what was read beyond its line.
    """
    text = b""
    while b"\n" not in text:
        heard = _read(descriptor)
        if not heard:
            os._exit(_PARENT_GONE)
        text += heard
    line, _, rest = text.partition(b"\n")
    specification = json.loads(line)
    log = os.open(specification["log"], os.O_WRONLY | os.O_APPEND)
    for output in _STANDARD_OUTPUTS:
        os.dup2(log, output)
    os.close(log)
    return specification, rest


def _read(descriptor: int) -> bytes:
    """Return what has come; nothing if the parent is gone."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


class Control:
    """Listens from the moment it is made.

    Args:
        heard: what came after the specification and belongs to the next line.
        at_end: called before this process is ended by force; it must not wait for anything.
        seconds: after so long this process is ended, whatever it is doing.
        drain: seconds that visits under way get when the parent does not say.
        descriptor: the connected socket.
    """

    def __init__(
        self, heard: bytes, *, at_end: Callable[[], None], seconds: float, drain: float, descriptor: int = 0
    ) -> None:
        self.stop_asked = Event()
        self.start_at = 0.0
        self._may_start = Event()
        self.drain = drain
        self._at_end = at_end
        self._stop = False
        self._limit = time.monotonic() + seconds
        self._descriptor = descriptor
        self._wake = gevent.get_hub().loop.async_()
        self._wake.start(self._heard)
        monkey.get_original("_thread", "start_new_thread")(self._listen, (heard,))

    def wait_for_start(self) -> float:
        """Say that all is ready; return the moment (unix seconds) at which every worker is to begin."""
        self.tell(ready=True)
        self._may_start.wait()
        return self.start_at

    def _heard(self) -> None:
        """Take note, in the event loop, of what the thread has read."""
        if self.start_at:
            self._may_start.set()
        if self._stop:
            self._may_start.set()
            self.stop_asked.set()

    def tell(self, **news: Any) -> None:
        """Send one object to the parent; if it is gone, this process is about to end anyway."""
        try:
            os.write(self._descriptor, json.dumps(news).encode() + b"\n")
        except OSError:
            self._end(_PARENT_GONE)

    def _listen(self, text: bytes) -> None:
        select = monkey.get_original("select", "select")
        while True:
            *lines, text = text.split(b"\n")
            for line in lines:
                self._obey(json.loads(line))
            if not select([self._descriptor], [], [], max(0.0, self._limit - time.monotonic()))[0]:
                self._end(_TIME_OVER)
            heard = _read(self._descriptor)
            if not heard:
                self._end(_PARENT_GONE)
            text += heard

    def _obey(self, order: dict[str, Any]) -> None:
        self.start_at = order.get("start", self.start_at)
        self._stop = self._stop or "stop" in order
        self.drain = order.get("stop", self.drain)
        self._wake.send()

    def _end(self, code: int) -> None:
        self._at_end()
        os._exit(code)
