"""Hold the records for topics that are not known yet, and look for those topics.

librdkafka asks a broker for a topic in a call that blocks, so a thread makes it. The thread begins
with the first lookup, and ends with the producer.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.delivery_reports import Entry

CREATION_S = 1.0
"""Seconds within which a broker that creates topics by itself has done so, and each knows of it."""
RETRY_S = 0.1
FIRST_WAIT_S, MAX_WAIT_S = 0.2, 1.0

Count = Callable[[str, float], int | KafkaError]
"""Asks a broker for the number of a topic's partitions, for so many seconds at most."""


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
        while (topic := self._sought.get()) is not None:
            answer = self._answer(topic)
            if self._ended:
                return
            self._loop.call_soon(partial(self._hand_on, topic, answer))

    def _answer(self, topic: str) -> int | KafkaError:
        """Return the number of partitions, or why there are none after all patience."""
        wait_s, answered_at = FIRST_WAIT_S, None
        while True:
            answer = self._ask(topic, wait_s)
            if self._ended or isinstance(answer, int):
                return answer
            if answer.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION):
                return answer
            if answer.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
                wait_s = min(2 * wait_s, MAX_WAIT_S)
            elif answered_at is None:
                answered_at = time.monotonic()
            elif time.monotonic() - answered_at > CREATION_S:
                return answer
            time.sleep(RETRY_S)

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
