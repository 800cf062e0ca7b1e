"""One proxied connection: two sockets, and the bytes that go both ways between them.

While no fault is active a chunk is read into a buffer and written from it in the same turn of the event loop, with no
copy and nothing allocated; the buffer is read into again only when all of it is written. Under faults each way has a
:class:`~cloudcart.chaos.links.course.Course` that says when its bytes go on. Backpressure, half-closed connections and
resets pass through. Made by ``chaos.links.proxy``.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, cast

from cloudcart.chaos.links.course import Course, Stage
from cloudcart.chaos.links.faults import LinkFaults
from cloudcart.chaos.record import ActiveFault
from cloudcart.faults.link import LinkFault

Connect = Callable[[asyncio.BufferedProtocol], Any]
"""Returns a coroutine that connects the protocol to the other side."""

_CHUNK: Final = 128 * 1024  # bytes read at once
_WINDOW: Final = 1024 * 1024  # bytes that faults hold back on one way before the sender has to wait
_EARLY: Final = 0.0003  # seconds; event loops count in milliseconds, so a timer may come early by half of one
_LINGER: Final = struct.pack("ii", 1, 0)  # closing then sends RST


class End(asyncio.BufferedProtocol):
    """One socket of a connection, and the way of the bytes that are read from it."""

    __slots__ = (
        "_buffer",
        "_full",
        "_reading",
        "_stuck",
        "connection",
        "course",
        "ended",
        "peer",
        "stream",
        "timer",
        "transport",
    )

    def __init__(self, connection: Connection, stream: Literal["upstream", "downstream"]) -> None:
        self._buffer = memoryview(bytearray(_CHUNK))
        self._full = False  # faults hold back so much that no more is read
        self._stuck = False  # the other socket takes no more at the moment
        self._reading = True
        self.connection = connection
        self.stream = stream
        self.course: Course | None = None
        self.timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self.ended = False  # the end of the stream was passed on
        self.peer = self
        self.transport: asyncio.Transport | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)  # written at once, or this side is told to wait
        self.connection.opened(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        if self.course is None:
            self.peer.transport.write(self._buffer[:nbytes])  # type: ignore[union-attr]  # both are open by now
        else:
            self.course.feed(bytes(self._buffer[:nbytes]), time.monotonic())
            self.release()

    def eof_received(self) -> bool:
        """The other side sends no more, but may still read."""
        if self.course is None:
            self._pass_end_on()
        else:
            self.course.feed_end(time.monotonic())
            self.release()
        return True

    def pause_writing(self) -> None:
        """This socket takes no more: the other one is not read."""
        self.peer.throttle(stuck=True)

    def resume_writing(self) -> None:
        """This socket has taken all."""
        self.peer.throttle(stuck=False)
        self.peer.release()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self.connection.lost(self, exc)

    # What the connection calls

    def throttle(self, *, stuck: bool | None = None, full: bool | None = None) -> None:
        """Read only while the bytes can go somewhere."""
        self._stuck = self._stuck if stuck is None else stuck
        self._full = self._full if full is None else full
        reading = not (self._stuck or self._full)
        if reading != self._reading and self.transport is not None and not self.transport.is_closing():
            self._reading = reading
            (self.transport.resume_reading if reading else self.transport.pause_reading)()

    def release(self) -> None:
        """Let go on what is due, and see to it that the rest will."""
        course = self.course
        if course is None or not self.connection.lives():
            return
        self.cancel_timer()
        now = time.monotonic() + _EARLY
        self._pass_on(course, now)
        ending = course.ending(now)
        if ending == "reset" or (ending == "close" and not course):
            self.connection.end(abruptly=ending == "reset")
        if not self.connection.lives():
            return
        self.throttle(full=course.held > _WINDOW)
        if not course.stages and not course and self.peer.transport is not None:
            self.course = None
        elif (due := course.next_after(now)) < math.inf:
            self.timer = asyncio.get_running_loop().call_later(max(0.0, due - time.monotonic()), self.release)

    def _pass_on(self, course: Course, now: float) -> None:
        if self.peer.transport is None:
            return  # still to be reached
        while not self._stuck and (piece := course.take(now)) is not None:  # writing may say that it is stuck
            if piece.last:
                self._pass_end_on()
            elif piece.data:
                self.peer.transport.write(piece.data)

    def cancel_timer(self) -> None:
        """Wait for nothing."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _pass_end_on(self) -> None:
        self.ended = True
        if self.peer.ended:
            self.connection.end(abruptly=False)
        elif self.peer.transport is not None and not self.peer.transport.is_closing():
            with suppress(OSError):  # it has just been cut
                self.peer.transport.write_eof()


class Connection:
    """Two ends, and which faults hit them.

    Args:
        link: as targets name it, ``service->peer``.
        faults: what is active.
        connect: reaches the other side.
        forget: called when both sockets are closed.
    """

    def __init__(self, link: str, faults: LinkFaults, connect: Connect, forget: Callable[[Connection], None]) -> None:
        self._link = link
        self._faults = faults
        self._connect = connect
        self._forget = forget
        self._draws: dict[str, bytes | None] = {}  # of faults that draw once a connection
        self._under: list[ActiveFault] = []
        self._task: asyncio.Task[None] | None = None
        self._open = 0
        self.closed = False
        self.near = End(self, "upstream")
        self.near.course = Course(self._decide)  # keeps what comes before the other side is reached
        self.far = End(self, "downstream")
        self.near.peer, self.far.peer = self.far, self.near

    def lives(self) -> bool:
        """Whether bytes may still go on."""
        return not self.closed

    def opened(self, end: End) -> None:
        """A socket is open: reach for the other side, or begin."""
        self._open += 1
        if self.closed:  # the proxy was closed after the caller was accepted, or while the other side was reached
            _abort(end)
        elif end is self.near:
            self.review()
            if not self.closed:
                self._task = asyncio.get_running_loop().create_task(self._reach())
        else:
            for each in (self.near, self.far):
                each.release()

    async def _reach(self) -> None:
        try:
            await self._connect(self.far)
        except OSError:
            self.end(abruptly=True)

    def review(self) -> None:
        """Let exactly those faults act that are active on the link now."""
        if self.closed:
            return
        records = self._faults.on(self._link)
        for record in records:
            if record.id not in self._draws and _fault(record).drawn_for_connection:
                self._draws[record.id] = digest = self._faults.decide(record, self._link, "")
                if digest is not None:
                    self._hit(record)
        for end in (self.near, self.far):
            self._review_way(end, records)

    def _hit(self, record: ActiveFault) -> None:
        record.in_flight += 1
        self._under.append(record)

    def _review_way(self, end: End, records: Sequence[ActiveFault]) -> None:
        known = {stage.id: stage for stage in end.course.stages} if end.course is not None else {}
        stages = []
        for record in records:
            fault = _fault(record)
            if fault.stream not in ("both", end.stream):
                continue
            digest = self._draws[record.id] if fault.drawn_for_connection else None
            if digest is None and fault.drawn_for_connection:
                continue  # this connection is spared
            stage = known.get(record.id)
            stages.append(stage if stage is not None and stage.fault is fault else Stage(record, fault, digest))
        if end.course is None:
            if not stages:
                return
            end.course = Course(self._decide)
        end.course.set_stages(stages, time.monotonic())
        end.release()

    def _decide(self, record: ActiveFault) -> bytes | None:
        return self._faults.decide(record, self._link, "")

    def lost(self, end: End, exc: Exception | None) -> None:
        """A socket is closed: the other one follows, in the same manner."""
        self._open -= 1
        if not self.closed:
            self.end(abruptly=exc is not None or not end.ended)
        if not self._open:
            self._forget(self)

    def end(self, *, abruptly: bool) -> None:
        """Close both sockets: in order, when what was handed to them is written, or at once by a reset."""
        if self.closed:
            return
        self.closed = True
        for record in self._under:
            record.in_flight -= 1
        if self._task is not None:
            self._task.cancel()
        for end in (self.near, self.far):
            end.cancel_timer()
            if end.transport is None or end.transport.is_closing():
                continue
            if abruptly:
                _abort(end)
            else:
                end.transport.close()


def _fault(record: ActiveFault) -> LinkFault:
    assert isinstance(record.fault, LinkFault), "only faults of links are taken over"
    return record.fault


def _abort(end: End) -> None:
    assert end.transport is not None
    opened = end.transport.get_extra_info("socket")
    if opened is not None and opened.family != socket.AF_UNIX:
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    end.transport.abort()
