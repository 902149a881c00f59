"""The one state that the in-memory broker and its consumers are two sides of."""

from collections import deque
from collections.abc import Mapping

import anyio
from attrs import define, field

from sdml_kafka.errors import CommitRejected
from sdml_kafka.testing.memory.group import Group, Member
from sdml_kafka.testing.memory.log import Log, MemoryCommit
from sdml_kafka.transport.interfaces import TopicPartition


def now() -> float:
    """The time of the event loop, which may be virtual; 0 where none runs."""
    try:
        return anyio.current_time()
    except RuntimeError:
        return 0.0


class Signal:
    """Wakes everybody who waits for the state to change."""

    def __init__(self) -> None:
        self._waiting = dict[anyio.Event, None]()  # in order, for runs that repeat

    def fire(self) -> None:
        waiting, self._waiting = self._waiting, dict[anyio.Event, None]()
        for event in waiting:
            event.set()

    async def wait(self, until: float) -> None:
        event = anyio.Event()
        self._waiting[event] = None
        try:
            with anyio.CancelScope(deadline=until):
                await event.wait()
        finally:
            self._waiting.pop(event, None)


@define(eq=False)
class CommitRequest:
    """A commit on its way. It outlives a caller that was cancelled or has lost its patience."""

    group: Group
    member: Member
    epoch: int
    offsets: Mapping[TopicPartition, int]
    answered: bool = field(default=False, init=False)
    error: Exception | None = field(default=None, init=False)

    def carry_out(self) -> None:
        refusal = self.group.refusal(self.member, self.epoch)
        if refusal is not None:
            self.error = CommitRejected(refusal)
        else:
            try:
                self.group.commit(self.member, self.offsets)
            except AssertionError as misuse:
                self.error = misuse
        self.answered = True


@define
class Failure:
    """An error that a test has ordered."""

    error: Exception
    times: int
    member: str | None
    applied: bool = False


@define(eq=False)
class Faults:
    """What a test has ordered to go wrong."""

    starts: deque[Failure] = field(factory=deque[Failure])
    polls: deque[Failure] = field(factory=deque[Failure])
    commits: deque[Failure] = field(factory=deque[Failure])
    held: list[CommitRequest] = field(factory=list[CommitRequest])
    holds_commits: bool = False
    down_since: float | None = None
    spoiled: dict[TopicPartition, str] = field(factory=dict[TopicPartition, str])
    poll_latency_s: float = 0.0
    commit_latency_s: float = 0.0
    sends: deque[Failure] = field(factory=deque[Failure])
    holds_sends: bool = False
    send_latency_s: float = 0.0

    @property
    def down(self) -> bool:
        return self.down_since is not None


def next_failure(ordered: deque[Failure], member: str) -> Failure | None:
    """Use up one of those that are meant for this member."""
    for failure in ordered:
        if failure.member in (None, member):
            failure.times -= 1
            if failure.times <= 0:
                ordered.remove(failure)
            return failure
    return None


@define(eq=False)
class State:
    logs: dict[TopicPartition, Log] = field(factory=dict[TopicPartition, Log])
    groups: dict[str, Group] = field(factory=dict[str, Group])
    commits: list[MemoryCommit] = field(factory=list[MemoryCommit])
    faults: Faults = field(factory=Faults)
    signal: Signal = field(factory=Signal)
    auto_create: int = 0
    """The partitions of a topic that is made because somebody sends to it; 0: it is not."""
    max_record_bytes: int = 1 << 20
    """Of key and value together."""

    def group(self, name: str) -> Group:
        if name not in self.groups:
            self.groups[name] = Group(name, self.logs, self.commits, self.signal.fire)
            self.groups[name].reachable = not self.faults.down
        return self.groups[name]

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        return [partition for partition in self.logs if partition.topic == topic]

    def send(self, request: CommitRequest) -> None:
        if self.faults.holds_commits:
            self.faults.held.append(request)
        else:
            request.carry_out()

    async def wait(self, group: Group, until: float) -> None:
        """Until something has changed, or is due to in this group, or `until`."""
        await self.signal.wait(min(until, group.next_deadline()))
        group.advance(now())
