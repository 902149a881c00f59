"""The client of one consumer that is the member of its group, in the thread that owns it.

By default the member joins by KIP-848's protocol. If the broker does not have that, another client
joins by the classic one and takes the place of the first. So whoever needs the client, its
assignments or its commits asks the member for them each time.

A broker from Kafka 4.0 on says so itself. Of an older one librdkafka does not say that it has no
such request: it looks for the coordinator again and again, which answers.
"""

from collections.abc import Callable, Collection
from functools import partial
from time import monotonic
from typing import Any

from attrs import evolve
from confluent_kafka import Consumer, KafkaError, KafkaException

from sdml_kafka.errors import CommitRejected, ConsumerFailed
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import ConsumerSettings, Membership
from sdml_kafka.transport.librdkafka.consumer.assignments import (
    Assignments,
    PendingRevocation,
    is_member,
)
from sdml_kafka.transport.librdkafka.consumer.commits import Commits
from sdml_kafka.transport.librdkafka.consumer.failures import lacks_consumer_protocol
from sdml_kafka.transport.librdkafka.consumer.lookups import Lookups, StableCommits, error_of
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.group_protocol import (
    STATIC_NAME,
    group_protocol,
    membership_of,
)
from sdml_kafka.transport.librdkafka.group_session import SessionLookup
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.lost_brokers import has_lost_brokers
from sdml_kafka.transport.librdkafka.options import Settings, made

TURN_S = 0.02
BUSY_TURN_S = 0.002
"""Seconds of a turn while a commit waits for its answer."""
COORDINATOR_INTERVAL_S = 0.5
"""Seconds between two looks for the group's coordinator, while the group takes no member."""
PASSED_OVER_S = 2.0
"""Seconds for which the coordinator answers and the member has not joined, until it joins by the
other protocol, or that is said. A broker that has both would take it in the group all the same."""
MIN_DRAIN_S = 0.5
REBALANCE_MARGIN_S = 1.0
"""Seconds before the end of the rebalance timeout at which the rebalance goes on anyway."""


class Member:
    """Owns the client, which connects to nobody before it asks a broker or joins."""

    def __init__(
        self,
        settings: Settings,
        consumer_settings: ConsumerSettings,
        log: ClientLog,
        obstacles: Obstacles,
        withhold: Callable[[Collection[TopicPartition]], frozenset[TopicPartition]],
        on_revocation: Callable[[PendingRevocation], object],
        call_soon: Callable[[Callable[[], object]], object],
    ) -> None:
        """Make the client.

        Args:
            settings: The configuration of librdkafka.
            consumer_settings: What the package has to know of it.
            log: Where the client's lines go.
            obstacles: Takes the client's errors.
            withhold: See `Assignments`.
            on_revocation: Called in the member's thread with a revocation.
            call_soon: Has a function called in the member's thread.
        """
        self._settings = settings
        self._own = consumer_settings
        self._log = log
        self._obstacles = obstacles
        self._withhold = withhold
        self._on_revocation = on_revocation
        self._call_soon = call_soon
        self._protocol = group_protocol(settings)
        self._is_refused = False
        """True if the broker does not have the group protocol that was tried."""
        self._topics: list[str] = []
        """The topics that were joined for."""
        self._is_tail = False
        self._session: SessionLookup | None = None
        self._coordinator_at = 0.0
        self._answers_since: float | None = None
        """The time since which the coordinator answers, None if it does not."""
        self.lookups: Lookups = Lookups(lambda: self._client)
        self.stable_commits: StableCommits = StableCommits(settings, log)
        self._set_up(self._protocol.settings)

    def _set_up(self, settings: Settings) -> None:
        callbacks = {"error_cb": self.note_error, "on_commit": self._on_commit}
        self._client: Consumer = made(Consumer, {**settings, **callbacks}, self._log)
        self.membership: Membership = (
            membership_of(settings) if self._own.group_id else Membership()
        )
        is_incremental = self._own.incremental
        self.assignments: Assignments = Assignments(
            self._client,
            self._withhold,
            self._on_revocation,
            is_incremental=is_incremental,
            drain_s=max(MIN_DRAIN_S, self._own.rebalance_timeout_s - REBALANCE_MARGIN_S),
        )
        may_commit = self._check_may_commit
        self.commits: Commits = Commits(self._client, may_commit, is_incremental=is_incremental)

    def join(self, topics: Collection[str], *, is_tail: bool) -> None:
        """Join the group, for which an assignment that gives nothing counts as one of a tail."""
        self._topics, self._is_tail = sorted(topics), is_tail
        self._coordinator_at = monotonic() + COORDINATOR_INTERVAL_S
        self._answers_since = None
        self.assignments.subscribe(self._topics, reports_empty=is_tail)

    # -- turns ---------------------------------------------------------------------------

    def turn(self) -> None:
        """Poll, and join by the other protocol if the broker does not have this one."""
        self.poll(BUSY_TURN_S if self.commits.in_flight else TURN_S)
        if self._is_refused:
            self._fall_back()

    def poll(self, timeout_s: float) -> None:
        """Have callbacks called, and take an error."""
        message = self._client.poll(timeout_s)
        if message is not None and (error := message.error()) is not None:
            self.note_error(error)

    def note_error(self, error: KafkaError) -> None:
        """Take an error of the client, or of one that is used beside it."""
        if lacks_consumer_protocol(error) and self._protocol.fallback is not None:
            self._is_refused = True
        else:
            self._obstacles.note(error)

    def _fall_back(self) -> None:
        self._is_refused = False
        if self.assignments.epoch:  # the next consumer begins with the other one
            raise ConsumerFailed("the brokers do not have the group's protocol any more")
        if self._protocol.fallback is not None:
            self.assignments.close()
            self._client.close()
            self._set_up(self._protocol.fallback)
            self.join(self._topics, is_tail=self._is_tail)

    def look_at_group(self, *, finds_topics: bool) -> None:
        """See whether the member has joined, why not, and on which terms it has.

        Args:
            finds_topics: Whether any of the topics exists.
        """
        if not self.assignments.epoch:
            self.assignments.look_whether_joined()
            is_answered = self._look_for_coordinator(monotonic())
            if is_answered and self.membership.protocol == "classic" and not finds_topics:
                self.assignments.give(())
            self._look_whether_passed_over()
        elif self._session is None and self._shows_brokers_session:
            self._look_up_session()

    def _look_for_coordinator(self, now: float) -> bool:
        """Find out why the group does not take the member: librdkafka does not say it by itself.

        Return whether the coordinator was asked now, and has answered.
        """
        if now < self._coordinator_at or self.assignments.to_position is not None:
            return False
        self._coordinator_at = now + COORDINATOR_INTERVAL_S
        try:
            self.lookups.find_coordinator(TopicPartition(self._topics[0], 0))
        except KafkaException as error:
            reason = error_of(error)
            # Kafka answers nothing more over a connection until the rebalance has ended for which
            # a member of the classic protocol waits there. That is no fault of the coordinator.
            is_kept_waiting = self.is_kept_waiting and reason.code() == KafkaError._TIMED_OUT
            self._obstacles.note_coordinator(None if is_kept_waiting else reason)
            self._answers_since = None
            return False
        self._obstacles.note_coordinator(None)
        self._answers_since = self._answers_since or now
        return True

    @property
    def is_kept_waiting(self) -> bool:
        """True if a group of the classic protocol has not taken the member. Any thread may ask."""
        has_joined = self.assignments.epoch or self.assignments.has_joined
        return self.membership.protocol == "classic" and bool(self._topics) and not has_joined

    def _look_whether_passed_over(self) -> None:
        is_passed_over = self._is_passed_over
        # A group that knows the protocol lets a static member in after the session of another one.
        if is_passed_over and self._protocol.fallback and STATIC_NAME not in self._settings:
            self._fall_back()
        else:
            self._obstacles.is_passed_over = is_passed_over

    @property
    def _is_passed_over(self) -> bool:
        """True if the coordinator answers, and seems not to know of the protocol that was tried."""
        if self.membership.protocol == "classic" or self._obstacles.is_group_full:
            return False
        if self._answers_since is None or self.assignments.epoch or self.assignments.has_joined:
            return False
        return monotonic() >= self._answers_since + PASSED_OVER_S

    @property
    def _shows_brokers_session(self) -> bool:
        return self.membership.protocol == "consumer" and not self._is_tail

    def _look_up_session(self) -> None:
        def on_found(seconds: float) -> None:
            self._call_soon(partial(self._note_session, seconds))

        self._session = SessionLookup(self._settings, self._log, on_found)

    def _note_session(self, seconds: float) -> None:
        self.membership = evolve(self.membership, session_timeout_s=seconds)

    def has_lost_brokers(self, topic: str, error: KafkaException) -> bool:
        """Return whether brokers answer others, and never this client again. This may block."""
        ask = partial(self._client.list_topics, topic)
        return has_lost_brokers(self._settings, error, ask)

    # -- commits -------------------------------------------------------------------------

    def _on_commit(self, error: KafkaError | None, offsets: list[Any]) -> None:
        self.commits.on_commit(error, offsets)

    def _check_may_commit(self, epoch: int, keys: Collection[TopicPartition]) -> None:
        epochs = self.assignments.epochs
        if any(epochs.get(key, epoch + 1) > epoch for key in keys):
            raise CommitRejected("the assignment that this commit belongs to is over")

    def group_metadata(self, epoch: int, keys: Collection[TopicPartition]) -> bytes:
        """Return what a transaction needs to commit for these partitions.

        Raises:
            CommitRejected: Some of them are not this member's any more.
        """
        # The group would take offsets from any member of it (findings/kafka-transaction-owner.sh).
        self._check_may_commit(epoch, keys)
        metadata: bytes = self._client.consumer_group_metadata()
        if not is_member(metadata):  # Kafka would take offsets of nobody without a check
            raise CommitRejected("the member is out of its group")
        return metadata

    # -- the end -------------------------------------------------------------------------

    def close(self) -> None:
        """Settle commits that wait, leave the group, and close the client."""
        self.commits.close()
        # A static member stays in its group, and so it may not unsubscribe.
        is_static = STATIC_NAME in self._settings
        self.assignments.close(unsubscribes=self._own.incremental and not is_static)
        self._client.close()
        self.stable_commits.close()
        if self._session is not None:
            self._session.close()
