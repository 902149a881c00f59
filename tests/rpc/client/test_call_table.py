"""The call table against a model that keeps a list and searches it."""

from __future__ import annotations

import tracemalloc
from collections import deque
from fractions import Fraction
from math import inf, nan, nextafter
from random import Random

import pytest
from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sdml_kafka.rpc.client.call_table import TICK_S, Call, CallTable

IDS = st.sampled_from([b"%d" % number for number in range(12)])
# Some keys are ids of other calls: a program may choose both.
KEYS = st.sampled_from([None, b"k1", b"k2", b"3", b"4"])
MOMENTS = st.one_of(
    st.floats(0.0, 2.0),
    st.floats(1e9, 1e9 + 1.0),
    st.integers(0, 40).map(lambda number: number * 0.01),
    st.integers(0, 200).map(lambda number: number * TICK_S),
)
ANY_DUE = st.one_of(MOMENTS, st.floats(min_value=-1e300, max_value=1e300))


@define(eq=False)
class Stream(Call):
    """A class of its own for the owners of calls."""

    replies: list[bytes] = field(factory=list[bytes])


def before(moment: float) -> float:
    return nextafter(moment, -inf)


class CallTableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table: CallTable[Call] = CallTable()
        self.waiting: list[Call] = []
        self.past: list[Call] = []

    @rule(
        id_=IDS,
        due=st.one_of(MOMENTS, st.just(inf)),
        key=KEYS,
        kind=st.sampled_from([Call, Stream]),
    )
    def add(self, id_: bytes, due: float, key: bytes | None, kind: type[Call]) -> None:
        call = kind(id_, due, key)
        is_free = all(other.id != id_ for other in self.waiting)
        assert self.table.add(call) == is_free
        if is_free:
            self.waiting.append(call)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.waiting))
        assert self.table.remove(call)
        self._is_past(call)

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def remove_again(self, data: st.DataObject) -> None:
        """Also while another one waits that has its id."""
        assert not self.table.remove(data.draw(st.sampled_from(self.past)))

    @rule(now=MOMENTS)
    def take_due(self, now: float) -> None:
        over = self.table.take_due(now)
        assert len(set(over)) == len(over)
        assert all(call in self.waiting and call.due <= now for call in over)
        for call in over:
            self._is_past(call)
        assert all(Fraction(call.due) + Fraction(TICK_S) > now for call in self._bounded())

    @precondition(lambda self: self.table.next_due() is not None)
    @rule()
    def take_next_due(self) -> None:
        due = self.table.next_due()
        assert due is not None
        assert self.table.take_due(before(due)) == []
        over = self.table.take_due(due)
        assert over, "the owner would spin"
        for call in over:
            self._is_past(call)

    def _bounded(self) -> list[Call]:
        return [call for call in self.waiting if call.due != inf]

    def _is_past(self, call: Call) -> None:
        self.waiting.remove(call)
        self.past.append(call)

    @invariant()
    def holds_the_same(self) -> None:
        assert len(self.table) == len(self.waiting)
        assert list(self.table) == self.waiting
        for number in range(12):
            id_ = b"%d" % number
            here = [call for call in self.waiting if call.id == id_]
            assert self.table.get(id_) is (here[0] if here else None)

    @invariant()
    def finds_by_key(self) -> None:
        for key in (b"k1", b"k2", b"3", b"4", b"5", b"nobody"):
            meant = [call for call in self.waiting if key in (call.id, call.key)]
            found = self.table.with_key(key)
            assert len(found) == min(len(meant), 2) == len(set(found))
            assert set(found) <= set(meant)

    @invariant()
    def tells_when_to_look(self) -> None:
        due = self.table.next_due()
        first = min((call.due for call in self._bounded()), default=None)
        assert (due is None) == (first is None)
        if due is not None and first is not None:
            assert 0 <= Fraction(due) - Fraction(first) < Fraction(TICK_S)


CallTableMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None
)
TestCallTable = CallTableMachine.TestCase


@given(due=ANY_DUE)
@example(due=0.07)
@example(due=0.29)
@example(due=1e9 + 0.03)
@example(due=2.0**53)
@example(due=5e-324)
@example(due=-0.0)
def test_a_call_is_never_over_early_and_never_a_tick_late(due: float) -> None:
    table: CallTable[Call] = CallTable()
    call = Call(b"id", due)
    table.add(call)
    look_at = table.next_due()
    assert look_at is not None
    assert 0 <= Fraction(look_at) - Fraction(due) < Fraction(TICK_S)
    assert table.take_due(before(due)) == []
    assert table.take_due(before(look_at)) == []
    assert table.take_due(look_at) == [call]
    assert table.next_due() is None


@pytest.mark.parametrize("due", [inf, 1.7e308])
def test_a_deadline_beyond_all_clocks_is_none(due: float) -> None:
    table: CallTable[Call] = CallTable()
    call = Call(b"id", due)
    table.add(call)
    assert table.next_due() is None
    assert table.take_due(1e300) == []
    assert table.remove(call)


def test_a_deadline_that_is_no_number_leaves_the_table_as_it_was() -> None:
    table: CallTable[Call] = CallTable()
    with pytest.raises(ValueError, match="NaN"):
        table.add(Call(b"id", nan, b"key"))
    assert len(table) == 0
    assert table.with_key(b"key") == ()
    assert table.add(Call(b"id"))


@pytest.mark.parametrize("seed", range(5))
def test_calls_that_are_left_of_many_are_found_in_time(seed: int) -> None:
    random = Random(seed)
    table: CallTable[Call] = CallTable()
    calls = [Call(b"%d" % number, random.uniform(0, 100)) for number in range(500)]
    for call in calls:
        table.add(call)
    random.shuffle(calls)
    answered, left = calls[:400], calls[400:]
    for call in answered:
        table.remove(call)
    over: list[Call] = []
    while (due := table.next_due()) is not None:
        assert {call for call in left if call.due <= due - TICK_S} <= set(over)
        over += table.take_due(due)
        assert all(call.due <= due for call in over)
    assert set(over) == set(left)


def test_calls_that_are_over_together_come_earliest_tick_first() -> None:
    table: CallTable[Call] = CallTable()
    for number in (3, 1, 2, 0):
        table.add(Call(b"%d" % number, float(number)))
    assert [call.id for call in table.take_due(2.5)] == [b"0", b"1", b"2"]


def test_calls_may_be_removed_while_one_goes_through_them() -> None:
    table: CallTable[Call] = CallTable()
    for number in range(100):
        table.add(Call(b"%d" % number, 1.0))
    for call in table:
        assert table.remove(call)
    assert len(table) == 0


def test_a_reply_keyed_by_an_id_that_is_another_calls_key_is_ambiguous() -> None:
    table: CallTable[Call] = CallTable()
    by_id, by_key = Call(b"k"), Call(b"other", key=b"k")
    table.add(by_id)
    assert table.with_key(b"k") == (by_id,)
    table.add(by_key)
    assert set(table.with_key(b"k")) == {by_id, by_key}
    table.remove(by_id)
    assert table.with_key(b"k") == (by_key,)


def test_a_call_that_has_its_id_as_its_key_too_is_found_once() -> None:
    table: CallTable[Call] = CallTable()
    call = Call(b"k", key=b"k")
    table.add(call)
    assert table.with_key(b"k") == (call,)


def run_calls(
    table: CallTable[Call], numbers: range, in_flight: int, key_of: dict[int, bytes]
) -> None:
    """Ten seconds a thousand calls; a tenth is never answered, and found by its deadline."""
    waiting: deque[Call] = deque()
    for number in numbers:
        now = number / 100
        call = Call(b"%d" % number, now + 30.0, key_of.get(number % 7))
        assert table.add(call)
        if number % 10:
            waiting.append(call)
        if len(waiting) > in_flight:
            table.remove(waiting.popleft())
        if number % 50 == 0:
            table.take_due(now)
    for call in waiting:
        table.remove(call)
    table.take_due(inf)
    assert len(table) == 0


@pytest.mark.parametrize("in_flight", [0, 1000])
def test_a_hundred_thousand_calls_leave_nothing_behind(in_flight: int) -> None:
    table: CallTable[Call] = CallTable()
    keys = {0: b"shared", 1: b"another"}
    tracemalloc.start()
    try:
        run_calls(table, range(10_000), in_flight, keys)
        before_bytes, _ = tracemalloc.get_traced_memory()
        run_calls(table, range(10_000, 110_000), in_flight, keys)
        after_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after_bytes - before_bytes < 50_000


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_burst_leaves_nothing_behind(is_answered: bool) -> None:
    table: CallTable[Call] = CallTable()
    tracemalloc.start()
    try:
        calls = [Call(b"%d" % number, float(number), b"%d" % number) for number in range(10_000)]
        for call in calls:
            table.add(call)
        if is_answered:
            for call in calls:
                table.remove(call)
        else:
            assert len(table.take_due(1e6)) == len(calls)
        del calls, call
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 50_000


def test_deadlines_of_answered_calls_do_not_pile_up() -> None:
    """With deadlines an hour away, none of them passes while the calls come and go."""
    table: CallTable[Call] = CallTable()
    table.add(Call(b"stays", 1.0))
    tracemalloc.start()
    try:
        for number in range(50_000):
            call = Call(b"%d" % number, 3600.0 + number)
            table.add(call)
            table.remove(call)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 50_000
