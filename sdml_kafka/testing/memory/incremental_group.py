"""A group of the in-memory broker whose rebalances move only what has to move.

A rebalance decides who is to have what, as near as possible to what everybody has. Then each member
has revoked what others are to have, and gets what is free: at once, or as soon as it was released.
A member that releases too late is out of the group, and loses all.
"""

from collections.abc import Collection, Mapping, Sequence
from math import inf

from attrs import define, evolve, field

from sdml_kafka.testing.memory.group import Group
from sdml_kafka.testing.memory.member import Member, PendingRevocation, Standing
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment

Shares = dict[Member, set[TopicPartition]]


@define(eq=False)
class IncrementalGroup(Group):
    """A group that rebalances as with the cooperative protocol, or with KIP-848."""

    _target: Mapping[Member, Collection[TopicPartition]] = field(
        factory=dict[Member, Collection[TopicPartition]], init=False
    )
    """The partitions that each member is to have."""

    # -- time ----------------------------------------------------------------------------

    def _advance_member(self, member: Member, now: float) -> None:
        if member.inside and member.revocation is not None and member.release_by <= now:
            self.expel(member, now, notices_at=now)
        super()._advance_member(member, now)

    def leave(self, member: Member, now: float) -> None:
        """Let go of a member that was closed; during an outage its session has to run out."""
        member.assignment = member.revocation = None
        if not member.inside or self.reachable:
            self._remove(member, now)
        else:
            self.die(member, now)

    # -- rebalance -----------------------------------------------------------------------

    def release(self, member: Member, pending: PendingRevocation, now: float) -> None:
        """Take the partitions that a member releases; without effect after its time."""
        if member.revocation is not pending:
            return
        if pending.lost:
            self._take_partitions(member)
        else:
            member.revocation = None
            self._take(member, pending.partitions)
        self._continue_rebalance(now)

    def _take(self, member: Member, partitions: Collection[TopicPartition]) -> None:
        """Take some partitions out of a member's hands."""
        member.assigned = member.assigned.difference(partitions)
        member.partitions = member.partitions.difference(partitions)
        for partition in partitions:
            member.epochs.pop(partition, None)
            position = member.positions.pop(partition, None)
            if member.tail is not None and position is not None:
                member.tail.offsets[partition] = position
        if member.tail is not None:
            self._add(member, frozenset())  # who has the others is news
        self.on_change()

    def _continue_rebalance(self, now: float) -> None:
        if not self.reachable:
            return
        members = sorted(self.members(), key=lambda each: each.name)
        if self._rebalancing:
            self._count_rebalance()
            self._target = nearest_shares(sorted(self.logs), members, self._target)
        for member in members:
            if surplus := member.assigned.difference(self._target.get(member, ())):
                self._take_back(member, surplus, now)
        held = frozenset[TopicPartition]().union(*(each.assigned for each in members))
        for member in members:
            free = frozenset(self._target.get(member, ())) - held
            if free or member.standing is Standing.WAITING:
                self._add(member, free)

    def _take_back(self, member: Member, surplus: frozenset[TopicPartition], now: float) -> None:
        """Revoke what a member knows it has, and take the rest at once."""
        new = frozenset[TopicPartition]()
        if (assignment := member.assignment) is not None:
            new = surplus.intersection(assignment.positions)
            if new:
                member.assignment = evolve(
                    assignment,
                    positions={k: v for k, v in assignment.positions.items() if k not in new},
                    committed={k: v for k, v in assignment.committed.items() if k not in new},
                )
        known = surplus & member.partitions - new
        if unknown := surplus - known:
            self._take(member, unknown)
        if known and member.revocation is None:
            member.revocation = PendingRevocation(member.epoch, known, lost=False)
            members = self.members()
            member.release_by = now + max(each.options.rebalance_timeout_s for each in members)
            self.on_change()

    def _revoke(self, member: Member, now: float, *, lost: bool) -> None:
        if member.assignment is not None:  # the member knows nothing of these
            member.partitions = member.partitions.difference(member.assignment.positions)
        super()._revoke(member, now, lost=lost)

    def _add(self, member: Member, partitions: frozenset[TopicPartition]) -> None:
        """Assign partitions on top of what a member has, in one piece with what no poll took."""
        adds, undelivered = member.standing is Standing.OWNING, member.assignment
        member.epoch += 1
        member.standing = Standing.OWNING
        member.assigned |= partitions
        read, elsewhere = self._read_of(member)
        new = sorted(read - member.partitions)
        positions = {each: self._first_position(member, each) for each in new}
        commits = {each: self.committed.get(each) for each in new}
        member.partitions = member.partitions.union(new)
        member.positions.update(positions)
        if undelivered is not None:
            positions, adds = {**undelivered.positions, **positions}, undelivered.adds
            commits = {**undelivered.committed, **commits}
        member.epochs.update(dict.fromkeys(positions, member.epoch))
        member.assignment = Assignment(member.epoch, positions, commits, elsewhere, adds=adds)
        self.on_change()

    # -- commits and seeks ---------------------------------------------------------------

    def is_over(self, member: Member, epoch: int, partitions: Collection[TopicPartition]) -> bool:
        """Return whether a member knows that some of the partitions are not its own any more."""
        return not all(member.epochs.get(each, inf) <= epoch for each in partitions)

    def may_seek(self, member: Member, epoch: int, partitions: Collection[TopicPartition]) -> bool:
        """Return whether a member has all of these partitions, and none is being revoked."""
        own = member.partitions - member.revoking
        return all(each in own and member.epochs[each] <= epoch for each in partitions)


def nearest_shares(
    partitions: Sequence[TopicPartition],
    members: Sequence[Member],
    before: Mapping[Member, Collection[TopicPartition]],
) -> Shares:
    """Return what each member is to have: as much as any other, as far as their topics allow.

    As little as possible is to be other than it was `before`.
    """
    left = set(partitions)
    shares: Shares = {}
    for member in members:
        shares[member] = {
            each for each in before.get(member, ()) if each in left and each.topic in member.topics
        }
        left -= shares[member]
    for partition in sorted(left):
        takers = [member for member in members if partition.topic in member.topics]
        if takers:
            shares[min(takers, key=lambda each: len(shares[each]))].add(partition)
    while (move := _levelling(shares)) is not None:
        partition, giver, taker = move
        shares[giver].remove(partition)
        shares[taker].add(partition)
    return shares


def _levelling(shares: Shares) -> tuple[TopicPartition, Member, Member] | None:
    """Return a partition that has to move, from whom, and to whom; None if all have as many."""
    for giver in sorted(shares, key=lambda each: len(shares[each]), reverse=True):
        for taker in sorted(shares, key=lambda each: len(shares[each])):
            if len(shares[giver]) - len(shares[taker]) < 2:
                break
            movable = [each for each in shares[giver] if each.topic in taker.topics]
            if movable:
                return max(movable), giver, taker
    return None
