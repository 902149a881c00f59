"""The ledger against a model that keeps every record for ever and searches."""

from __future__ import annotations

from functools import partial
from random import Random

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.finishes import NEVER
from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.offset_map import ALWAYS_FITS, FULL_TEXT, Interval, decode, merged
from sdml_kafka.consuming.offsets.tenancy import Progress, Tenancy

PARTITIONS = (0, 1, 2)


@define(eq=False)
class ModelRecord:
    stay: Stay
    chunk: Chunk[Tenancy]
    index: int
    offset: int
    left: int
    delivered_at: float
    in_hand: int = 0


@define(eq=False)
class Stay:
    """One tenancy as the model knows it."""

    tenancy: Tenancy
    next_offset: int
    committed: int | None
    keeps_map: bool = False
    known: list[Interval] = field(factory=list)
    open: bool = True
    is_moved: bool = False
    records: list[ModelRecord] = field(factory=list)
    committable_seen: int = -1
    committed_map: list[Interval] = field(factory=list)

    def unfinished(self) -> list[ModelRecord]:
        return [record for record in self.records if record.left]

    def frontier(self) -> int:
        return min((record.offset for record in self.unfinished()), default=self.next_offset)

    def is_known(self, offset: int) -> bool:
        return any(start <= offset < end for start, end in self.known)

    def pass_known(self) -> None:
        while self.is_known(self.next_offset):
            self.next_offset += 1

    def finished_ahead(self) -> list[Interval]:
        frontier, unfinished = self.frontier(), {record.offset for record in self.unfinished()}
        end = max((record.offset + 1 for record in self.records), default=frontier)
        ahead = set(range(frontier, end)) - unfinished
        ahead |= {offset for each in self.known for offset in range(*each) if offset >= frontier}
        return merged((offset, offset + 1) for offset in sorted(ahead))


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.stays: dict[int, Stay] = {}
        self.pending: list[ModelRecord] = []
        self.finished = 0
        self.late = 0
        self.taken = 0
        self.epoch = 0
        self.clock = 0.0
        self.notified = 0
        self.notifications_due = 0
        self.notify_at = NEVER

    def _on_notify(self) -> None:
        self.notified += 1

    def _count(self, finished: int) -> None:
        armed_at = self.notify_at
        self.finished += finished
        if finished and self.finished >= armed_at:
            self.notifications_due += 1
            self.notify_at = NEVER

    @rule(
        partition=st.sampled_from(PARTITIONS),
        start=st.integers(0, 50),
        uncommitted=st.none() | st.integers(0, 3),
        close_first=st.booleans(),
        keeps_map=st.booleans(),
        runs=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=4),
    )
    def assign(
        self,
        partition: int,
        start: int,
        uncommitted: int | None,
        close_first: bool,
        keeps_map: bool,
        runs: list[tuple[int, int]],
    ) -> None:
        """A rebalance, or a seek: what was out for the partition belongs to a past tenancy now."""
        if close_first:
            self.revoke(partition)
        elif (past := self.stays.get(partition)) is not None:
            past.open, past.is_moved = False, True
        self.epoch += 1
        committed = None if uncommitted is None else max(0, start - uncommitted)
        at, known = committed or 0, list[Interval]()
        for unfinished, finished in runs if committed is not None and keeps_map else ():
            known.append((at + unfinished, at + unfinished + finished))
            at = known[-1][1]
        tenancy = self.ledger.open(
            "topic", partition, self.epoch, start, committed, known, keeps_map=keeps_map
        )
        stay = self.stays[partition] = Stay(tenancy, start, committed, keeps_map, known)
        stay.pass_known()
        stay.committed_map = stay.finished_ahead()

    @rule(partition=st.sampled_from(PARTITIONS))
    def revoke(self, partition: int) -> None:
        self.ledger.close("topic", partition)
        if (past := self.stays.pop(partition, None)) is not None:
            past.open = False

    @precondition(lambda self: self.stays)
    @rule(
        pick=st.integers(0, 100),
        steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6),
    )
    def deliver(self, pick: int, steps: list[tuple[int, int]]) -> None:
        """Each step: how many offsets are missing before the record, and its destinations."""
        stay = list(self.stays.values())[pick % len(self.stays)]
        self.clock += 1
        offsets = list[int]()
        for gap, _ in steps:
            stay.next_offset += gap
            stay.pass_known()
            offsets.append(stay.next_offset)
            stay.next_offset = offsets[-1] + 1
            stay.pass_known()
        lefts = [destinations for _, destinations in steps]
        self._count(lefts.count(0))
        chunk = stay.tenancy.deliver(offsets, list(lefts), self.clock)
        for index, (offset, left) in enumerate(zip(offsets, lefts, strict=True)):
            record = ModelRecord(stay, chunk, index, offset, left, self.clock)
            stay.records.append(record)
            if left:
                self.pending.append(record)

    @precondition(lambda self: self.stays)
    @rule(pick=st.integers(0, 100), count=st.integers(1, 3))
    def skip(self, pick: int, count: int) -> None:
        """Transaction markers are behind the last record, whether it has finished or not."""
        stay = list(self.stays.values())[pick % len(self.stays)]
        stay.next_offset += count
        stay.pass_known()
        stay.tenancy.skip(stay.tenancy.delivered_to(), stay.next_offset)

    def _take(self, record: ModelRecord) -> None:
        record.in_hand += 1
        record.stay.tenancy.taken += 1
        self.taken += record.stay.open

    def _finish_once(self, record: ModelRecord) -> None:
        if not record.in_hand:
            self._take(record)
        record.in_hand -= 1
        record.left -= 1
        if record.left == 0:
            self.pending.remove(record)
            if record.stay.open:
                self._count(1)
            elif not record.stay.is_moved:
                self.late += 1
        record.chunk.finish(record.index)

    @precondition(lambda self: self.pending)
    @rule(pick=st.integers(0, 1000))
    def take(self, pick: int) -> None:
        record = self.pending[pick % len(self.pending)]
        if record.in_hand < record.left:
            self._take(record)

    @rule(pick=st.integers(0, 1000))
    def give_back(self, pick: int) -> None:
        if in_hand := [record for record in self.pending if record.in_hand]:
            record = in_hand[pick % len(in_hand)]
            record.in_hand -= 1
            record.chunk.give_back()

    @precondition(lambda self: self.pending)
    @rule(pick=st.integers(0, 1000))
    def finish_any(self, pick: int) -> None:
        self._finish_once(self.pending[pick % len(self.pending)])

    @precondition(lambda self: self.pending)
    @rule(count=st.integers(1, 12))
    def finish_newest(self, count: int) -> None:
        """Records finish ahead of the frontier."""
        for _ in range(min(count, len(self.pending))):
            self._finish_once(self.pending[-1])

    @precondition(lambda self: self.pending)
    @rule(count=st.integers(1, 12))
    def finish_oldest(self, count: int) -> None:
        for _ in range(min(count, len(self.pending))):
            self._finish_once(self.pending[0])

    @rule()
    def commit(self) -> None:
        for (topic, partition), progress in self.ledger.committable().items():
            self.ledger.committed(topic, partition, progress)
            stay = self.stays[partition]
            stay.committed, stay.committed_map = progress.offset, stay.finished_ahead()

    @precondition(lambda self: self.stays)
    @rule(
        pick=st.integers(0, 100),
        chosen=st.sets(st.integers(0, 20)),
        meanwhile=st.none() | st.integers(0, 20),
    )
    def commit_as_if_some_had_finished(
        self, pick: int, chosen: set[int], meanwhile: int | None
    ) -> None:
        """A transaction: its records finish once it is committed, others at any time."""
        stay = list(self.stays.values())[pick % len(self.stays)]
        records = [record for record in stay.unfinished() if record.left == 1]
        members = [record for at, record in enumerate(records) if at in chosen]
        left = [record for record in stay.records if record.left and record not in members]
        frontier = min((record.offset for record in left), default=stay.next_offset)
        progress = stay.tenancy.progress_with(record.offset for record in reversed(members))
        for record in members:
            record.left = 0
        ahead = stay.finished_ahead()
        for record in members:
            record.left = 1
        if progress is None:
            assert ahead
            assert not stay.keeps_map
            return
        assert stay.keeps_map or not ahead
        assert (progress.offset, decode(progress.offset, progress.map)) == (frontier, ahead)
        if meanwhile is not None and left:
            self._finish_once(left[meanwhile % len(left)])
        for record in members:
            self._finish_once(record)
        stay.tenancy.note_committed(progress)
        if stay.committed is None or progress.offset >= stay.committed:
            stay.committed, stay.committed_map = progress.offset, ahead

    @rule(
        partition=st.sampled_from(PARTITIONS),
        back=st.integers(0, 5),
        stale=st.booleans(),
    )
    def commit_of_older_news(self, partition: int, back: int, stale: bool) -> None:
        """An answer that is late, or belongs to a past tenancy, moves nothing backwards."""
        stay = self.stays.get(partition)
        epoch = self.epoch + 1 if stay is None or stale else stay.tenancy.epoch
        offset = max(0, (stay.frontier() if stay else 7) - back)
        self.ledger.committed("topic", partition, Progress(epoch, offset, "", (-1, -1)))
        if stay is not None and not stale and offset >= (stay.committed or 0):
            stay.committed, stay.committed_map = offset, []

    @rule(ahead=st.integers(1, 8))
    def ask_to_be_notified(self, ahead: int) -> None:
        self.notify_at = self.ledger.finishes.count + ahead
        self.ledger.finishes.notify_when(self.notify_at, self._on_notify)

    @invariant()
    def frontier_is_the_lowest_unfinished(self) -> None:
        for stay in self.stays.values():
            assert stay.tenancy.frontier() == stay.frontier()
            assert stay.tenancy.position() == stay.next_offset
            oldest = min(stay.unfinished(), key=lambda record: record.offset, default=None)
            since = stay.tenancy.frontier_since()
            assert since == (None if oldest is None else oldest.delivered_at)

    @invariant()
    def committable_moves_forward_up_to_the_frontier(self) -> None:
        committable = self.ledger.committable()
        for partition, stay in self.stays.items():
            assert stay.tenancy.committed == stay.committed
            committed = -1 if stay.committed is None else stay.committed
            ahead = stay.finished_ahead()
            if ("topic", partition) not in committable:
                assert stay.frontier() <= committed
                assert not stay.keeps_map or ahead == stay.committed_map
                continue
            progress = committable["topic", partition]
            assert progress.epoch == stay.tenancy.epoch
            assert committed <= progress.offset <= stay.frontier()
            assert committed < progress.offset or ahead != stay.committed_map
            assert progress.offset >= stay.committable_seen
            assert decode(progress.offset, progress.map) == (ahead if stay.keeps_map else [])
            stay.committable_seen = progress.offset
        assert {partition for _, partition in committable} <= self.stays.keys()

    @invariant()
    def counts_are_exact(self) -> None:
        assert self.ledger.finishes.count == self.finished
        assert self.ledger.finishes.late == self.late
        assert self.notified == self.notifications_due
        assert self.ledger.finishes.notify_at == self.notify_at
        for stay in self.stays.values():
            assert stay.tenancy.in_flight == len(stay.unfinished())
            assert stay.tenancy.in_hand == sum(record.in_hand for record in stay.records)
        assert self.ledger.delivered() == self.taken

    @invariant()
    def memory_follows_the_unfinished(self) -> None:
        for stay in self.stays.values():
            assert stay.tenancy.chunk_count() <= len(stay.unfinished())


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_one_slow_record_does_not_keep_what_finished_after_it() -> None:
    tenancy = Ledger().open("topic", 0, epoch=1, start=0, committed=None)
    tenancy.deliver([0], [1], now=0.0)
    for offset in range(1, 10_000):
        tenancy.deliver([offset], [1], now=0.0).finish(0)

    assert tenancy.chunk_count() == 1
    assert tenancy.frontier() == 0
    assert tenancy.position() == 10_000


def test_who_waits_for_few_in_flight_and_who_waits_for_the_drain_are_both_called_once() -> None:
    tenancy = Ledger().open("topic", 0, epoch=1, start=0, committed=None)
    chunk = tenancy.deliver([0, 1, 2], [1, 2, 1], now=0.0)
    tenancy.taken = 4
    calls = list[str]()
    tenancy.call_when_low(1, lambda: calls.append(f"{tenancy.in_flight} in flight"))
    tenancy.call_when_drained(lambda: calls.append(f"{tenancy.in_hand} in hand"))

    chunk.finish(1)
    chunk.finish(1)
    assert calls == []
    chunk.finish(0)
    assert calls == ["1 in flight"]
    chunk.give_back()
    assert calls == ["1 in flight", "0 in hand"]
    assert not tenancy.is_watched
    chunk.finish(2)

    assert calls == ["1 in flight", "0 in hand"]


def test_everybody_who_waits_for_the_drain_is_called_also_after_the_tenancy_ended() -> None:
    ledger = Ledger()
    tenancy = ledger.open("topic", 0, epoch=1, start=0, committed=None)
    chunk = tenancy.deliver([0, 1], [1, 1], now=0.0)
    tenancy.taken = 2
    calls = list[str]()
    tenancy.call_when_low(1, lambda: calls.append("low"))
    for name in "ab":
        tenancy.call_when_drained(partial(calls.append, name))

    ledger.close("topic", 0)
    chunk.finish_run(range(2))

    assert calls == ["a", "b"]
    assert ledger.finishes.late == 2


def test_notify_may_ask_for_the_next_count() -> None:
    ledger = Ledger()
    tenancy = ledger.open("topic", 0, epoch=1, start=0, committed=None)
    notified_at = list[int]()

    def rearm() -> None:
        notified_at.append(ledger.finishes.count)
        ledger.finishes.notify_when(ledger.finishes.count + 3, rearm)

    ledger.finishes.notify_when(3, rearm)
    chunk = tenancy.deliver(range(10), [1] * 10, now=0.0)
    for index in reversed(range(10)):
        chunk.finish(index)

    assert notified_at == [3, 6, 9]


def test_notify_comes_also_when_many_finish_at_once() -> None:
    ledger = Ledger()
    notified_at = list[int]()
    ledger.finishes.notify_when(3, lambda: notified_at.append(ledger.finishes.count))
    tenancy = ledger.open("topic", 0, epoch=1, start=0, committed=None)

    for _ in range(2):
        tenancy.deliver(range(5), [0] * 5, now=0.0)

    assert notified_at == [5]


def test_nothing_is_committable_of_what_is_in_doubt_also_when_it_is_read_on() -> None:
    ledger = Ledger()
    tenancy = ledger.open("topic", 0, epoch=1, start=0, committed=None)
    tenancy.deliver([0], [1], now=0.0).finish(0)
    tenancy.in_doubt = True
    assert ledger.committable() == {}
    ledger.reopen(tenancy)
    assert ledger.committable() == {}


def test_what_a_transaction_commits_fits_into_an_offset_map_whatever_has_finished() -> None:
    tenancy = Ledger().open("topic", 0, epoch=1, start=0, committed=0, keeps_map=True)
    tenancy.must_fit = True
    chance, offsets = Random(14), range(ALWAYS_FITS + 2)
    chunk = tenancy.deliver(offsets, [1] * len(offsets), now=0.0)
    begun = [offset for offset in offsets if tenancy.may_begin(offset)]
    assert begun == list(range(ALWAYS_FITS))
    progress = tenancy.progress_with(each for each in begun[1:] if chance.random() < 0.5)
    assert progress is not None
    assert len(progress.map) <= FULL_TEXT
    chunk.finish(0)
    assert tenancy.may_begin(ALWAYS_FITS)


def test_with_a_map_that_is_too_long_from_before_records_begin_in_order() -> None:
    chance, known = Random(14), list[tuple[int, int]]()
    at = 2 * ALWAYS_FITS
    for _ in range(3000):
        known.append((at, at := at + chance.randrange(1, 200)))
        at += chance.randrange(1, 200)
    tenancy = Ledger().open("topic", 0, 1, 0, 0, known, keeps_map=True)
    tenancy.must_fit = True
    chunk = tenancy.deliver(range(10), [1] * 10, now=0.0)
    assert tenancy.progress_with([1, 3, 5]) is None
    tenancy.begin_in_order()
    for offset in range(10):
        assert [tenancy.may_begin(each) for each in range(offset, 10)] == [
            each == offset for each in range(offset, 10)
        ]
        chunk.finish(offset)


def test_closing_what_is_not_open_is_nothing() -> None:
    Ledger().close("topic", 0)


def test_a_gap_behind_records_that_wait_is_passed_over_after_them() -> None:
    tenancy = Ledger().open("topic", 0, epoch=1, start=0, committed=None)
    tenancy.skip(2, 5)  # 0 and 1 were fetched, and wait
    first = tenancy.deliver([0], b"\1", 0.0)
    first.finish(0)
    assert (tenancy.frontier(), tenancy.position()) == (1, 1)
    second = tenancy.deliver([1], b"\1", 0.0)
    assert (tenancy.frontier(), tenancy.position()) == (1, 5)
    second.finish(0)
    assert tenancy.frontier() == 5
    tenancy.deliver([5], b"\1", 0.0)
    assert (tenancy.frontier(), tenancy.position()) == (5, 6)


def test_a_commit_beyond_the_start_is_of_another_log() -> None:
    ledger = Ledger()
    tenancy = ledger.open("topic", 0, epoch=1, start=3, committed=100)
    assert tenancy.committed is None
    due = ledger.committable()
    assert due == {("topic", 0): Progress(1, 3, "", (3, 0))}
    ledger.committed("topic", 0, Progress(1, 100, "", (100, 0)))  # a late answer
    assert ledger.committable() == due
