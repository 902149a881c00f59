"""The driver of one consumer over librdkafka: its two clients, and what they have in common.

How this works
--------------
One client is the member of the group, and asks brokers what there is to know; it is assigned
nothing (`assignments.py` says why). The other one fetches, and is in no group. Each has a thread of
its own (`owner_thread.py`), so that a broker that answers late holds up no records.

An assignment goes through three states. The member's thread notes what was given
(`to_position`). Between two polls it looks up where each partition is read from. Then the fetching
thread begins with them, and the next poll of the program returns the assignment.

Rules for whoever edits this file:

- What is called `_..._member` runs in the member's thread, `_..._fetching` in the other one. They
  share the exchange, which has a lock, and objects that one of them replaces as a whole.
- A commit is checked in the member's thread right before it is sent, since the broker checks
  membership, not ownership.
- Every request that blocks has a timeout of this package (`lookups.py`).
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any

from attrs import evolve
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sdml_kafka.errors import (
    CommitRejected,
    ConsumerFailed,
    SdmlKafkaError,
    SeekFailed,
)
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    Assignment,
    Commit,
    ConsumerSettings,
    Health,
    Membership,
    Tail,
)
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.consumer.assignments import (
    Assignments,
    PendingRevocation,
    is_member,
)
from sdml_kafka.transport.librdkafka.consumer.commits import Commits
from sdml_kafka.transport.librdkafka.consumer.ends import Ends
from sdml_kafka.transport.librdkafka.consumer.failures import lacks_consumer_protocol
from sdml_kafka.transport.librdkafka.consumer.lookups import (
    END,
    FIRST,
    Lookups,
    StableCommits,
    error_of,
)
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.librdkafka.consumer.records.fetching import Fetching
from sdml_kafka.transport.librdkafka.consumer.starting import CommittedStart, Start, TailStart
from sdml_kafka.transport.librdkafka.consumer.topics import Topics
from sdml_kafka.transport.librdkafka.group_protocol import (
    group_protocol,
    membership_of,
    without_group,
)
from sdml_kafka.transport.librdkafka.group_session import SessionLookup
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import Settings, made, secrets_of
from sdml_kafka.transport.librdkafka.owner_thread import OwnerThread, ProgramLoop
from sdml_kafka.transport.rules.seek_rules import within_logs
from sdml_kafka.transport.rules.start_rules import Reset, StartRules

MEMBER_TURN_S = 0.02
BUSY_TURN_S = 0.002
"""Seconds of a turn while a commit waits for its answer."""
RETRY_S = 0.1
"""Seconds after which brokers are asked again that have not answered."""
HEALTH_INTERVAL_S = 0.2
HEALTH_INTERVAL_OF_EACH_S = 0.0005
COORDINATOR_INTERVAL_S = 0.5
"""Seconds between two looks for the group's coordinator, while the group takes no member."""
MIN_DRAIN_S = 0.5
REBALANCE_MARGIN_S = 1.0
"""Seconds before the end of the rebalance timeout at which the rebalance goes on anyway."""
LOOK_BACK_TRIES = 4
CREATE_TIMEOUT_S = 5.0
COMMITTED = "read_committed"


class ConsumerDriver:
    """Owns the two clients of one consumer, which connect to nobody before the start.

    Args:
        loop: The program's loop.
        settings: The configuration of librdkafka.
        consumer_settings: What the package has to know of it.
        on_revocation: Called in the member's thread with a revocation.
    """

    def __init__(
        self,
        loop: ProgramLoop,
        settings: Settings,
        consumer_settings: ConsumerSettings,
        on_revocation: Callable[[PendingRevocation], object],
    ) -> None:
        self._settings = settings
        self._own = consumer_settings
        self._log = ClientLog(secrets_of(settings))
        self._protocol = group_protocol(settings)
        self._on_revocation = on_revocation
        self._is_refused = False
        """True if the broker does not have the group protocol that was tried."""
        reset, reads_committed = _reset_of(settings), settings.get("isolation.level") == COMMITTED
        self._lookups = Lookups(lambda: self._member)
        self._stable_commits = StableCommits(settings, self._log)
        self._rules = StartRules(reset, reads_committed=reads_committed)
        self._ends = Ends(reads_committed=reads_committed)
        self.exchange: Exchange = Exchange(
            loop, lambda: self._fetching.take_now(), lambda: self.fetching_thread.wake()
        )
        self._fetching: Fetching
        self._topics: Topics
        self._start: Start
        self._obstacles = Obstacles(settings, self.exchange.fail)
        self._has_started = False
        self._is_connected = False
        self._session: SessionLookup | None = None
        self._health_at = self._retry_at = self._coordinator_at = 0.0
        self._set_up_member(self._protocol.settings)
        self._fetcher: Consumer = self._made_fetcher()
        self.member_thread: OwnerThread = OwnerThread(
            "sdml-kafka-member", loop, self._turn_member, self._end_member, self._failed
        )
        self.fetching_thread: OwnerThread = OwnerThread(
            "sdml-kafka-fetching", loop, self._turn_fetching, self._end_fetching, self._failed
        )

    def _set_up_member(self, settings: Settings) -> None:
        callbacks = {"error_cb": self._note_error, "on_commit": self._on_commit}
        self._member: Consumer = made(Consumer, {**settings, **callbacks}, self._log)
        self._membership = membership_of(settings) if self._own.group_id else Membership()
        drain_s = max(MIN_DRAIN_S, self._own.rebalance_timeout_s - REBALANCE_MARGIN_S)
        is_incremental = self._own.incremental
        self._assignments = Assignments(
            self._member,
            self.exchange.withhold,
            self._on_revocation,
            is_incremental=is_incremental,
            drain_s=drain_s,
        )
        may_commit = self._check_may_commit
        self._commits = Commits(self._member, may_commit, is_incremental=is_incremental)

    def _made_fetcher(self) -> Consumer:
        ours = {"auto.offset.reset": "error", "enable.partition.eof": True, "check.crcs": True}
        settings = {**without_group(self._settings), **ours}
        fetcher: Consumer = made(Consumer, settings, self._log)
        return fetcher

    def _failed(self, error: Exception) -> None:
        if isinstance(error, KafkaException):
            text = error_mapping.shown(error_of(error))
        else:
            text = repr(error)
        self.exchange.fail(ConsumerFailed(f"the client has failed: {text}"))

    # -- start, in the member's thread ---------------------------------------------------

    def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None,
        *,
        create_topics: bool,
        skips_corrupt: bool,
    ) -> None:
        """Connect, and join the group.

        Raises:
            SdmlKafkaError: See the port.
        """
        is_tail = tail is not None
        self._fetching = Fetching(
            self._fetcher,
            self.exchange,
            self.fetching_thread.rest,
            skips_corrupt=skips_corrupt or is_tail,
            reads_what_is_left=_reset_of(self._settings) != "none",
        )
        # Without a group nobody else says what has appeared, or is gone.
        reads_new_soon = tail is not None and (tail.share is None or not self._own.group_id)
        self._topics = Topics(self._lookups, topics, reads_new_soon=reads_new_soon)
        deadline = self._lookups.deadline = monotonic() + timeout_s
        self._find_topics(timeout_s, deadline, creates=create_topics)
        if tail is not None:
            self._start = TailStart(tail, self._topics, self.exchange.read_to)
        else:
            self._start = CommittedStart(self._rules, self._topics)
            if self._rules.looks_back:
                self._look_back(deadline)
        self._lookups.deadline = None
        self._is_connected = True
        self._join()
        self._coordinator_at = monotonic() + COORDINATOR_INTERVAL_S
        self._has_started = True
        self.fetching_thread.start()

    def _join(self) -> None:
        if self._own.group_id:
            topics = sorted(self._topics.names)
            self._assignments.subscribe(topics, reports_empty=self._start.is_tail)
        else:
            self._assignments.give(self._topics.partitions())

    def _find_topics(self, timeout_s: float, deadline: float, *, creates: bool) -> None:
        while True:
            try:
                self._topics.find(self._create_topic if creates else None)
            except KafkaException as error:
                self._poll_member(0.0)  # errors of connections are handed over by this alone
                obstacles = self._obstacles
                if obstacles.refusal is not None:
                    raise obstacles.refusal from error
                is_late = monotonic() >= deadline or self.member_thread.is_stopping
                if obstacles.all_down or is_late:
                    raise obstacles.no_start(timeout_s) from error
            else:
                return

    def _create_topic(self, topic: str) -> bool:
        """Create a topic as the broker is configured, and return whether it is new."""
        settings = {**without_group(self._settings), "error_cb": self._note_error}
        client: Any = made(AdminClient, settings, self._log)  # its requests are not typed
        try:
            asked = client.create_topics([NewTopic(topic, -1)], request_timeout=CREATE_TIMEOUT_S)
            asked[topic].result(CREATE_TIMEOUT_S)
        except KafkaException as error:
            if error_of(error).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            if error_mapping.may_succeed_later(error_of(error)):
                raise
            what = f"create the topic {topic!r}"
            raise error_mapping.from_admin(error_of(error), what) from error
        return True

    def _look_back(self, deadline: float) -> None:
        for _ in range(LOOK_BACK_TRIES):
            try:
                commits = self._lookups.committed(self._topics.partitions())
            except KafkaException as error:
                self._poll_member(0.0)
                self._obstacles.note_coordinator(error_of(error))
                if self._obstacles.refusal is not None:
                    raise self._obstacles.refusal from error
                if monotonic() >= deadline or self.member_thread.is_stopping:
                    return
            else:
                self._obstacles.note_coordinator(None)
                self._rules.note_read_before({key.topic for key in commits})
                return

    # -- the member's thread -------------------------------------------------------------

    def _turn_member(self) -> None:
        if self._program_stands_still():
            self.member_thread.rest(MEMBER_TURN_S)
            return
        self._poll_member(BUSY_TURN_S if self._commits.in_flight else MEMBER_TURN_S)
        if self._is_refused:
            self._fall_back()
        if not self._has_started:
            return
        self._commits.go_on()
        if not self._assignments.epoch:
            self._assignments.look_whether_joined()
            self._look_for_coordinator(monotonic())
        elif self._session is None and self._shows_brokers_session:
            self._look_up_session()
        gone = self._assignments.take_released(commit_in_flight=self._commits.in_flight)
        if gone:
            self.fetching_thread.call_soon(partial(self._fetching.close, gone))
            self._topics.note_taken()
        now = monotonic()
        if now >= self._retry_at:
            try:
                self._look_things_up()
            except KafkaException:
                self._is_connected = False
                self._retry_at = now + RETRY_S
            except SdmlKafkaError as error:
                self.exchange.fail(error)

    def _poll_member(self, timeout_s: float) -> None:
        message = self._member.poll(timeout_s)
        if message is not None and (error := message.error()) is not None:
            self._note_error(error)

    def _look_for_coordinator(self, now: float) -> None:
        """Find out why the group does not take the member: librdkafka does not say it by itself."""
        if now < self._coordinator_at or self._assignments.to_position is not None:
            return
        self._coordinator_at = now + COORDINATOR_INTERVAL_S
        reason: KafkaError | None = None
        try:
            self._lookups.find_coordinator(TopicPartition(min(self._topics.names), 0))
        except KafkaException as error:
            reason = error_of(error)
        self._obstacles.note_coordinator(reason)

    @property
    def _shows_brokers_session(self) -> bool:
        return self._membership.protocol == "consumer" and not self._start.is_tail

    def _look_up_session(self) -> None:
        def on_found(seconds: float) -> None:
            self.member_thread.call_soon(partial(self._note_session, seconds))

        self._session = SessionLookup(self._settings, self._log, on_found)

    def _note_session(self, seconds: float) -> None:
        self._membership = evolve(self._membership, session_timeout_s=seconds)

    def _program_stands_still(self) -> bool:
        """Return whether the program has not polled for so long that it is to lose its partitions.

        librdkafka leaves the group once its own client is not polled for that time.
        """
        if not self._has_started or self.exchange.is_waiting:
            return False
        return monotonic() - self.exchange.polled_at > self._own.stall_limit_s

    def _fall_back(self) -> None:
        """Join by the classic protocol, since the broker does not have the other one."""
        self._is_refused = False
        if self._protocol.fallback is not None:
            self._assignments.close()
            self._member.close()
            self._set_up_member(self._protocol.fallback)
            self._join()

    def _look_things_up(self) -> None:
        if self._assignments.may_be_positioned:
            self._position()
        elif self._topics.is_due or not self._is_connected:
            self._topics.refresh(self._topics.missing or self._topics.names)
            self._is_connected = True
            self._start.note_missing()
            if not self._own.group_id:
                self._assignments.follow(self._topics.partitions())
        elif self._ends.is_due and not self._start.is_tail:  # nobody is shown the lag of a tail
            self._ask_for_ends(list(self._assignments.epochs))

    def _position(self) -> None:
        epoch, given = self._assignments.epoch, self._assignments.to_position or frozenset()
        self._topics.note_given(given)
        keys = self._start.fetched(given)
        topics = {key.topic for key in keys}
        siblings = {key for key in self._topics.partitions() if key.topic in topics}
        commits = self._find_commits(keys, siblings.difference(keys))
        if commits is None:
            return
        firsts = self._lookups.offsets(dict.fromkeys(keys, FIRST)) if keys else {}
        ends = self._ask_for_ends(keys)
        if len(firsts) < len(keys) or len(ends) < len(keys):
            self._retry_at = monotonic() + RETRY_S
            return
        started = self._start.start(keys, commits, {key: (firsts[key], ends[key]) for key in keys})
        self._assignments.to_position = None
        self.exchange.note_jumps(started.jumps)
        owned = self._assignments.epochs if self._own.group_id else self._topics.partitions()
        elsewhere = self._start.elsewhere(owned)
        places = started.positions, started.committed
        assignment = Assignment(epoch, *places, elsewhere, adds=self._own.incremental)
        self.fetching_thread.call_soon(partial(self._open_fetching, assignment))

    def _find_commits(
        self, keys: Collection[TopicPartition], others: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, Commit] | None:
        """Return what the group has committed, None while that is not known.

        What transactions have yet to commit of others has nothing to do with this member.
        """
        if not self._own.group_id or not keys:
            return {}
        commits = self._stable_commits.look_up(self._assignments.epoch, keys)
        if commits is not None and others:
            commits.update(self._lookups.committed(others))
        return commits

    def _ask_for_ends(self, keys: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        asked_at, ends = monotonic(), dict[TopicPartition, int]()
        try:
            if keys:
                ends = self._lookups.offsets(dict.fromkeys(keys, END))
                self._is_connected = True
        finally:
            if keys and len(ends) == len(keys):
                self._obstacles.answered()
            self._ends.asked(ends, asked_at, all_have_answered=len(ends) == len(keys))
        return ends

    def _note_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._is_connected = False
        if lacks_consumer_protocol(error) and self._protocol.fallback is not None:
            self._is_refused = True
        else:
            self._obstacles.note(error)

    # -- commits -------------------------------------------------------------------------

    def _on_commit(self, error: KafkaError | None, offsets: list[Any]) -> None:
        self._commits.on_commit(error, offsets)

    def commit(
        self,
        epoch: int,
        commits: Mapping[TopicPartition, Commit],
        timeout_s: float,
        settle: Callable[[SdmlKafkaError | None], object],
    ) -> None:
        """Commit, and call `settle` with the outcome; in the member's thread."""
        self._rules.note_commit({key.topic for key in commits})
        self._commits.add(epoch, commits, timeout_s, settle)

    def _check_may_commit(self, epoch: int, keys: Collection[TopicPartition]) -> None:
        epochs = self._assignments.epochs
        if any(epochs.get(key, epoch + 1) > epoch for key in keys):
            raise CommitRejected("the assignment that this commit belongs to is over")

    def group_metadata(self, epoch: int, keys: Collection[TopicPartition]) -> bytes:
        """Return what a transaction needs to commit for these partitions; in the member's thread.

        Raises:
            CommitRejected: Some of them are not this member's any more.
        """
        # The group would take offsets from any member of it (findings/kafka-transaction-owner.sh).
        self._check_may_commit(epoch, keys)
        metadata: bytes = self._member.consumer_group_metadata()
        if not is_member(metadata):  # Kafka would take offsets of nobody without a check
            raise CommitRejected("the member is out of its group")
        return metadata

    # -- revocations ---------------------------------------------------------------------

    def release(self, pending: PendingRevocation) -> None:
        """Let a rebalance go on; callable in any thread."""
        self.member_thread.call_soon(partial(self._assignments.release, pending))

    # -- seeks ---------------------------------------------------------------------------

    def look_up_targets(
        self,
        epoch: int,
        targets: Mapping[TopicPartition, Target],
        deadline: float,
        *,
        within_log: bool,
    ) -> Mapping[TopicPartition, int] | None:
        """Return the offset that each target stands for, None if some are to be asked for again.

        Runs in the member's thread.

        Raises:
            SeekFailed: A partition is not assigned, or no broker has answered in time.
            OffsetBeyondEnd: An offset lies beyond the end of its log.
        """
        self.check_may_seek(epoch, targets)
        found, times = dict[TopicPartition, int](), dict[TopicPartition, int]()
        for key, target in targets.items():
            if not isinstance(target, int):
                times[key] = _time_of(target)
            elif within_log:
                times[key] = END
            else:
                found[key] = target
        try:
            if times:
                found |= self._lookups.offsets(times)
                if late := [key for key, offset in found.items() if offset < 0]:
                    found |= self._lookups.offsets(dict.fromkeys(late, END))
        except KafkaException as error:
            if error_mapping.is_authorization(error_of(error)):
                raise error_mapping.may_not_read(error_of(error)) from error
        if len(found) == len(targets):
            return within_logs(targets, found) if within_log else found
        if monotonic() >= deadline:
            (topic, number), *_ = targets.keys() - found.keys()
            raise SeekFailed(
                f"No broker has said in time where to begin in {topic!r} partition {number}. "
                "Try again."
            )
        return None

    def check_may_seek(self, epoch: int, keys: Collection[TopicPartition]) -> None:
        """Raise SeekFailed unless all are assigned and read."""
        epochs, partitions = self._assignments.epochs, self.exchange.partitions
        for key in keys:
            fetched = partitions.get(key)
            is_over = fetched is None or fetched.is_withheld
            if is_over or epochs.get(key, epoch + 1) > epoch:
                raise SeekFailed(
                    "The partitions are being revoked: seek once they are assigned again"
                )

    def seek(self, epoch: int, number: int, positions: Mapping[TopicPartition, int]) -> None:
        """Read partitions from elsewhere on; in the fetching thread."""
        self.check_may_seek(epoch, positions)
        self._fetching.seek(positions, number)

    # -- the fetching thread -------------------------------------------------------------

    def _turn_fetching(self) -> None:
        now = monotonic()
        if now >= self._health_at:
            self._health_at = now + self._health_interval_s()
            self._ends.look(self._fetching.high_watermarks())
            self.exchange.report(self._health(list(self.exchange.partitions)))
        self._fetching.turn()

    def _health_interval_s(self) -> float:
        count = len(self.exchange.partitions)
        return max(HEALTH_INTERVAL_S, min(1.0, HEALTH_INTERVAL_OF_EACH_S * count))

    def _health(self, keys: Collection[TopicPartition]) -> Health:
        logs = self._ends.logs(keys)
        return Health(
            connected=self._is_connected,
            high_watermarks={key: end.offset for key, end in logs.items()},
            missing_topics=self._topics.missing,
            mark_ages_s={key: end.age_s for key, end in logs.items()},
            held=dict(self._fetching.held),
            obstacle=self._obstacle(),
            unreachable=self._obstacles.unreachable(),
            ends=self._ends.readable(keys),
            nearest_topics=self._topics.nearest,
            membership=self._membership,
        )

    def _obstacle(self) -> SdmlKafkaError | None:
        """Return what keeps the consumer from its partitions, None if it has them."""
        is_to_position = self._assignments.to_position is not None
        if self._assignments.epoch and not is_to_position:
            return None
        return self._obstacles.find(has_joined=is_to_position, is_connected=self._is_connected)

    def _open_fetching(self, assignment: Assignment) -> None:
        epochs = self._assignments.epochs
        keys = [key for key in assignment.positions if epochs.get(key) == assignment.epoch]
        positions = {key: assignment.positions[key] for key in keys}
        committed = {key: assignment.committed[key] for key in keys}
        self._fetching.open(positions)
        assignment = evolve(assignment, positions=positions, committed=committed)
        self.exchange.open(assignment, self._health({*self.exchange.partitions, *keys}))
        self.exchange.wake()

    # -- the ends ------------------------------------------------------------------------

    def _end_member(self) -> None:
        self.exchange.fail(ConsumerFailed("the consumer is closed"))
        self._commits.close()
        self._assignments.close()
        self._member.close()
        self._stable_commits.close()
        if self._session is not None:
            self._session.close()

    def _end_fetching(self) -> None:
        self._fetcher.close()


def _reset_of(settings: Settings) -> Reset:
    reset = str(settings.get("auto.offset.reset", "latest"))
    if reset in ("earliest", "smallest", "beginning"):
        return "earliest"
    return "none" if reset == "error" else "latest"


def _time_of(target: str | datetime) -> int:
    if isinstance(target, datetime):
        return max(0, int(target.timestamp() * 1000))
    return FIRST if target == "earliest" else END
