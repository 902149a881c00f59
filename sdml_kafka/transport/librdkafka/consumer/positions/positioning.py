"""Look up between two polls of the member where partitions are read from, and what has changed.

An assignment that waits for its positions comes first, then topics and partitions that are missing,
then the ends of what is read. Each turn asks for one of them, since requests block the thread.
"""

from collections.abc import Callable, Collection, Mapping
from time import monotonic

from confluent_kafka import KafkaException

from sdml_kafka.errors import ConsumerFailed, SdmlKafkaError
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Commit, ConsumerSettings
from sdml_kafka.transport.librdkafka.consumer.ends import Ends
from sdml_kafka.transport.librdkafka.consumer.lookups import FIRST
from sdml_kafka.transport.librdkafka.consumer.member import Member
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.consumer.positions.starting import Start
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.librdkafka.consumer.topics import Topics
from sdml_kafka.transport.librdkafka.lost_brokers import LOST

RETRY_S = 0.1
"""Seconds after which brokers are asked again that have not answered."""


class Positioning:
    """Asks brokers in the member's thread, while the consumer runs."""

    def __init__(
        self,
        own: ConsumerSettings,
        start: Start,
        member: Member,
        topics: Topics,
        ends: Ends,
        obstacles: Obstacles,
        exchange: Exchange,
        open_partitions: Callable[[Assignment], object],
        has_lost_brokers: Callable[[KafkaException], bool],
    ) -> None:
        """Ask nothing yet.

        Args:
            own: What the package has to know of the configuration.
            start: Decides where partitions are read from.
            member: Has the partitions that were given, and asks brokers.
            topics: The consumer's topics.
            ends: The ends of the partitions.
            obstacles: Notes whether brokers answer.
            exchange: Takes jumps and errors.
            open_partitions: Called with an assignment whose positions are known.
            has_lost_brokers: Returns whether the member will never be answered again, by the error
                of the last request.
        """
        self._own = own
        self._member = member
        self._topics = topics
        self._start = start
        self._ends = ends
        self._obstacles = obstacles
        self._exchange = exchange
        self._open_partitions = open_partitions
        self._has_lost_brokers = has_lost_brokers
        self._retry_at = 0.0

    def turn(self) -> None:
        """Ask for one thing, if something is due."""
        now = monotonic()
        if now >= self._retry_at:
            try:
                self._look_up()
            except KafkaException as error:
                self._obstacles.note_silence()
                self._retry_at = now + RETRY_S
                if self._has_lost_brokers(error):
                    self._exchange.fail(ConsumerFailed(LOST))
            except SdmlKafkaError as error:
                self._exchange.fail(error)

    def _look_up(self) -> None:
        assignments = self._member.assignments
        if assignments.may_be_positioned:
            self._position()
        elif self._topics.is_due or not self._obstacles.is_connected:
            self._topics.refresh(self._topics.missing or self._topics.names)
            self._obstacles.note_connection()
            self._start.note_missing()
            if not self._own.group_id:
                assignments.follow(self._topics.partitions())
        elif self._ends.is_due and not self._start.is_tail:  # nobody is shown the lag of a tail
            self._ends.ask(list(assignments.epochs))

    def _position(self) -> None:
        assignments = self._member.assignments
        epoch, given = assignments.epoch, assignments.to_position or frozenset()
        self._topics.note_given(given)
        keys = self._start.fetched(given)
        topics = {key.topic for key in keys}
        siblings = {key for key in self._topics.partitions() if key.topic in topics}
        commits = self._find_commits(keys, siblings.difference(keys))
        if commits is None:
            return
        firsts = self._member.lookups.offsets(dict.fromkeys(keys, FIRST)) if keys else {}
        ends = self._ends.ask(keys)
        if len(firsts) < len(keys) or len(ends) < len(keys):
            self._retry_at = monotonic() + RETRY_S
            return
        started = self._start.start(keys, commits, {key: (firsts[key], ends[key]) for key in keys})
        assignments.note_positioned()
        self._exchange.note_jumps(started.jumps)
        owned = assignments.epochs if self._own.group_id else self._topics.partitions()
        elsewhere = self._start.elsewhere(owned)
        places = started.positions, started.committed
        self._open_partitions(Assignment(epoch, *places, elsewhere, adds=self._own.incremental))

    def _find_commits(
        self, keys: Collection[TopicPartition], others: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, Commit] | None:
        """Return what the group has committed, None while that is not known.

        What transactions have yet to commit of others has nothing to do with this member.
        """
        if not self._own.group_id or not keys:
            return {}
        commits = self._member.stable_commits.look_up(self._member.assignments.epoch, keys)
        if commits is not None and others:
            commits.update(self._member.lookups.committed(others))
        return commits
