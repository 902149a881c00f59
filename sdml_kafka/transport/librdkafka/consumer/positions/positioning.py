"""Look up between two polls of the member where partitions are read from, and what has changed.

An assignment that waits for its positions comes first, then topics and partitions that are missing,
then the ends of what is read. Each turn asks for one of them, since requests block the thread. What
waits for others, as for the end of a transaction or a broker that does not answer, lets the next
one have its turn: what is read meanwhile is not to look as if its brokers were away.
"""

from collections.abc import Callable, Collection, Mapping
from time import monotonic

from confluent_kafka import KafkaException

from sdml_kafka.errors import ConsumerFailed, SdmlKafkaError
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Commit, ConsumerSettings
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.consumer.ends import Ends
from sdml_kafka.transport.librdkafka.consumer.lookups import FIRST, error_of
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
        self._retry_at = self._position_at = 0.0
        self._is_in_doubt = False
        """True if a broker has not answered, and it is not known whether others do."""

    def turn(self) -> None:
        """Ask for one thing, if something is due."""
        now = monotonic()
        if now >= self._retry_at:
            try:
                if self._is_in_doubt or not self._obstacles.is_connected:
                    self._refresh_topics()  # any broker answers that
                else:
                    self._look_up(now)
            except KafkaException as error:
                self._obstacles.note_silence()
                self._retry_at = now + RETRY_S
                if self._has_lost_brokers(error):
                    self._exchange.fail(ConsumerFailed(LOST))
            except SdmlKafkaError as error:
                self._exchange.fail(error)

    def _look_up(self, now: float) -> None:
        assignments = self._member.assignments
        try:
            if assignments.may_be_positioned and now >= self._position_at and self._position():
                return
            if self._topics.is_due:
                self._refresh_topics()
            elif not self._start.is_tail or self._obstacles.unreachable():
                # Nobody is shown the lag of a tail, but whether brokers that were away answer.
                self._ends.ask_due(list(assignments.epochs))
        except KafkaException as error:
            if error_mapping.is_authorization(error_of(error)):
                raise error_mapping.may_not_read(error_of(error)) from error
            self._is_in_doubt = True
            self._position_at = now + RETRY_S

    def _refresh_topics(self) -> None:
        self._is_in_doubt = False
        self._topics.refresh(self._topics.missing or self._topics.names)
        self._obstacles.note_connection()
        self._start.note_missing()
        if not self._own.group_id:
            self._member.assignments.follow(self._topics.partitions())

    def _position(self) -> bool:
        """Position what was given, and return whether all is known that it takes."""
        assignments = self._member.assignments
        epoch, given = assignments.epoch, assignments.to_position or frozenset()
        self._topics.note_given(given)
        keys = self._start.fetched(given)
        topics = {key.topic for key in keys}
        siblings = {key for key in self._topics.partitions() if key.topic in topics}
        commits = self._find_commits(keys, siblings.difference(keys))
        if commits is None:
            return False
        firsts = self._member.lookups.offsets(dict.fromkeys(keys, FIRST)) if keys else {}
        ends = self._ends.ask(keys)
        if len(firsts) < len(keys) or len(ends) < len(keys):
            self._position_at = monotonic() + RETRY_S
            return False
        started = self._start.start(keys, commits, {key: (firsts[key], ends[key]) for key in keys})
        assignments.note_positioned()
        self._exchange.note_jumps(started.jumps)
        owned = assignments.epochs if self._own.group_id else self._topics.partitions()
        elsewhere = self._start.elsewhere(owned)
        places = started.positions, started.committed
        self._open_partitions(Assignment(epoch, *places, elsewhere, adds=self._own.incremental))
        return True

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
