"""Commit the offsets of one consumer, one commit at a time, in the thread that owns it.

librdkafka reports an answer by a callback that knows nothing of the call. So one request is in
flight at a time, which keeps the order of the calls as well. A commit that outlives its caller's
timeout stays in flight, and the next one waits for it.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from time import monotonic

from attrs import define
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.errors import CommitFailed, CommitRejected, SdmlKafkaError
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.client_partitions import with_commits
from sdml_kafka.transport.librdkafka.consumer.lookups import error_of
from sdml_kafka.transport.rules.commit_requests import commit_requests

RETRY_S = 0.1
"""Seconds after which a commit is sent again that may succeed then."""
_MOVED_ON = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)
"""The group has moved on. The partitions that stay may be committed in its new generation."""


@define(eq=False)
class CommitCall:
    """A commit that somebody waits for."""

    epoch: int
    parts: deque[dict[TopicPartition, Commit]]
    """The requests that are not answered yet."""
    deadline: float
    settle: Callable[[SdmlKafkaError | None], object]
    """Called once with the outcome, in the thread."""
    retry_at: float = 0.0


class Commits:
    """Sends the commits of one consumer."""

    def __init__(
        self,
        consumer: Consumer,
        check: Callable[[int, Collection[TopicPartition]], object],
        *,
        is_incremental: bool,
    ) -> None:
        """Begin without commits.

        Args:
            consumer: The consumer.
            check: Called right before each request with the epoch; raises if it must not be sent.
            is_incremental: Whether partitions stay while the group moves on.
        """
        self._consumer = consumer
        self._check = check
        self._is_incremental = is_incremental
        self._calls: deque[CommitCall] = deque()
        self._sent: CommitCall | None = None
        """The call whose request is in flight. It may have been settled since."""

    @property
    def in_flight(self) -> bool:
        """True while a request waits for its answer."""
        return self._sent is not None

    def add(
        self,
        epoch: int,
        commits: Mapping[TopicPartition, Commit],
        timeout_s: float,
        settle: Callable[[SdmlKafkaError | None], object],
    ) -> None:
        """Commit, and call `settle` with the outcome."""
        parts = deque(commit_requests(commits))
        self._calls.append(CommitCall(epoch, parts, monotonic() + timeout_s, settle))
        self.go_on()

    def go_on(self) -> None:
        """Send the next request if none is in flight, and settle calls that are too late."""
        now = monotonic()
        for call in [each for each in self._calls if now >= each.deadline]:
            self._settle(call, CommitFailed("no answer in time: the commit may have gone through"))
        while self._calls and self._sent is None:
            call = self._calls[0]
            if now < call.retry_at:
                return
            try:
                self._check(call.epoch, call.parts[0])
                self._send(call.parts[0])
            except SdmlKafkaError as error:
                self._settle(call, error)
            except KafkaException as error:
                self._answered(call, error_of(error))
            else:
                self._sent = call

    def _send(self, commits: Mapping[TopicPartition, Commit]) -> None:
        self._consumer.commit(offsets=with_commits(commits), asynchronous=True)

    def on_commit(self, error: KafkaError | None, offsets: list[ClientPartition]) -> None:
        """Take librdkafka's answer."""
        call, self._sent = self._sent, None
        if error is None:
            error = next((each.error for each in offsets if each.error is not None), None)
        if call is not None and call in self._calls:
            self._answered(call, error)

    def _answered(self, call: CommitCall, error: KafkaError | None) -> None:
        if error is None:
            call.parts.popleft()
            if not call.parts:
                self._settle(call, None)
            return
        code = error.code()
        if code == KafkaError.OFFSET_METADATA_TOO_LARGE and any(
            commit.metadata for commit in call.parts[0].values()
        ):
            call.parts[0] = {each: Commit(c.offset) for each, c in call.parts[0].items()}
            return
        final = None
        if not (self._is_incremental and code in _MOVED_ON):
            final = error_mapping.from_commit(error)
        if final is None:
            call.retry_at = monotonic() + RETRY_S
            if call.retry_at >= call.deadline:
                away = f"the group's coordinator is away: {error_mapping.shown(error)}"
                final = CommitFailed(away)
        if final is not None:
            self._settle(call, final)

    def _settle(self, call: CommitCall, outcome: SdmlKafkaError | None) -> None:
        self._calls.remove(call)
        call.settle(outcome)

    def close(self) -> None:
        """Settle what waits, and what nobody will know the answer to."""
        for call in list(self._calls):
            closed = "the consumer is closed"
            if call is self._sent:
                self._settle(call, CommitFailed(f"{closed}: the commit may have gone through"))
            else:
                self._settle(call, CommitRejected(closed))
