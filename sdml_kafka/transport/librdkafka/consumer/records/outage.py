"""An outage of all brokers, from which on nothing is fetched until partitions have leaders again.

librdkafka 2.16 does not survive every such outage by itself. With fetching that begins anew only
once all leaders are known, it does.
"""

from collections.abc import Callable, Collection
from math import inf
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.lost_brokers import finds_none

LOOK_INTERVAL_S = 0.1
LOOK_TIMEOUT_S = 0.2
MAX_LEADERLESS_S = 3.0
"""Seconds after the first answer for which partitions without a leader hold up the others."""


class Outage:
    """Notes that no broker can be reached, and sees when fetching may begin anew."""

    def __init__(
        self,
        reconnect_pause_s: float = 0.0,
        others_answered_at: Callable[[], float] = lambda: -inf,
        next_consumer: Callable[[], Consumer] | None = None,
    ) -> None:
        """Begin without an outage.

        Args:
            reconnect_pause_s: Seconds within which a client connects again that can.
            others_answered_at: Returns when the consumer's other client was answered last.
            next_consumer: Closes a client that has lost its brokers, and returns another one.
        """
        self._next_consumer = next_consumer
        self._reconnect_pause_s = reconnect_pause_s
        self._others_answered_at = others_answered_at
        self.is_on: bool = False
        """True if nothing is to be fetched."""
        self.has_paused: bool = False
        """True if the partitions are paused for it."""
        self.has_lost_brokers: bool = False
        """True if the client will never be answered again (`lost_brokers.py`)."""
        self._began_at = 0.0
        self._look_at = 0.0
        self._answered_at: float | None = None

    def note(self, error: KafkaError) -> None:
        """Take an error of the client that fetches, which hands it over while it is polled."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_on, self._answered_at, self._began_at = True, None, monotonic()

    def is_over(self, consumer: Consumer, keys: Collection[TopicPartition]) -> bool:
        """Return whether the partitions may be fetched, by a look at brokers now and then."""
        now = monotonic()
        if now < self._look_at or not keys:  # what is read later may find no brokers either
            return False
        self._look_at = now + LOOK_INTERVAL_S
        others_are_answered = self._others_answered_at() > self._began_at
        timeout_s = self._reconnect_pause_s if others_are_answered else LOOK_TIMEOUT_S
        try:
            has_leaders = self._have_leaders(consumer, keys, timeout_s)
        except KafkaException as error:  # nobody has answered
            self.has_lost_brokers = others_are_answered and finds_none(error)
            return False
        if self._answered_at is None:
            self._answered_at = now
        return has_leaders or now > self._answered_at + MAX_LEADERLESS_S

    def _have_leaders(
        self, consumer: Consumer, keys: Collection[TopicPartition], timeout_s: float
    ) -> bool:
        for topic in {key.topic for key in keys}:
            answer: Any = consumer.list_topics(topic, timeout_s)  # which is not typed
            found = answer.topics.get(topic)
            known: dict[int, Any] = {} if found is None else found.partitions
            own = [key.partition for key in keys if key.topic == topic]
            if any(number not in known or known[number].leader < 0 for number in own):
                return False
        return True

    def begin_anew(self) -> Consumer:
        """Return a client in place of the one that has lost its brokers."""
        self.has_lost_brokers = self.has_paused = False
        self._began_at = monotonic()
        assert self._next_consumer is not None
        return self._next_consumer()

    def end(self) -> None:
        """Note that the partitions are fetched again."""
        self.is_on = self.has_paused = False
