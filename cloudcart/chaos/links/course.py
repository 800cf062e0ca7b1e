"""When which bytes of one stream go on, under the faults that are stacked on it: the arithmetic, without sockets.

Each chunk passes through every fault at the moment it is read; what a fault adds is written down, not waited for. So
any number of faults adds up exactly, delays do not queue behind each other, and a fault that ends takes back what it
had added to bytes still held. Called by ``chaos.links.connection``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from cloudcart.chaos.draw import number
from cloudcart.chaos.record import ActiveFault
from cloudcart.faults.link import LinkFault

Ending = Literal["close", "reset"]
Decide = Callable[[ActiveFault], bytes | None]
"""Takes the draw of a fault for one chunk, and counts it."""

_GRAIN: Final = 0.01  # seconds of a limited line that one piece takes at most
_SURE: Final = bytes(64)


@dataclass(slots=True, eq=False)
class Piece:
    """Bytes held on their way. ``waits`` are the seconds that each fault adds, by its id."""

    data: bytes
    arrived: float
    last: bool = False  # nothing follows: the end of the stream
    waits: dict[str, float] = field(default_factory=dict)

    @property
    def due(self) -> float:
        """When it may go on (monotonic seconds)."""
        return self.arrived + sum(self.waits.values())


@dataclass(slots=True, eq=False)
class Stage:
    """One fault on one stream. ``digest`` is the connection's draw, for faults that draw once a connection."""

    record: ActiveFault
    fault: LinkFault
    digest: bytes | None
    passed: int = 0
    line_free: float = -math.inf
    newest: float = -math.inf  # when the last bytes leave: what follows does not overtake them

    @property
    def id(self) -> str:
        """The fault's."""
        return self.record.id


class Course:
    """The way of one stream through its faults.

    Args:
        decide: draws for a chunk.
    """

    __slots__ = ("_decide", "_pieces", "endings", "held", "stages")

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._pieces: deque[Piece] = deque()
        self.stages: list[Stage] = []
        self.endings: dict[str, tuple[float, Ending]] = {}  # by fault: when and how it ends the connection
        self.held = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def set_stages(self, stages: Sequence[Stage], now: float) -> None:
        """Let these faults act from now on; what others had added to held bytes is taken back."""
        known, kept = {stage.id for stage in self.stages}, {stage.id for stage in stages}
        self.stages = list(stages)
        if known - kept:
            self._take_back(kept)
        self.endings = {fault: ending for fault, ending in self.endings.items() if fault in kept}
        for stage in self.stages:
            if stage.id not in known and stage.digest is not None:
                self._pass_through(stage, [Piece(b"", now)])  # the connection is open: some act on that alone

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes that were read now."""
        pieces = [Piece(data, now)]
        for stage in self.stages:
            pieces = self._pass_through(stage, pieces)
        for piece in pieces:
            self.held += len(piece.data)
            self._pieces.append(piece)

    def feed_end(self, now: float) -> None:
        """Take note that nothing more will be read."""
        piece = Piece(b"", now, last=True)
        for stage in self.stages:
            stage.fault.act_on_end(_Hit(self, stage, stage.digest or _SURE, [piece]))
        self._pieces.append(piece)

    def take(self, now: float) -> Piece | None:
        """Return what goes on next, if it is time."""
        if not self._pieces or self._pieces[0].due > now:
            return None
        piece = self._pieces.popleft()
        self.held -= len(piece.data)
        return piece

    def ending(self, now: float) -> Ending | None:
        """Return how a fault ends the connection now, if one does."""
        return next((how for due, how in self.endings.values() if due <= now), None)

    def next_after(self, now: float) -> float:
        """Return when there will be something to do, later than now; infinite if only a change can bring it."""
        head = [self._pieces[0].due] if self._pieces else []
        moments = [*head, *(due for due, _ in self.endings.values())]
        return min((moment for moment in moments if moment > now), default=math.inf)

    def _take_back(self, kept: set[str]) -> None:
        for piece in self._pieces:
            for gone in piece.waits.keys() - kept:
                del piece.waits[gone]
        newest = self._pieces[-1].due if self._pieces else -math.inf
        for stage in self.stages:
            stage.newest = stage.line_free = newest if newest < math.inf else -math.inf

    def _pass_through(self, stage: Stage, pieces: list[Piece]) -> list[Piece]:
        return [out for piece in pieces for out in self._through(stage, piece)]

    def _through(self, stage: Stage, piece: Piece) -> Iterable[Piece]:
        digest = self._decide(stage.record) if stage.digest is None else stage.digest
        hit = _Hit(self, stage, digest or _SURE, [piece])
        if digest is not None:
            stage.fault.act_on_link(hit)
            stage.passed += len(piece.data)
        for out in hit.pieces:
            if out.due < stage.newest:
                hit.wait(out, stage.newest - out.due)
            stage.newest = out.due
        return hit.pieces


class _Hit:
    """What one fault sees of the bytes that it hits; fulfils :class:`cloudcart.faults.Link`."""

    __slots__ = ("_course", "_digest", "_stage", "pieces")

    def __init__(self, course: Course, stage: Stage, digest: bytes, pieces: list[Piece]) -> None:
        self._course = course
        self._stage = stage
        self._digest = digest
        self.pieces = pieces

    @property
    def size(self) -> int:
        return sum(len(piece.data) for piece in self.pieces)

    @property
    def passed(self) -> int:
        return self._stage.passed

    def draw(self, index: int) -> float:
        return number(self._digest, index)

    def wait(self, piece: Piece, seconds: float) -> None:
        piece.waits[self._stage.id] = piece.waits.get(self._stage.id, 0.0) + seconds

    def delay(self, seconds: float) -> None:
        for piece in self.pieces:
            self.wait(piece, seconds)

    def hold(self) -> None:
        self.delay(math.inf)

    def transmit(self, rate: float) -> None:
        stage, grain = self._stage, max(1, int(rate * _GRAIN))
        self.pieces = [part for piece in self.pieces for part in _cut(piece, [grain])]
        for piece in self.pieces:
            if piece.due == math.inf:
                continue  # held by another fault
            stage.line_free = max(piece.due, stage.line_free) + len(piece.data) / rate
            self.wait(piece, stage.line_free - piece.due)

    def slice(self, sizes: int, variation: int, pause: float) -> None:
        variation = min(variation, sizes - 1)
        lengths = [max(1, round(sizes + (2 * self.draw(index) - 1) * variation)) for index in range(1, 8)]
        self.pieces = [part for piece in self.pieces for part in _cut(piece, lengths)]
        for place, piece in enumerate(self.pieces):
            self.wait(piece, place * pause)

    def keep(self, count: int) -> None:
        for piece in self.pieces:
            piece.data = piece.data[:count]
            count -= len(piece.data)

    def close(self, after: float) -> None:
        self._end(after, "close")

    def reset(self, after: float) -> None:
        self._end(after, "reset")

    def _end(self, after: float, how: Ending) -> None:
        due = max(piece.arrived for piece in self.pieces) + after
        self._course.endings.setdefault(self._stage.id, (due, how))


def _cut(piece: Piece, lengths: Sequence[int]) -> Iterator[Piece]:
    """Yield a piece in parts of these lengths, over and over."""
    data, place, turn = piece.data, 0, 0
    if len(data) <= lengths[0]:
        yield piece
        return
    while place < len(data):
        length = lengths[turn % len(lengths)]
        yield Piece(data[place : place + length], piece.arrived, waits=dict(piece.waits))
        place, turn = place + length, turn + 1
