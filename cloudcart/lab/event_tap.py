"""Reads what was published on the topics of the shop, from a chosen moment on, without joining a consumer group.

Used by the fixture ``cloudcart_events`` and by an experiment's record. It never commits an offset, so the shop's own
consumers do not notice it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from cloudcart.events import EVENTS, Event, decode
from cloudcart.exceptions import LabError, MissingExtraError

_POLL: Final = 0.05
_METADATA_TIMEOUT: Final = 5.0


class PublishedEvent(NamedTuple):
    """An event and where it was published."""

    topic: str
    partition: int
    offset: int
    event: Event


class EventTap:
    """Collects events published since it was made.

    Args:
        bootstrap: address of the broker, ``host:port``.
        from_beginning: collects also what was published before, as far as the broker still has it.

    Attributes:
        incomplete: the broker has dropped some before they were read, as the embedded one does after 5 MB a partition.

    Raises:
        MissingExtraError: confluent-kafka is not installed.
        LabError: the broker does not answer.
    """

    def __init__(self, bootstrap: str, *, from_beginning: bool = False) -> None:
        try:
            from confluent_kafka import Consumer
        except ImportError:
            raise MissingExtraError("confluent_kafka", "lab") from None
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "cloudcart-tap",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,  # a waiting fetch would hold up the look at the partitions' ends
                "log_level": 0,
            }
        )
        self._next: dict[tuple[str, int], int] = {}
        self._seen: list[PublishedEvent] = []
        self.incomplete = False
        for topic, partition in () if from_beginning else self._partitions():
            self._next[topic, partition] = self._bounds(topic, partition)[1]

    def drain(self) -> list[PublishedEvent]:
        """Read everything published until now; return what is new since the last call."""
        bounds = {place: self._bounds(*place) for place in self._partitions()}
        self._skip_what_was_dropped({place: first for place, (first, _) in bounds.items()})
        ends = {place: end for place, (_, end) in bounds.items()}
        behind = {place for place, end in ends.items() if self._next.get(place, 0) < end}
        if not behind:
            return []
        self._assign(behind)
        fresh: list[PublishedEvent] = []
        deadline = time.monotonic() + _METADATA_TIMEOUT
        while behind and time.monotonic() < deadline:
            for message in self._consumer.consume(num_messages=1000, timeout=_POLL):
                if message.error() is None:
                    fresh.extend(self._take(message))
            behind = {place for place in behind if self._next.get(place, 0) < ends[place]}
        self._consumer.unassign()
        self._seen.extend(fresh)
        return fresh

    def events(self, topic: str | None = None) -> list[Event]:
        """Return every event seen so far, of one topic or of all, oldest first within a partition."""
        self.drain()
        return [item.event for item in self._seen if topic in (None, item.topic)]

    def wait_for(self, topic: str, count: int = 1, timeout: float = 10.0) -> list[Event]:
        """Wait until ``count`` events of ``topic`` were published.

        Raises:
            LabError: they were not within ``timeout`` seconds; the message says how many were.
        """
        deadline = time.monotonic() + timeout
        while len(found := self._events_now(topic)) < count:
            if time.monotonic() > deadline:
                raise LabError(
                    f"{len(found)} of {count} events on {topic} within {timeout:g}s; is the worker's broker up?"
                )
            time.sleep(_POLL)
        return found

    def published(self) -> Iterator[PublishedEvent]:
        """Yield everything seen so far with its place."""
        yield from self._seen

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _events_now(self, topic: str) -> list[Event]:
        with suppress(LabError):  # the broker may be down: it is the patient
            self.drain()
        return [item.event for item in self._seen if item.topic == topic]

    def _partitions(self) -> list[tuple[str, int]]:
        topics = self._asked(lambda: self._consumer.list_topics(timeout=_METADATA_TIMEOUT).topics)
        return [(name, partition) for name in EVENTS if name in topics for partition in topics[name].partitions]

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the offsets of the first message that the broker has, and of the next that will come."""
        from confluent_kafka import TopicPartition

        place = TopicPartition(topic, partition)
        first, end = self._asked(lambda: self._consumer.get_watermark_offsets(place, timeout=_METADATA_TIMEOUT))
        return int(first), int(end)

    def _skip_what_was_dropped(self, first: Mapping[tuple[str, int], int]) -> None:
        for place, offset in first.items():
            if self._next.get(place, 0) < offset:
                self.incomplete = True
                self._next[place] = offset

    def _asked(self, question: Callable[[], Any]) -> Any:
        """Return the broker's answer; asks again for a while, since a new topic has no leader at first.

        Raises:
            LabError: it does not answer.
        """
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + _METADATA_TIMEOUT
        while True:
            try:
                return question()
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"the Kafka broker does not answer: {error}; 'cloudcart status' shows the lab"
                    ) from None
            time.sleep(_POLL)

    def _assign(self, places: set[tuple[str, int]]) -> None:
        from confluent_kafka import TopicPartition

        self._consumer.assign([TopicPartition(topic, part, self._next.get((topic, part), 0)) for topic, part in places])

    def _take(self, message: Any) -> Iterator[PublishedEvent]:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if offset < self._next.get((topic, partition), 0):
            return
        self._next[topic, partition] = offset + 1
        try:
            yield PublishedEvent(topic, partition, offset, decode(topic, message.value()))
        except ValueError:
            return  # a poison message: on the topic, but no event
