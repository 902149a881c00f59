"""A consumer group of the in-memory broker, as a state machine: no await, time is passed in.

Rebalances are eager, as aiokafka's are: each revokes all partitions of all members, waits until
they are released, and then assigns them anew. `incremental_group.py` has a group with others.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import cycle

from attrs import define, evolve, field, frozen

from sdml_kafka.testing.memory.log import Log, MemoryCommit, Misuse
from sdml_kafka.testing.memory.member import Member, PendingRevocation, Standing
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import DELETED, REPLACED, Assignment, Commit, Jump
from sdml_kafka.transport.tail_share import tail_position

MAX_METADATA = 4096
"""The characters that may be committed with an offset, on Kafka's own settings."""


@define(eq=False)
class Group:
    """The members of a group, what each is assigned, and what they have committed."""

    name: str
    logs: Mapping[TopicPartition, Log]
    commits: list[MemoryCommit]
    on_change: Callable[[], None]
    """Called when something has happened that a member may wait for."""
    reachable: bool
    """True if the broker can be reached."""
    connected: list[Member] = field(factory=list[Member], init=False)
    """The members inside, those that were expelled, and the dead whose session goes on."""
    generation: int = field(default=0, init=False)
    """The number of rebalances so far."""
    committed: dict[TopicPartition, Commit] = field(
        factory=dict[TopicPartition, Commit], init=False
    )
    _outdated: set[TopicPartition] = field(factory=set[TopicPartition], init=False)
    """The partitions whose commit lay beyond the end when the log was truncated."""
    _sought: set[TopicPartition] = field(factory=set[TopicPartition], init=False)
    """The partitions that a member reads from elsewhere on, so that a commit may go backwards."""
    _staged: "list[StagedOffsets]" = field(factory=list["StagedOffsets"], init=False)
    """The offsets of transactions that are neither committed nor aborted."""
    _rebalancing: bool = field(default=False, init=False)
    _rebalances_at: float = field(default=float("inf"), init=False)
    """When the members notice that a topic has more partitions."""

    def members(self) -> list[Member]:
        """Return the members that the group counts."""
        return [member for member in self.connected if member.inside]

    # -- time ----------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Do what was due by `now`; nothing while the broker cannot be reached."""
        if not self.reachable:
            return
        for member in list(self.connected):
            self._advance_member(member, now)
        if self._rebalances_at <= now:
            self._rebalances_at = float("inf")
            self._rebalancing = True
        self._continue_rebalance(now)

    def _advance_member(self, member: Member, now: float) -> None:
        options = member.options
        if member.session_ends_at is not None and member.session_ends_at <= now:
            self._remove(member, now)
            return
        if (
            member.inside
            and member.polled_at is not None
            and member.polled_at + options.max_poll_interval_s <= now
        ):
            self.expel(member, now, notices_at=now)
        if member.notices_at is not None and member.notices_at <= now:
            self._notice_expulsion(member, now)
        if member.standing is Standing.REVOKING and member.release_by <= now:
            # The group does not wait any longer, and the member finds that out by itself.
            member.inside = False
            self._take_partitions(member)

    def next_deadline(self) -> float:
        """Return when `advance` has something to do."""
        if not self.reachable:
            return float("inf")
        times = (time for member in self.connected for time in member.deadlines())
        return min((self._rebalances_at, *times))

    # -- membership ----------------------------------------------------------------------

    def join(self, member: Member, now: float) -> None:
        """Let a member in, which rebalances the group."""
        if member not in self.connected:
            self.connected.append(member)
        member.inside = True
        member.notices_at = None  # who joins anew has noticed that it was expelled
        member.standing = Standing.WAITING
        self.rebalance(now)

    def leave(self, member: Member, now: float) -> None:
        """Let go of a member that was closed; during an outage its session has to run out."""
        member.assignment = member.revocation = None
        if not member.inside or self.reachable:
            self._remove(member, now)
            return
        self.die(member, now)
        if self._rebalancing:
            member.standing = Standing.REVOKING
            member.release_by = min(member.release_by, now + member.options.session_timeout_s)

    def die(self, member: Member, now: float) -> None:
        """Receive no more heartbeats of a member; its session runs out."""
        member.session_ends_at = now + member.options.session_timeout_s

    def expel(self, member: Member, now: float, notices_at: float) -> None:
        """Drop a member, which rebalances the group and is noticed by the member later."""
        member.inside = False
        member.notices_at = notices_at
        self.rebalance(now)

    def _remove(self, member: Member, now: float) -> None:
        member.session_ends_at = member.notices_at = None
        self._take_partitions(member)
        if member in self.connected:
            self.connected.remove(member)
        if member.inside:
            member.inside = False
            self.rebalance(now)

    def _notice_expulsion(self, member: Member, now: float) -> None:
        member.notices_at = None
        if member.standing is Standing.OWNING:
            self._revoke(member, now, lost=True)
        elif member.revocation is not None:
            member.revocation = PendingRevocation(member.epoch, member.partitions, lost=True)
        elif member.standing is Standing.WAITING:
            self._take_partitions(member)

    # -- rebalance -----------------------------------------------------------------------

    def rebalance(self, now: float) -> None:
        """Begin a rebalance, and finish it if nobody has to release anything."""
        self._rebalancing = True
        self._continue_rebalance(now)

    def rebalance_later(self, now: float, at: float) -> None:
        """Begin a rebalance at the time `at`, which may be now."""
        if at <= now:
            self.rebalance(now)
        else:
            self._rebalances_at = min(self._rebalances_at, at)
            self.on_change()

    def release(self, member: Member, pending: PendingRevocation, now: float) -> None:
        """Take the partitions that a member releases; without effect after its time."""
        if member.standing is Standing.REVOKING and member.epoch == pending.epoch:
            self._take_partitions(member)
            self._continue_rebalance(now)

    def _revoke(self, member: Member, now: float, *, lost: bool) -> None:
        if not member.partitions:
            self._take_partitions(member)
            return
        member.assignment = None
        member.revocation = PendingRevocation(member.epoch, member.partitions, lost)
        member.standing = Standing.REVOKING
        timeouts = [other.options.rebalance_timeout_s for other in (*self.members(), member)]
        member.release_by = now + max(timeouts)
        self.on_change()

    def _take_partitions(self, member: Member) -> None:
        member.standing = Standing.WAITING if member.inside else Standing.OUT
        if member.tail is not None:
            member.tail.offsets.update(member.positions)
        member.assigned = member.partitions = frozenset()
        member.positions = {}
        member.epochs = {}
        member.assignment = member.revocation = None
        self.on_change()

    def _count_rebalance(self) -> None:
        self._rebalancing = False
        self.generation += 1

    def _continue_rebalance(self, now: float) -> None:
        """Take a rebalance as far as it goes."""
        if not self._rebalancing or not self.reachable:
            return
        members = self.members()
        for member in members:
            if member.standing is Standing.OWNING:
                self._revoke(member, now, lost=False)
        if any(member.standing is Standing.REVOKING for member in members):
            return
        self._count_rebalance()
        for member, partitions in self._distribute(members):
            self._assign(member, partitions)
        self.on_change()

    def _distribute(self, members: Collection[Member]) -> list[tuple[Member, list[TopicPartition]]]:
        """Pair each member with its partitions: round robin over those that want the topic."""
        shares: dict[str, tuple[Member, list[TopicPartition]]] = {
            member.name: (member, []) for member in sorted(members, key=lambda each: each.name)
        }
        turns = cycle(shares.values())
        for partition in sorted(self.logs):
            for _ in shares:
                member, share = next(turns)
                if partition.topic in member.topics:
                    share.append(partition)
                    break
        return list(shares.values())

    def _assign(self, member: Member, partitions: list[TopicPartition]) -> None:
        member.epoch += 1
        member.standing = Standing.OWNING
        member.assigned = frozenset(partitions)
        member.partitions, elsewhere = self._read_of(member)
        member.positions = {each: self._first_position(member, each) for each in member.partitions}
        committed = {each: self.committed.get(each) for each in member.partitions}
        member.assignment = Assignment(member.epoch, dict(member.positions), committed, elsewhere)

    def _read_of(
        self, member: Member
    ) -> tuple[frozenset[TopicPartition], frozenset[TopicPartition]]:
        """Return the assigned partitions that a member reads, and for a tail those of others."""
        if member.tail is None:
            return member.assigned, frozenset()
        existing = [each for each in self.logs if each.topic in member.topics]
        counts = Counter(each.topic for each in existing)
        read = member.tail.share.of(member.assigned, counts)
        return read, frozenset(existing) - member.assigned

    def _first_position(self, member: Member, partition: TopicPartition) -> int:
        log, is_late = self.logs[partition], partition not in member.known
        if (tail := member.tail) is not None:
            is_late = is_late or tail.share.continues_all_of(partition.topic)
            return tail_position(tail.offsets.get(partition), is_late, log.start, log.stable_end)
        commit = self.committed.get(partition)
        committed = None if commit is None else commit.offset
        if committed is not None and committed <= log.end:
            if committed < log.start:
                member.jumps.append(Jump(partition, committed, log.start, DELETED))
            return max(committed, log.start)
        if committed is None and partition.topic in self.topics():
            is_late = is_late or partition.topic in member.read_before
        from_start = is_late or member.options.auto_offset_reset == "earliest"
        position = log.start if from_start else log.stable_end
        if committed is not None:
            member.jumps.append(Jump(partition, committed, position, REPLACED))
        return position

    # -- commits -------------------------------------------------------------------------

    def refusal(
        self, member: Member, epoch: int, partitions: Collection[TopicPartition]
    ) -> str | None:
        """Return why a commit that arrives now is refused, None if it is not."""
        if not member.inside:
            return "the member is out of its group"
        if self.is_over(member, epoch, partitions):
            return "the assignment that this commit belongs to is over"
        return None

    def is_over(self, member: Member, epoch: int, partitions: Collection[TopicPartition]) -> bool:
        """Return whether a member knows that some of the partitions are not its own any more."""
        return epoch != member.epoch or member.standing not in (Standing.OWNING, Standing.REVOKING)

    def may_seek(self, member: Member, epoch: int, partitions: Collection[TopicPartition]) -> bool:
        """Return whether a member has all of these partitions, and none is being revoked."""
        is_present = member.standing is Standing.OWNING and epoch == member.epoch
        return is_present and member.partitions.issuperset(partitions)

    def topics(self) -> frozenset[str]:
        """Return the topics that the group has committed anything of."""
        return frozenset(partition.topic for partition in self.committed)

    def commit(self, member: Member, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit for partitions that the member reads."""
        for partition, commit in commits.items():
            partition = TopicPartition(*partition)
            if partition in member.partitions and partition not in self.logs:
                continue  # deleted
            self._check(member, partition, commit)
            self._store(member.name, member.epoch, partition, commit)

    def _store(self, member: str, epoch: int, partition: TopicPartition, commit: Commit) -> None:
        self.committed[partition] = commit
        self._outdated.discard(partition)
        who = self.name, member, epoch, self.generation
        self.commits.append(MemoryCommit(*who, partition, commit.offset, commit.metadata))

    # -- commits of transactions ---------------------------------------------------------

    def stage(
        self, by: "MemoryGroupMetadata", commits: Mapping[TopicPartition, Commit]
    ) -> "StagedOffsets | str":
        """Take the offsets of a transaction that is not committed yet, or say why not."""
        if by.generation != self.generation:
            return "the group has rebalanced meanwhile"
        commits = {TopicPartition(*each): commit for each, commit in commits.items()}
        if (refusal := self.refusal(by.member, by.epoch, commits.keys())) is not None:
            return refusal
        commits = {each: commit for each, commit in commits.items() if each in self.logs}
        for partition, commit in commits.items():
            self._check(by.member, partition, commit)
        staged = StagedOffsets(by, commits)
        self._staged.append(staged)
        return staged

    def settle(self, staged: "StagedOffsets", *, committed: bool) -> None:
        """Commit the offsets of a transaction or drop them, which members may have waited for."""
        self._staged.remove(staged)
        if committed:
            for partition, commit in staged.commits.items():
                if partition in self.logs:
                    self._store(staged.by.member.name, staged.by.epoch, partition, commit)
        for member in self.connected:
            self._correct(member, staged.commits.keys())
        self.on_change()

    def is_unstable(self, partitions: Collection[TopicPartition]) -> bool:
        """Return whether a transaction that is open has offsets of some of these partitions."""
        return any(not staged.commits.keys().isdisjoint(partitions) for staged in self._staged)

    def _correct(self, member: Member, partitions: Collection[TopicPartition]) -> None:
        """Begin where the group has committed by now, in an assignment that no poll has taken."""
        if (assignment := member.assignment) is None:
            return
        news = [each for each in partitions if each in assignment.positions]
        positions = {each: self._first_position(member, each) for each in news}
        member.positions.update(positions)
        member.assignment = evolve(
            assignment,
            positions={**assignment.positions, **positions},
            committed={**assignment.committed, **{each: self.committed.get(each) for each in news}},
        )

    def commit_from_outside(self, partition: TopicPartition, commit: Commit) -> None:
        """Commit what is not checked, also beyond the log's end."""
        self.committed[TopicPartition(*partition)] = commit
        self.log_changed(partition)

    def forget(self, partitions: Collection[TopicPartition], now: float) -> None:
        """Forget partitions that were deleted; the group rebalances if a member reads them."""
        for partition in partitions:
            self.committed.pop(partition, None)
        for member in self.connected:
            member.known = member.known.difference(partitions)
        if any(not member.assigned.isdisjoint(partitions) for member in self.members()):
            self.rebalance(now)

    def log_changed(self, partition: TopicPartition) -> None:
        """Let the next commit go backwards if the log ends before the last one."""
        if self._offset(partition) > self.logs[partition].end:
            self._outdated.add(TopicPartition(*partition))

    def sought(self, partitions: Iterable[TopicPartition]) -> None:
        """Let one commit of each of these partitions go backwards."""
        self._sought.update(partitions)

    def _offset(self, partition: TopicPartition) -> int:
        commit = self.committed.get(partition)
        return 0 if commit is None else commit.offset

    def _check(self, member: Member, partition: TopicPartition, commit: Commit) -> None:
        """Raise `Misuse` for a commit that Kafka would take, but that no program can mean."""
        offset = commit.offset
        if partition not in member.partitions:
            raise Misuse(f"commit of {partition}, which is not assigned to {member.name}")
        if offset > (end := self.logs[partition].end) and partition not in self._sought:
            raise Misuse(f"commit of {offset} in {partition}, which ends at {end}")
        if len(commit.metadata) > MAX_METADATA:
            raise Misuse(f"commit of {len(commit.metadata)} characters of metadata: too many")
        before = self._offset(partition)
        if offset < before and partition in self._sought:
            self._sought.discard(partition)
        elif offset < before and partition not in self._outdated:
            raise Misuse(f"commit of {offset} in {partition} goes backwards from {before}")


@frozen
class MemoryGroupMetadata:
    """A member at one moment, as a transaction commits in its name."""

    group: Group
    member: Member
    epoch: int
    generation: int
    """The number of the group's rebalance."""


@define(eq=False)
class StagedOffsets:
    """The offsets that a transaction commits if it is committed."""

    by: MemoryGroupMetadata
    commits: Mapping[TopicPartition, Commit]
