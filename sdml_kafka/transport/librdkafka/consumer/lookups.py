"""Ask brokers what a consumer has to know: commits, where logs begin and end, which topics exist.

Each request blocks the thread, so it has a second at first. A broker that needs longer gets longer
with each try. A start asks for a shorter time at first, since only between two requests does
librdkafka say why no broker can be reached.

**Commits and transactions.** The offsets of a transaction count once it is committed, and whoever
begins below them before that handles records twice. So a broker is asked for offsets that are
stable, and as long as some are not there is no answer. librdkafka asks so for consumers that read
committed records alone, which changes their other answers as well, and it blocks until there is an
answer. (Its client for requests does not block, but hands over the text of a commit with what lies
behind it in memory.) So a consumer of its own asks, in a thread of its own; both live as long as
the question.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from time import monotonic, sleep

from confluent_kafka import Consumer, KafkaError, KafkaException

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.client_partitions import as_client, at_offsets
from sdml_kafka.transport.librdkafka.group_protocol import without_group
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import Settings, made

START_TIMEOUT_S = 0.2
FIRST_TIMEOUT_S = 1.0
MIN_TIMEOUT_S = 0.05
COORDINATOR_TIMEOUT_S = 0.3
MAX_TIMEOUT_S = 5.0
RETRY_S = 1.0
REPLACE_S = 10.0
"""Seconds after which another client asks for commits (`lost_brokers.py`)."""
FIRST, END = -2, -1
"""The times that stand for the two ends of a log in a request for offsets."""


def error_of(error: KafkaException) -> KafkaError:
    """Return what librdkafka says of an error."""
    found: KafkaError = error.args[0]
    return found


class Lookups:
    """Asks by one consumer, in the thread that owns it. Each request raises `KafkaException`."""

    def __init__(self, consumer: Callable[[], Consumer]) -> None:
        """Ask by the consumer that the function returns."""
        self._consumer_now = consumer
        self._timeout_s = START_TIMEOUT_S
        self._deadline: float | None = None
        """The time at which the start is to be over, None once that does not matter any more."""

    def limit(self, deadline: float | None) -> None:
        """Let no request wait beyond a deadline from now on, None for no limit."""
        self._deadline = deadline

    @property
    def _consumer(self) -> Consumer:
        return self._consumer_now()

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Return what the group has committed, without the partitions of which it has nothing."""
        wanted = as_client(partitions)
        found = self._asked(lambda timeout_s: self._consumer.committed(wanted, timeout=timeout_s))
        for each in found:
            if each.error is not None:  # which is not to pass for a group without a commit
                raise KafkaException(each.error)
        return {
            TopicPartition(each.topic, each.partition): Commit(each.offset, each.metadata or "")
            for each in found
            if each.offset >= 0
        }

    def find_coordinator(self, partition: TopicPartition) -> None:
        """Raise what keeps the group's coordinator from answering."""
        self._consumer.committed(as_client([partition]), timeout=COORDINATOR_TIMEOUT_S)

    def offsets(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the first offset at or after a time in ms, or an end of the log.

        A partition is left out if its leader did not answer. Where no record is as late, the offset
        is -1.
        """
        wanted = at_offsets(times)
        try:
            found = self._asked(
                lambda timeout_s: self._consumer.offsets_for_times(wanted, timeout=timeout_s)
            )
        except KafkaException as error:
            if error_of(error).code() != KafkaError._UNKNOWN_PARTITION:
                raise
            for topic in {key.topic for key in times}:
                self.partition_count(topic)  # so that the client learns of its new partitions
            return {}
        return {
            TopicPartition(each.topic, each.partition): each.offset
            for each in found
            if each.error is None
        }

    def partition_count(self, topic: str) -> int:
        """Return the topic's number of partitions, 0 if it does not exist."""
        found = self._asked(lambda timeout_s: self._consumer.list_topics(topic, timeout_s))
        metadata = found.topics[topic]
        if metadata.error is not None and metadata.error.code() != KafkaError.LEADER_NOT_AVAILABLE:
            if metadata.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return 0
            raise KafkaException(metadata.error)
        return len(metadata.partitions)

    def topics(self) -> Collection[str]:
        """Return the names of all topics."""
        found = self._asked(lambda timeout_s: self._consumer.list_topics(timeout=timeout_s))
        return list(found.topics)

    def _asked[T](self, ask: Callable[[float], T]) -> T:
        timeout_s = self._timeout_s
        if self._deadline is not None:
            timeout_s = max(MIN_TIMEOUT_S, min(timeout_s, self._deadline - monotonic()))
        try:
            answer = ask(timeout_s)
        except KafkaException:
            self._timeout_s = min(MAX_TIMEOUT_S, 2 * self._timeout_s)
            raise
        self._timeout_s = FIRST_TIMEOUT_S if self._deadline is None else START_TIMEOUT_S
        return answer


class StableCommits:
    """Looks up commits of one group, for the thread of its member."""

    def __init__(self, settings: Settings, log: ClientLog) -> None:
        """Ask nothing yet.

        Args:
            settings: The configuration of the consumer.
            log: Where the client's lines go.
        """
        self._settings = {**without_group(settings), "isolation.level": "read_committed"}
        self._log = log
        self._question: Question | None = None

    def look_up(
        self, epoch: int, keys: Collection[TopicPartition]
    ) -> dict[TopicPartition, Commit] | None:
        """Return what the group has committed, without the partitions of which it has nothing.

        None means that there is no answer yet, so that the same question has to be put again. What
        was found out for an earlier epoch is no answer: others may have committed since.

        Raises:
            KafkaException: A broker has answered with an error.
        """
        question = self._question
        if question is None or (question.epoch, question.keys) != (epoch, frozenset(keys)):
            self.close()
            self._question = Question(epoch, frozenset(keys), self._settings, self._log)
            return None
        if question.error is not None:
            self._question = None
            raise question.error
        if question.answer is not None:
            self._question = None
            return dict(question.answer)
        return None

    def close(self) -> None:
        """Let a question go that has no answer yet."""
        if self._question is not None:
            self._question.is_wanted = False
            self._question = None


class Question:
    """One question, and its answer once there is one."""

    def __init__(
        self, epoch: int, keys: frozenset[TopicPartition], settings: Settings, log: ClientLog
    ) -> None:
        """Ask until there is an answer or nobody wants one."""
        self.epoch: int = epoch
        self.keys: frozenset[TopicPartition] = keys
        self.answer: Mapping[TopicPartition, Commit] | None = None
        self.error: KafkaException | None = None
        self.is_wanted: bool = True
        self._settings, self._log = settings, log
        threading.Thread(target=self._ask, name="sdml-kafka-commits", daemon=True).start()

    @property
    def _is_open(self) -> bool:
        return self.is_wanted and self.answer is None and self.error is None

    def _ask(self) -> None:
        while self._is_open:
            try:
                consumer = made(Consumer, self._settings, self._log)
            except SdmlKafkaError:  # it has got no token for its login
                sleep(RETRY_S)
                continue
            try:
                self._ask_by(consumer)
            finally:
                consumer.close()

    def _ask_by(self, consumer: Consumer) -> None:
        """Ask by one client, but not for long: it may have lost its brokers."""
        lookups, replace_at = Lookups(lambda: consumer), monotonic() + REPLACE_S
        while self._is_open and monotonic() < replace_at:
            try:
                self.answer = lookups.committed(self.keys)
            except KafkaException as error:
                if not error_mapping.may_succeed_later(error_of(error)):
                    self.error = error
