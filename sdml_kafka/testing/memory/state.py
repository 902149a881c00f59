"""The state that the in-memory broker and its clients share."""

import asyncio
import time
from collections.abc import Callable, Mapping

import anyio
from anyio.lowlevel import RunVar
from attrs import define, field

from sdml_kafka.errors import BrokerUnreachable, CommitRejected, ProducerFenced
from sdml_kafka.runtime.waiter import on_trio
from sdml_kafka.testing.memory.faults import Faults, next_failure
from sdml_kafka.testing.memory.group import Group, StagedOffsets
from sdml_kafka.testing.memory.incremental_group import IncrementalGroup
from sdml_kafka.testing.memory.log import Log, MemoryCommit
from sdml_kafka.testing.memory.member import Member
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit

_began_at = RunVar[float]("seconds since the epoch at the time 0 of the event loop's clock")


def now() -> float:
    """Return the time of the event loop, which may be virtual; 0 where none runs."""
    try:
        return anyio.current_time()
    except RuntimeError:
        return 0.0


def loop_time() -> float:
    """Return seconds since the epoch: the wall time, which a loop in virtual time carries on.

    The wall time is read when an event loop asks first, and wherever none runs.
    """
    try:
        now_s = anyio.current_time()
    except RuntimeError:
        return time.time()
    began_at_s = _began_at.get(None)
    if began_at_s is None:
        began_at_s = time.time() - now_s
        _began_at.set(began_at_s)
    return began_at_s + now_s


def soon(function: Callable[[], object]) -> None:
    """Call the function in the same thread after this call, with no task needed for that."""
    if on_trio():
        import trio

        trio.lowlevel.current_trio_token().run_sync_soon(function)
    else:
        asyncio.get_running_loop().call_soon(function)


class Signal:
    """Wakes every task that waits for the state to change."""

    def __init__(self) -> None:
        self._waiting = dict[anyio.Event, None]()  # ordered, so that runs can be repeated

    def fire(self) -> None:
        """Wake the tasks that wait now."""
        waiting, self._waiting = self._waiting, dict[anyio.Event, None]()
        for event in waiting:
            event.set()

    async def wait(self, deadline: float) -> None:
        """Wait until the state has changed, at most until `deadline`."""
        event = anyio.Event()
        self._waiting[event] = None
        try:
            with anyio.CancelScope(deadline=deadline):
                await event.wait()
        finally:
            self._waiting.pop(event, None)


@define(eq=False)
class CommitRequest:
    """A commit on its way, which outlives a caller that was cancelled or no longer waits."""

    group: Group
    member: Member
    epoch: int
    commits: Mapping[TopicPartition, Commit]
    answered: bool = field(default=False, init=False)
    error: Exception | None = field(default=None, init=False)

    def carry_out(self) -> None:
        """Commit, or note why the group refuses to."""
        refusal = self.group.refusal(self.member, self.epoch, self.commits.keys())
        if refusal is not None:
            self.error = CommitRejected(refusal)
        else:
            try:
                self.group.commit(self.member, self.commits)
            except AssertionError as misuse:
                self.error = misuse
        self.answered = True


@define(eq=False)
class Transaction:
    """A transaction that is open, or whose end is on its way or in doubt."""

    logs: Mapping[TopicPartition, Log]
    expires_at: float
    """The time at which the broker aborts it, and fences its producer."""
    partitions: set[TopicPartition] = field(factory=set[TopicPartition], init=False)
    """The partitions that it has written to."""
    staged: StagedOffsets | None = field(default=None, init=False)
    fault: Exception | None = field(default=None, init=False)
    """Why it cannot be committed."""
    outcome: str | None = field(default=None, init=False)
    """Its outcome, "committed" or "aborted"; None while it is open."""

    def end(self, *, committed: bool) -> None:
        """Commit it or abort it, unless it has ended."""
        if self.outcome is not None:
            return
        self.outcome = "committed" if committed else "aborted"
        for partition in self.partitions & self.logs.keys():
            self.logs[partition].settle(self, committed=committed)
        if self.staged is not None:
            self.staged.by.group.settle(self.staged, committed=committed)


@define(eq=False)
class State:
    """Topics, groups and faults."""

    logs: dict[TopicPartition, Log] = field(factory=dict[TopicPartition, Log])
    compacted: set[str] = field(factory=set[str])
    """The topics that take no record without a key."""
    max_bytes: dict[str, int] = field(factory=dict[str, int])
    """The largest record of each topic that has a bound of its own."""
    groups: dict[str, Group] = field(factory=dict[str, Group])
    commits: list[MemoryCommit] = field(factory=list[MemoryCommit])
    held_commits: list[CommitRequest] = field(factory=list[CommitRequest])
    transactions: list[Transaction] = field(factory=list[Transaction])
    """The transactions that are open."""
    held_ends: list[Transaction] = field(factory=list[Transaction])
    """The transactions whose commit is held."""
    fences: dict[str, Callable[[ProducerFenced], object]] = field(
        factory=dict[str, Callable[[ProducerFenced], object]]
    )
    """For each transactional id what fences the producer that has it."""
    faults: Faults = field(factory=Faults)
    signal: Signal = field(factory=Signal)
    is_incremental: bool = False
    """True if rebalances of the groups move only what has to move."""

    def group(self, name: str) -> Group:
        """Return the group, which is made on first use."""
        if name not in self.groups:
            protocol = IncrementalGroup if self.is_incremental else Group
            self.groups[name] = protocol(
                name, self.logs, self.commits, self.signal.fire, reachable=not self.faults.down
            )
        return self.groups[name]

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """Return the topic's partitions, none if it does not exist."""
        return [partition for partition in self.logs if partition.topic == topic]

    def send(self, request: CommitRequest) -> None:
        """Carry a commit out, or hold it."""
        if self.faults.holds_commits:
            self.held_commits.append(request)
        else:
            request.carry_out()

    async def wait(self, group: Group, deadline: float) -> None:
        """Wait until the state or, with time, this group has changed, at most until `deadline`."""
        await self.signal.wait(min(deadline, group.next_deadline(), self.next_expiry()))
        self.expire(now())
        group.advance(now())

    # -- producers -----------------------------------------------------------------------

    async def start_producer(self, client_id: str, timeout_s: float) -> None:
        """Wait for a broker, as a producer of either kind does that starts.

        Raises:
            BrokerUnreachable: None can be reached within the time.
            Exception: What the test has ordered.
        """
        if not await self.wait_for_broker(now() + timeout_s):
            raise BrokerUnreachable(f"no broker answered within {timeout_s:g} s")
        if (failure := next_failure(self.faults.starts, client_id)) is not None:
            raise failure.error

    async def wait_for_broker(self, deadline: float) -> bool:
        """Wait until a broker can be reached; return False if none can by the deadline."""
        while self.faults.down:
            if now() >= deadline:
                return False
            await self.signal.wait(deadline)
        return True

    # -- transactions --------------------------------------------------------------------

    def next_expiry(self) -> float:
        """Return when the broker gives up on a transaction; never while it cannot be reached."""
        if self.faults.down:
            return float("inf")
        return min((each.expires_at for each in self.transactions), default=float("inf"))

    def expire(self, now: float) -> None:
        """Abort the transactions that have taken too long."""
        if not self.faults.down:
            for each in [each for each in self.transactions if each.expires_at <= now]:
                self.end(each, committed=False)

    def end(self, transaction: Transaction, *, committed: bool) -> None:
        """End a transaction, unless it has ended."""
        if transaction in self.transactions:
            self.transactions.remove(transaction)
        transaction.end(committed=committed)
        self.signal.fire()
