"""Batches: of one lane each, one after another, full or due."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.processing.batch_lanes import BatchLanes
from sdml_kafka.listener.processing.job import BatchLane, JobBatch
from sdml_kafka.listener.processing.lanes import NullKey
from sdml_kafka.listener.processing.policies import Batch, Order
from sdml_kafka.listener.typed_queue import Parcel
from tests.support.records import make_record

Keys = list[bytes | None]


class World:
    """Lanes whose batches are due when the time is moved."""

    def __init__(self, order: Order, null_key: NullKey, batch: Batch) -> None:
        self.now = 0.0
        self.due: list[tuple[float, BatchLane]] = []
        self.lanes = BatchLanes(
            order, null_key, batch, lambda at, lane: self.due.append((at, lane))
        )
        self.order, self.null_key, self.batch = order, null_key, batch
        self.ledger = Ledger()
        self.next = [0, 0]
        self.tenancies = [self.ledger.open("topic", number, 1, 0, None) for number in range(2)]

    def wait(self, at: float, lane: BatchLane) -> None:
        self.due.append((at, lane))

    def add(self, number: int, keys: Keys) -> None:
        first, self.next[number] = self.next[number], self.next[number] + len(keys)
        offsets = range(first, self.next[number])
        chunk = self.tenancies[number].deliver(offsets, b"\1" * len(keys), 0.0)
        records = [
            make_record("topic", number, offset=offset, key=key)
            for offset, key in zip(offsets, keys, strict=True)
        ]
        self.lanes.add(Parcel(chunk, records, range(len(keys)), records), self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due, self.due = (
            [each for each in self.due if each[0] <= self.now],
            [each for each in self.due if each[0] > self.now],
        )
        for _, lane in due:
            self.lanes.note_due(lane, self.now)

    def lane_of(self, batch: JobBatch) -> object:
        key = batch.jobs[0].record.key
        assert {job.tenancy for job in batch.jobs} == {batch.tenancy}
        if self.order != "key":
            return batch.tenancy
        assert {job.record.key for job in batch.jobs} == {key}
        return batch.tenancy, key

    def is_ordered(self, batch: JobBatch) -> bool:
        if self.order == "none":
            return False
        return self.order == "partition" or (
            batch.jobs[0].record.key is not None or self.null_key == "partition"
        )


KEYS = st.lists(st.sampled_from([b"a", b"b", None]), min_size=1, max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 1), KEYS),
        st.tuples(st.just("take"), st.just(0), st.just([])),
        st.tuples(st.just("free"), st.integers(0, 5), st.just([])),
        st.tuples(st.just("wait"), st.integers(0, 3), st.just([])),
    ),
    max_size=60,
)


@given(
    st.sampled_from(get_args(Order)),
    st.sampled_from(get_args(NullKey)),
    st.builds(Batch, size=st.integers(1, 4), interval_s=st.sampled_from([0.0, 2.0])),
    STEPS,
)
def test_batches_are_in_order_within_their_lane_and_no_record_is_left_over(
    order: Order, null_key: NullKey, batch: Batch, steps: list[tuple[str, int, Keys]]
) -> None:
    world = World(order, null_key, batch)
    hand = Hand(world)
    for step, number, keys in steps:
        if step == "add":
            world.add(number, keys)
        elif step == "take":
            hand.take()
        elif step == "free":
            hand.free(number)
        else:
            world.pass_time(float(number))
    hand.take_the_rest()
    added = sum(len(keys) for _, _, keys in steps)
    assert sum(map(len, hand.seen.values())) == added
    assert all(offsets == sorted(offsets) for offsets in hand.seen.values())
    assert world.lanes.queued == 0


class Hand:
    """Takes batches and frees them, and notes the offsets in each lane."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: list[JobBatch] = []
        self.seen: dict[object, list[int]] = {}

    def take(self) -> bool:
        world = self.world
        taken = world.lanes.take(world.now)
        if taken is None:
            return False
        lane = world.lane_of(taken)
        if world.is_ordered(taken):
            assert lane not in map(world.lane_of, self.running)
        self.seen.setdefault(lane, []).extend(job.record.offset for job in taken.jobs)
        assert 1 <= len(taken.jobs) <= world.batch.size
        self.running.append(taken)
        return True

    def free(self, number: int) -> None:
        if self.running:
            batch = self.running.pop(number % len(self.running))
            self.world.lanes.free(batch, self.world.now)

    def take_the_rest(self) -> None:
        while self.world.lanes.queued or self.running:
            self.free(0)
            self.world.pass_time(self.world.batch.interval_s)
            while self.take():
                pass


def world_of(size: int, interval_s: float) -> World:
    return World("partition", "free", Batch(size=size, interval_s=interval_s))


def test_a_batch_waits_until_it_is_full_or_due() -> None:
    world = world_of(3, 10.0)
    world.add(0, [None, None])
    assert world.lanes.take(world.now) is None
    world.pass_time(9.0)
    assert world.lanes.take(world.now) is None
    world.add(0, [None])
    full = world.lanes.take(world.now)
    assert full is not None
    assert len(full.jobs) == 3
    world.add(0, [None])
    world.pass_time(10.0)
    assert world.lanes.take(world.now) is None, "its lane is busy"
    world.lanes.free(full, world.now)
    due = world.lanes.take(world.now)
    assert due is not None
    assert len(due.jobs) == 1


def test_nothing_of_a_tenancy_that_was_dropped_is_left() -> None:
    world = world_of(2, 10.0)
    world.add(0, [None] * 5)
    world.add(1, [None] * 2)
    taken = world.lanes.take(world.now)
    assert taken is not None
    world.lanes.drop([world.tenancies[0]])
    assert world.lanes.queued == 2
    world.lanes.free(taken, world.now)
    other = world.lanes.take(world.now)
    assert other is not None
    assert other.tenancy is world.tenancies[1]
    assert world.lanes.take(world.now) is None


def test_what_waits_is_given_back_later_offsets_first() -> None:
    world = world_of(9, 10.0)
    world.add(0, [b"a", b"b", b"a"])
    assert [parcel.offset for parcel in world.lanes.take_all()] == [2, 1, 0]
    assert world.lanes.queued == 0


def test_nothing_begins_beyond_the_bound_until_the_lane_is_reopened() -> None:
    world = world_of(2, 0.0)
    tenancy: Tenancy = world.tenancies[0]
    tenancy.begins_below = 1
    world.add(0, [None] * 3)
    first = world.lanes.take(world.now)
    assert first is not None
    assert len(first.jobs) == 1
    world.lanes.free(first, world.now)
    assert world.lanes.take(world.now) is None
    tenancy.begins_below = 1 << 60
    world.lanes.reopen(tenancy)
    rest = world.lanes.take(world.now)
    assert rest is not None
    assert len(rest.jobs) == 2


def test_many_full_batches_leave_one_time_to_wait_for() -> None:
    world = World("partition", "free", Batch(size=10, interval_s=3600.0))
    for _ in range(1001):
        world.add(0, [b"key"] * 13)
        while (batch := world.lanes.take(world.now)) is not None:
            world.lanes.free(batch, world.now)
        world.pass_time(1.0)
    assert len(world.due) == 1
    assert world.lanes.queued < 10
    world.pass_time(3600.0)
    assert world.lanes.take(world.now) is not None
