"""What a finish costs, in counts that no load on the machine changes."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Any

import pytest

from sdml_kafka.consuming.offsets import map_limit, offset_map
from sdml_kafka.consuming.offsets import tenancy as tenancies
from sdml_kafka.consuming.offsets.chunks import Chunk, Chunks
from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.offset_map import FULL_TEXT, MAX_TEXT, Interval, decode
from sdml_kafka.consuming.offsets.tenancy import Tenancy

type ManyChunks = list[Chunk[Tenancy]]


class Steps:
    """Counts the bytecodes that Python runs."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> "Steps":
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self


@contextmanager
def counted() -> Iterator[Steps]:
    steps, before = Steps(), sys.gettrace()
    sys.settrace(steps)
    try:
        yield steps
    finally:
        sys.settrace(before)


def delivered(chunks: int, size: int = 1) -> tuple[Tenancy, ManyChunks]:
    """Return a tenancy with a record that does not finish, and so many chunks behind it."""
    tenancy = Ledger().open("topic", 0, 1, 0, 0, keeps_map=True)
    tenancy.deliver(range(1), b"\1", 0.0)
    each = [
        tenancy.deliver(range(at, at + size), b"\1" * size, 0.0)
        for at in range(1, chunks * size, size)
    ]
    return tenancy, each


def backwards(chunks: ManyChunks) -> None:
    chunks.reverse()


def shuffled(chunks: ManyChunks) -> None:
    Random(1).shuffle(chunks)


@pytest.mark.parametrize("order", [backwards, shuffled])
@pytest.mark.parametrize("is_watched", [False, True])
def test_a_finish_costs_the_same_however_far_ahead_it_is(
    order: Callable[[ManyChunks], None], is_watched: bool
) -> None:
    costs: list[float] = []
    for count in (10, 100, 5000):  # Python counts nothing the first time
        tenancy, chunks = delivered(count)
        if is_watched:
            tenancy.call_when_low(0, lambda: None)
        order(chunks)
        assert tenancy.in_flight == count
        with counted() as steps:
            for chunk in chunks:
                chunk.finish(0)
        assert (tenancy.in_flight, tenancy.chunk_count(), tenancy.frontier()) == (1, 1, 0)
        costs.append(steps.count / count)
    assert 0 < costs[2] < 1.1 * costs[1], costs


def test_no_finish_goes_through_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    tenancy, chunks = delivered(1000)
    for number in range(5):
        tenancy.call_when_drained(lambda: None)
        tenancy.call_when_low(number, lambda: None)
    monkeypatch.setattr(Chunks, "__iter__", lambda _: pytest.fail("all chunks were looked at"))
    shuffled(chunks)
    for chunk in chunks:
        assert tenancy.in_flight > 0
        chunk.finish(0)


def test_a_million_records_behind_a_stuck_one_leave_nothing_behind() -> None:
    tenancy = Ledger().open("topic", 0, 1, 0, 0, keeps_map=True)
    tenancy.deliver(range(500), b"\1" * 500, 0.0, [10] * 500).finish_run(range(1, 500))
    for at in range(500, 1_000_000, 500):
        chunk = tenancy.deliver(range(at, at + 500), b"\1" * 500, 0.0, [10] * 500)
        assert tenancy.may_begin(at + 499)
        chunk.finish_run(range(500))
    assert (tenancy.chunk_count(), tenancy.in_flight) == (1, 1)
    assert tenancy.finished_ahead() == [(1, 1_000_000)]
    progress = tenancy.progress()
    assert progress is not None
    assert (progress.offset, len(progress.map)) == (0, 12)


def test_a_look_is_taken_once_in_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of a hundred is stuck, up to a thousand of them."""
    looks, own = 0, Tenancy.finished_ahead

    def count(tenancy: Tenancy) -> Any:
        nonlocal looks
        looks += 1
        return own(tenancy)

    monkeypatch.setattr(Tenancy, "finished_ahead", count)
    tenancy = Ledger().open("topic", 0, 1, 0, 0, keeps_map=True)
    begun = 0
    while begun < 50_000 and tenancy.may_begin(begun):
        chunk = tenancy.deliver(range(begun, begun + 1), b"\1", 0.0)
        if begun % 100:
            chunk.finish(0)
        begun += 1
    assert begun == 50_000
    assert looks < begun / 192


@pytest.mark.parametrize("stuck", [1, 100, 500])
def test_a_record_and_a_commit_cost_the_same_however_far_ahead_it_is(
    stuck: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = 0

    def count(base: int, finished: Sequence[Interval]) -> str | None:
        nonlocal encoded
        encoded += 1
        return offset_map.encode(base, finished)

    monkeypatch.setattr(map_limit, "encode", count)
    monkeypatch.setattr(tenancies, "encode", count)
    tenancy = Ledger().open("topic", 0, 1, 0, 0, keeps_map=True)
    for at in range(0, stuck * 100, 100):
        assert tenancy.may_begin(at + 99)
        tenancy.deliver(range(at, at + 100), b"\1" * 100, 0.0).finish_run(range(1, 100))
    costs: list[tuple[int, int]] = []
    for until in (60_000, 200_000, 2_000_000):
        at = tenancy.delivered_to()
        while at < until:
            assert tenancy.may_begin(at + 99)
            tenancy.deliver(range(at, at + 100), b"\1" * 100, 0.0).finish_run(range(100))
            at += 100
        assert not encoded, "a map is written for nobody"
        with counted() as looking:
            for offset in range(at, at + 1000):
                assert tenancy.may_begin(offset)
        with counted() as committing:
            progress = tenancy.progress()
        assert progress is not None
        assert len(decode(0, progress.map)) == stuck
        costs.append((looking.count, committing.count))
        encoded = 0
    for _, few, many in zip(*costs, strict=True):  # Python counts nothing the first time
        assert 0 < many < 1.1 * few + 50, costs


def fill_up(tenancy: Tenancy, chance: Random) -> tuple[int, ManyChunks, ManyChunks]:
    """Begin records until none may begin; return the offset of that, and what has not finished.

    Those in hand are twenty at most, and finish in any order, or never.
    """
    in_hand, stuck = list[Chunk[Tenancy]](), list[Chunk[Tenancy]]()
    offset = 0
    while tenancy.may_begin(offset):
        assert offset < 60_000, "it never becomes full"
        in_hand.append(tenancy.deliver(range(offset, offset + 1), b"\1", 0.0))
        if len(in_hand) == 20:
            chunk = in_hand.pop(chance.randrange(20))
            if offset and chance.random() < 0.9:
                chunk.finish(0)
            else:
                stuck.append(chunk)
        offset += 1
    return offset, in_hand, stuck


@pytest.mark.parametrize("seed", range(3))
def test_a_map_never_becomes_longer_than_a_broker_takes(seed: int) -> None:
    tenancy = Ledger().open("topic", 0, 1, 0, 0, keeps_map=True)
    offset, in_hand, stuck = fill_up(tenancy, Random(seed))
    for chunk in in_hand:
        chunk.finish(0)
    progress = tenancy.progress()
    assert progress is not None
    assert FULL_TEXT < len(progress.map) <= MAX_TEXT
    assert not tenancy.may_begin(offset)
    tries, opened = 0, False

    def look() -> None:
        nonlocal tries, opened
        tries, opened = tries + 1, tenancy.may_begin(offset)
        if not opened:
            tenancy.call_when_more_may_begin(look)

    tenancy.call_when_more_may_begin(look)
    waiting = list(reversed(stuck))
    while not opened:
        waiting.pop().finish(0)
    assert len(waiting) > len(stuck) / 2
    assert tries < 10
