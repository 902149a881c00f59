"""The driver of one consumer over librdkafka: its two clients, and what they have in common.

How this works
--------------
One client is the member of the group, and asks brokers what there is to know; it is assigned
nothing (`assignments.py` says why). The other one fetches, and is in no group. Each has a thread of
its own (`owner_thread.py`), so that a broker that answers late holds up no records.

An assignment goes through three states. The member's thread notes what was given
(`assignments.py`). Between two polls it looks up where each partition is read from
(`positions/positioning.py`). Then the fetching thread begins with them (`reading.py`), and the next
poll of the program returns the assignment.

Rules for whoever edits this file:

- The member, the start-up and `positions/` run in the member's thread, `reading.py` and `records/`
  in the other one. They share the exchange, which has a lock, and objects that one of them replaces
  as a whole.
- A commit is checked in the member's thread right before it is sent, since the broker checks
  membership, not ownership.
- Every request that blocks has a timeout of this package (`lookups.py`).
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from time import monotonic

from confluent_kafka import Consumer, KafkaException

from sdml_kafka.errors import ConsumerFailed, SdmlKafkaError
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Commit, ConsumerSettings, Tail
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.consumer.assignments import PendingRevocation
from sdml_kafka.transport.librdkafka.consumer.ends import Ends
from sdml_kafka.transport.librdkafka.consumer.lookups import error_of
from sdml_kafka.transport.librdkafka.consumer.member import Member
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.consumer.positions.positioning import Positioning
from sdml_kafka.transport.librdkafka.consumer.positions.seeks import Seeks
from sdml_kafka.transport.librdkafka.consumer.positions.starting import (
    CommittedStart,
    Start,
    TailStart,
)
from sdml_kafka.transport.librdkafka.consumer.reading import Reading
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.librdkafka.consumer.records.fetching import Fetching
from sdml_kafka.transport.librdkafka.consumer.records.outage import Outage
from sdml_kafka.transport.librdkafka.consumer.startup import Startup
from sdml_kafka.transport.librdkafka.consumer.topics import Topics
from sdml_kafka.transport.librdkafka.group_protocol import without_group
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.lost_brokers import reconnect_pause_s
from sdml_kafka.transport.librdkafka.options import Settings, made, secrets_of
from sdml_kafka.transport.librdkafka.owner_thread import OwnerThread, ProgramLoop
from sdml_kafka.transport.rules.start_rules import Reset, StartRules

STANDSTILL_TURN_S = 0.02
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
        self._settings, self._own = settings, consumer_settings
        self._log = log = ClientLog(secrets_of(settings))
        reads_committed = settings.get("isolation.level") == COMMITTED
        self._rules = StartRules(_reset_of(settings), reads_committed=reads_committed)
        self.exchange: Exchange = Exchange(
            loop, lambda: self._fetching.take_now(), lambda: self.fetching_thread.wake()
        )
        self._obstacles = obstacles = Obstacles(settings, self.exchange.fail)
        self.member: Member = Member(
            settings,
            consumer_settings,
            log,
            obstacles,
            self.exchange.withhold,
            on_revocation,
            lambda command: self.member_thread.call_soon(command),
        )
        self._ends = Ends(self.member.lookups, obstacles, reads_committed=reads_committed)
        self.seeks: Seeks = Seeks(self.member, self.exchange)
        self._has_started = False
        self._fetching: Fetching
        self._topics: Topics
        self._positioning: Positioning
        self._reading: Reading
        pause_s = reconnect_pause_s(settings)
        self._outage = Outage(pause_s, lambda: obstacles.answered_at, self._next_fetcher)
        self._fetcher: Consumer = self._made_fetcher()
        self.member_thread: OwnerThread = OwnerThread(
            "sdml-kafka-member", loop, self._turn_member, self._end_member, self._failed
        )
        self.fetching_thread: OwnerThread = OwnerThread(
            "sdml-kafka-fetching", loop, self._turn_fetching, self._end_fetching, self._failed
        )

    def _made_fetcher(self) -> Consumer:
        ours = {"auto.offset.reset": "error", "enable.partition.eof": True, "check.crcs": True}
        settings = {**without_group(self._settings), **ours, "error_cb": self._outage.note}
        return made(Consumer, settings, self._log)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ConsumerFailed):
            self.exchange.fail(error)
            return
        if isinstance(error, KafkaException):
            text = error_mapping.shown(error_of(error))
        else:
            text = repr(error)
        self.exchange.fail(ConsumerFailed(f"the client has failed: {text}"))

    # -- in the member's thread ----------------------------------------------------------

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
        self._fetching = Fetching(
            self._fetcher,
            self.exchange,
            self.fetching_thread.rest,
            self._outage,
            skips_corrupt=skips_corrupt or tail is not None,
            reads_what_is_left=_reset_of(self._settings) != "none",
        )
        # Without a group nobody else says what has appeared, or is gone.
        reads_new_soon = tail is not None and (tail.share is None or not self._own.group_id)
        lookups = self.member.lookups
        self._topics = Topics(lookups, topics, reads_new_soon=reads_new_soon)
        deadline = monotonic() + timeout_s
        lookups.limit(deadline)
        startup = Startup(
            self._settings,
            self._log,
            self.member,
            self._obstacles,
            lambda: self.member_thread.is_stopping,
        )
        startup.find(self._topics, timeout_s, deadline, creates=create_topics)
        start: Start
        if tail is not None:
            start = TailStart(tail, self._topics, self.exchange.read_to)
        else:
            start = CommittedStart(self._rules, self._topics)
            if self._rules.looks_back:
                startup.look_back(self._topics, self._rules, deadline)
        lookups.limit(None)
        self._obstacles.note_connection()
        self._run(start)

    def _run(self, start: Start) -> None:
        both = self.member, self._topics, self._ends, self._obstacles, self.exchange
        self._reading = Reading(*both, self._fetching)
        has_lost = partial(self.member.has_lost_brokers, min(self._topics.names))
        self._positioning = Positioning(self._own, start, *both, self._open, has_lost)
        if self._own.group_id:
            self.member.join(self._topics.names, is_tail=start.is_tail)
        else:
            self.member.assignments.give(self._topics.partitions())
        self._has_started = True
        self.fetching_thread.start()

    def _open(self, assignment: Assignment) -> None:
        self.fetching_thread.call_soon(partial(self._reading.open, assignment))

    def _turn_member(self) -> None:
        if self._program_stands_still():
            self.member_thread.rest(STANDSTILL_TURN_S)
            return
        self.member.turn()
        if not self._has_started:
            return
        commits, assignments = self.member.commits, self.member.assignments
        commits.go_on()
        finds_topics = self._topics.missing != self._topics.names
        self.member.look_at_group(finds_topics=finds_topics)
        if gone := assignments.take_released(commit_in_flight=commits.in_flight):
            self.fetching_thread.call_soon(partial(self._reading.close, gone))
            self._topics.note_taken()
        self._positioning.turn()

    def _program_stands_still(self) -> bool:
        """Return whether the program has not polled for so long that it is to lose its partitions.

        librdkafka leaves the group once its own client is not polled for that time.
        """
        if not self._has_started or self.exchange.is_waiting:
            return False
        return monotonic() - self.exchange.polled_at > self._own.stall_limit_s

    def commit(
        self,
        epoch: int,
        commits: Mapping[TopicPartition, Commit],
        timeout_s: float,
        settle: Callable[[SdmlKafkaError | None], object],
    ) -> None:
        """Commit, and call `settle` with the outcome."""
        self._rules.note_commit({key.topic for key in commits})
        self.member.commits.add(epoch, commits, timeout_s, settle)

    def release(self, pending: PendingRevocation) -> None:
        """Let a rebalance go on; callable in any thread."""
        release = partial(self.member.assignments.release, pending)
        self.member_thread.call_soon(release)

    def _end_member(self) -> None:
        self.exchange.fail(ConsumerFailed("the consumer is closed"))
        self.member.close()

    # -- in the fetching thread ----------------------------------------------------------

    def _turn_fetching(self) -> None:
        self._reading.turn()

    def seek(self, epoch: int, number: int, positions: Mapping[TopicPartition, int]) -> None:
        """Read partitions from elsewhere on."""
        self.seeks.check(epoch, positions)
        self._reading.seek(positions, number)

    def _next_fetcher(self) -> Consumer:
        """Return a client in place of the one that has lost its brokers."""
        self._fetcher.close()
        self._fetcher = self._made_fetcher()
        return self._fetcher

    def _end_fetching(self) -> None:
        self._fetcher.close()


def _reset_of(settings: Settings) -> Reset:
    reset = str(settings.get("auto.offset.reset", "latest"))
    if reset in ("earliest", "smallest", "beginning"):
        return "earliest"
    return "none" if reset == "error" else "latest"
