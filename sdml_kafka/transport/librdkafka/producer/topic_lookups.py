"""Hold the records for topics that are not known yet, and look for those topics.

librdkafka asks a broker for a topic in a call that blocks, so a thread makes it. The thread begins
with the first lookup, and ends with the producer. It asks for topics by turns: one that is missing
is asked for again for a while, which holds up no other.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.delivery_reports import Entry

CREATION_S = 1.0
"""Seconds within which a broker that creates topics by itself has done so, and each knows of it."""
RETRY_S = 0.1
FIRST_WAIT_S, MAX_WAIT_S = 0.2, 1.0
FINAL = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION})
"""The errors after which a broker is not asked again."""

Count = Callable[[str, float], int | KafkaError]
"""Asks a broker for the number of a topic's partitions, for so many seconds at most."""


class _Lookup:
    """The patience with one topic."""

    def __init__(self) -> None:
        self.wait_s = FIRST_WAIT_S
        self.ask_at = 0.0
        self._answered_at: float | None = None

    def is_over_with(self, answer: int | KafkaError) -> bool:
        """Return whether this answer is the last one; else note when to ask again."""
        now = time.monotonic()
        if isinstance(answer, int) or answer.code() in FINAL:
            return True
        if answer.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
            self.wait_s = min(2 * self.wait_s, MAX_WAIT_S)
        elif self._answered_at is None:
            self._answered_at = now
        elif now - self._answered_at > CREATION_S:
            return True
        self.ask_at = now + RETRY_S
        return False


class TopicLookups:
    """The topics that are looked for, and the records that wait for them."""

    def __init__(
        self,
        loop: ProgramLoop,
        count: Count,
        found: Callable[[str, int, deque[Entry]], None],
        failed: Callable[[str, KafkaError, deque[Entry]], None],
    ) -> None:
        """Look for nothing yet.

        Args:
            loop: The program's loop.
            count: Asks a broker; called in the thread of the lookups.
            found: Gets a topic with its number of partitions, and the records that have waited.
            failed: Gets a topic that is missing, or may not be written to, likewise.
        """
        self.waiting: dict[str, deque[Entry]] = {}
        self._loop = loop
        self._count = count
        self._found = found
        self._failed = failed
        self._sought: SimpleQueue[str | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended = False

    def add(self, entry: Entry) -> None:
        """Hold a record until its topic is found."""
        topic = entry[0].topic
        if (group := self.waiting.get(topic)) is not None:
            group.append(entry)
            return
        self.waiting[topic] = deque((entry,))
        self._sought.put(topic)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._look_up, name="sdml-kafka-topics", daemon=True
            )
            self._thread.start()

    def close(self) -> list[Entry]:
        """End the thread, and return the records that still wait."""
        self._ended = True
        self._sought.put(None)
        left = [entry for group in self.waiting.values() for entry in group]
        self.waiting.clear()
        return left

    def _look_up(self) -> None:
        open_lookups = dict[str, _Lookup]()
        while not self._ended:
            for topic in self._take_sought(is_idle=not open_lookups):
                open_lookups[topic] = _Lookup()
            for topic, lookup in list(open_lookups.items()):
                if self._ended:
                    return
                if time.monotonic() < lookup.ask_at:
                    continue
                answer = self._ask(topic, lookup.wait_s)
                if lookup.is_over_with(answer):
                    del open_lookups[topic]
                    self._loop.call_soon(partial(self._hand_on, topic, answer))

    def _take_sought(self, *, is_idle: bool) -> list[str]:
        """Wait for a topic to look for, and return it and all others that there are by then."""
        sought = list[str | None]()
        with suppress(Empty):
            sought.append(self._sought.get(timeout=None if is_idle else RETRY_S))
            while True:
                sought.append(self._sought.get_nowait())
        return [topic for topic in sought if topic is not None]

    def _ask(self, topic: str, timeout_s: float) -> int | KafkaError:
        try:
            return self._count(topic, timeout_s)
        except KafkaException as error:
            answer: KafkaError = error.args[0]
            return answer

    def _hand_on(self, topic: str, answer: int | KafkaError) -> None:
        entries = self.waiting.pop(topic, None)
        if entries is None:
            return  # closed meanwhile
        if isinstance(answer, int):
            self._found(topic, answer, entries)
        else:
            self._failed(topic, answer, entries)
