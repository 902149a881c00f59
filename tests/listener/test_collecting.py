"""The garbage collector may come at any call, and give a record back amid the work of a queue.

Since Python 3.12 it comes between two steps of the interpreter alone: as a function written in
Python begins, after any other one has ended, and at the end of a turn of a loop.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.dropped import Dropped
from sdml_kafka.listener.typed_queue import Parcel, TypedQueue
from tests.support.records import make_record

TURN = 3


def parcel_of(tenancy: Tenancy, first: int, count: int) -> Parcel:
    offsets = range(first, first + count)
    chunk = tenancy.deliver(offsets, b"\1" * count, 0.0)
    records = [make_record("topic", tenancy.partition, offset=offset) for offset in offsets]
    return Parcel(chunk, records, range(count), records)


class Stage:
    """A queue with records of two partitions, one of which is in somebody's hands."""

    def __init__(self, counts: tuple[int, int]) -> None:
        ledger = Ledger()
        self.tenancies = [ledger.open("topic", number, 1, 0, None) for number in range(2)]
        self.queue = TypedQueue(
            str, 1e9, lambda: None, lambda queue: None, Dropped(lambda record: None)
        )
        self.in_hand = parcel_of(self.tenancies[0], 0, 1)
        self.in_hand.next = 1
        for tenancy, count in zip(self.tenancies, counts, strict=True):
            if count:
                self.queue.put(parcel_of(tenancy, 1, count))
        self.taken: list[tuple[int, int]] = []
        self.is_back = False

    def collect(self) -> None:
        if not self.is_back:
            self.is_back = True
            self.queue.give_back(self.in_hand, 0)

    def take(self) -> bool:
        parcel = self.queue.take_parcel(TURN)
        if parcel is not None:
            offsets = [parcel.chunk.offsets[at] for at in parcel.indices[parcel.next : parcel.end]]
            self.taken += [(parcel.chunk.tenancy.partition, offset) for offset in offsets]
        return parcel is not None

    def put(self) -> None:
        self.queue.put(parcel_of(self.tenancies[0], 50, 2))

    def look(self) -> None:
        self.queue.head()

    def ask_for_room(self) -> None:
        self.queue.room_for(self.tenancies[0], is_parsed=True)


def during(work: Callable[[], object], collect: Callable[[], None], number: int) -> int:
    """Do the work, and collect at its call with this number; return how many calls it made."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        if event in ("call", "c_return"):
            calls += 1
            if calls == number:
                collect()

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("counts", [(0, 0), (0, 5), (5, 0), (2, 0), (2, 2), (5, 5)])
@pytest.mark.parametrize("name", ["take", "put", "look", "ask_for_room"])
def test_no_record_is_lost_or_doubled(name: str, counts: tuple[int, int]) -> None:
    number, most = 0, 1
    while number <= most:
        stage = Stage(counts)
        most = during(getattr(stage, name), stage.collect, number)
        stage.collect()
        while stage.take():
            pass
        expected = [(which, at) for which in (0, 1) for at in range(1, counts[which] + 1)]
        expected += [(0, 50), (0, 51)] if name == "put" else []
        assert sorted(stage.taken) == sorted([(0, 0), *expected])
        assert not stage.queue
        number += 1
