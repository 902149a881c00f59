"""Lanes: one record after another in each, all of them side by side."""

from collections import defaultdict
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.lanes import Lanes, NullKey
from sdml_kafka.listener.processing.policies import Order
from sdml_kafka.listener.typed_queue import Parcel
from tests.support.records import make_record

KEYS = (b"a", b"b", b"c", None)


class World:
    """Tenancies with records of a few keys."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.next: dict[Tenancy, int] = {}

    def open(self, partition: int) -> Tenancy:
        tenancy = self.ledger.open("topic", partition, len(self.next), 0, None)
        self.next[tenancy] = 0
        return tenancy

    def parcel(self, tenancy: Tenancy, keys: list[bytes | None]) -> Parcel:
        first = self.next[tenancy]
        self.next[tenancy] += len(keys)
        offsets = range(first, first + len(keys))
        chunk = tenancy.deliver(offsets, b"\1" * len(keys), 0.0)
        records = [
            make_record("topic", tenancy.partition, offset=offset, key=key)
            for offset, key in zip(offsets, keys, strict=True)
        ]
        return Parcel(chunk, records, range(len(keys)), records)


class LanesMachine(RuleBasedStateMachine):
    """Adds, takes, frees and drops at random, for an order that is drawn once."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.lanes: Lanes | None = None
        self.order: Order = "key"
        self.null_key: NullKey = "free"
        self.tenancies: list[Tenancy] = []
        self.running: list[Job] = []
        self.waiting: dict[Tenancy, list[int]] = {}
        self.keys: dict[Tenancy, list[bytes | None]] = {}
        self.last: dict[object, int] = defaultdict(lambda: -1)

    @precondition(lambda self: self.lanes is None)
    @rule(order=st.sampled_from(get_args(Order)), null_key=st.sampled_from(get_args(NullKey)))
    def begin(self, order: Order, null_key: NullKey) -> None:
        self.order, self.null_key = order, null_key
        self.lanes = Lanes(order, null_key)
        for partition in range(2):
            self.open(partition)

    def open(self, partition: int) -> None:
        tenancy = self.world.open(partition)
        self.tenancies.append(tenancy)
        self.waiting[tenancy], self.keys[tenancy] = [], []

    def lane_of(self, job: Job) -> object:
        tenancy = job.tenancy
        if self.order == "partition":
            return tenancy
        is_free = job.record.key is None and self.null_key == "free"
        return None if self.order == "none" or is_free else (tenancy, job.record.key)

    @precondition(lambda self: self.lanes is not None)
    @rule(index=st.integers(0, 1), keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6))
    def add(self, index: int, keys: list[bytes | None]) -> None:
        assert self.lanes is not None
        tenancy = self.tenancies[index]
        self.waiting[tenancy] += range(
            self.world.next[tenancy], self.world.next[tenancy] + len(keys)
        )
        self.keys[tenancy] += keys
        self.lanes.add(self.world.parcel(tenancy, keys))

    @precondition(lambda self: self.lanes is not None)
    @rule()
    def take(self) -> None:
        assert self.lanes is not None
        job = self.lanes.take()
        if job is None:
            self.check_nothing_may_begin()
            return
        tenancy, lane, offset = job.tenancy, self.lane_of(job), job.record.offset
        assert tenancy.may_begin(offset)
        self.waiting[tenancy].remove(offset)
        if lane is not None:
            assert lane not in map(self.lane_of, self.running)
            assert offset > self.last[lane]
            assert all(
                other > offset
                for other in self.waiting[tenancy]
                if self.order == "partition" or self.keys[tenancy][other] == job.record.key
            )
            self.last[lane] = offset
        self.running.append(job)

    def check_nothing_may_begin(self) -> None:
        busy = set(map(self.lane_of, self.running))
        for tenancy in self.tenancies:
            for offset in self.waiting[tenancy]:
                key = self.keys[tenancy][offset]
                lane = tenancy if self.order == "partition" else (tenancy, key)
                is_free = self.order == "none" or (
                    self.order == "key" and key is None and self.null_key == "free"
                )
                is_behind = any(
                    not tenancy.may_begin(other)
                    for other in self.waiting[tenancy]
                    if other <= offset
                )
                assert is_behind or (not is_free and lane in busy)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        assert self.lanes is not None
        job = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.lanes.free(job)

    @precondition(lambda self: self.lanes is not None)
    @rule(index=st.integers(0, 1), bound=st.integers(0, 20))
    def close(self, index: int, bound: int) -> None:
        tenancy = self.tenancies[index]
        tenancy.begins_below = min(bound, tenancy.begins_below)

    @precondition(lambda self: self.lanes is not None)
    @rule(index=st.integers(0, 1))
    def reopen(self, index: int) -> None:
        assert self.lanes is not None
        self.tenancies[index].begins_below = 1 << 60
        self.lanes.reopen(self.tenancies[index])

    @precondition(lambda self: self.lanes is not None)
    @rule(index=st.integers(0, 1))
    def drop(self, index: int) -> None:
        assert self.lanes is not None
        self.lanes.drop([self.tenancies[index]])
        old = self.tenancies[index]
        del self.waiting[old]
        self.running = [job for job in self.running if not self.dropped(job, old)]
        self.tenancies[index] = self.world.open(index)
        self.waiting[self.tenancies[index]], self.keys[self.tenancies[index]] = [], []

    def dropped(self, job: Job, old: Tenancy) -> bool:
        assert self.lanes is not None
        if job.tenancy is old:
            self.lanes.free(job)  # later than its tenancy, which must not disturb anything
            return True
        return False

    @invariant()
    def counts(self) -> None:
        if self.lanes is not None:
            assert self.lanes.queued == sum(map(len, self.waiting.values()))
            busy = {lane for lane in map(self.lane_of, self.running) if lane is not None}
            # A lane is busy as well with the record that is ready in it.
            assert len(busy) <= self.lanes.busy <= len(busy) + self.lanes.queued
            for tenancy, waiting in self.waiting.items():
                most = len(waiting) if self.order == "key" else 0
                assert 0 <= tenancy.behind <= most


TestLanes = LanesMachine.TestCase


@given(st.lists(st.sampled_from(KEYS[:3]), min_size=1, max_size=50))
def test_a_hot_key_holds_up_its_own_records_alone(keys: list[bytes | None]) -> None:
    world = World()
    lanes = Lanes("key")
    tenancy = world.open(0)
    lanes.add(world.parcel(tenancy, [b"hot", *keys, b"hot"]))
    hot = lanes.take()
    assert hot is not None
    assert hot.record.key == b"hot"
    seen: list[bytes | None] = []
    while (job := lanes.take()) is not None:
        seen.append(job.record.key)
        lanes.free(job)
    assert seen == keys
    assert lanes.queued == 1
    lanes.free(hot)
    last = lanes.take()
    assert last is not None
    assert last.record.key == b"hot"
