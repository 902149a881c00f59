"""Start a consumer, in the member's thread: find its topics, and see what its group has read."""

from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from time import monotonic
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.consumer.lookups import MIN_TIMEOUT_S, error_of
from sdml_kafka.transport.librdkafka.consumer.member import Member
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.consumer.topics import Topics
from sdml_kafka.transport.librdkafka.group_protocol import without_group
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import Settings, made
from sdml_kafka.transport.rules.start_rules import StartRules

LOOK_BACK_TRIES = 4
CREATE_TIMEOUT_S = 5.0
LOOK_S = 0.1
"""Seconds between two looks whether the consumer is stopped while a topic is created."""


class Startup:
    """Asks brokers until they answer, the timeout is over or the consumer is stopped."""

    def __init__(
        self,
        settings: Settings,
        log: ClientLog,
        member: Member,
        obstacles: Obstacles,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._log = log
        self._member = member
        self._obstacles = obstacles
        self._is_stopping = is_stopping

    def find(self, topics: Topics, timeout_s: float, deadline: float, *, creates: bool) -> None:
        """Find the topics, and create those that are missing if `creates`.

        Raises:
            SdmlKafkaError: No broker has answered within the timeout, or one has refused.
        """
        while True:
            try:
                topics.find(partial(self._create_topic, deadline) if creates else None)
            except KafkaException as error:
                self._member.poll(0.0)  # errors of connections are handed over by this alone
                obstacles = self._obstacles
                if obstacles.refusal is not None:
                    raise obstacles.refusal from error
                is_late = monotonic() >= deadline or self._is_stopping()
                if obstacles.all_down or is_late:
                    raise obstacles.no_start(timeout_s) from error
            else:
                return

    def _create_topic(self, deadline: float, topic: str) -> bool:
        """Create a topic as the broker is configured, and return whether it is new."""
        settings = {**without_group(self._settings), "error_cb": self._member.note_error}
        client: Any = made(AdminClient, settings, self._log)  # its requests are not typed
        try:
            with client:  # an error would else keep it
                timeout_s = max(MIN_TIMEOUT_S, min(CREATE_TIMEOUT_S, deadline - monotonic()))
                new = [NewTopic(topic, -1)]
                asked = client.create_topics(new, request_timeout=timeout_s)[topic]
                while not wait([asked], LOOK_S).done:
                    if self._is_stopping():
                        raise KafkaException(KafkaError(KafkaError._DESTROY))
                asked.result()
        except KafkaException as error:
            if error_of(error).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            if error_mapping.may_succeed_later(error_of(error)):
                raise
            what = f"create the topic {topic!r}"
            raise error_mapping.from_admin(error_of(error), what) from error
        return True

    def look_back(self, topics: Topics, rules: StartRules, deadline: float) -> None:
        """Note which topics the group has read before, if its coordinator answers.

        Raises:
            SdmlKafkaError: A broker has refused.
        """
        for _ in range(LOOK_BACK_TRIES):
            try:
                commits = self._member.lookups.committed(topics.partitions())
            except KafkaException as error:
                self._member.poll(0.0)
                self._obstacles.note_coordinator(error_of(error))
                if self._obstacles.refusal is not None:
                    raise self._obstacles.refusal from error
                if monotonic() >= deadline or self._is_stopping():
                    return
            else:
                self._obstacles.note_coordinator(None)
                rules.note_read_before({key.topic for key in commits})
                return
