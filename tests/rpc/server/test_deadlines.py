"""Requests at their deadlines: not started, or cut off; the calls of a handler inherit them."""

from contextvars import ContextVar

import anyio
import pytest

from sdml_kafka import Call, CallTimeout
from sdml_kafka.rpc.deadline import DEADLINE
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.state import loop_time
from tests.support.client_by_hand import (
    REPLY,
    REQUEST,
    ask,
    echo,
    finished,
    new_broker,
    outcome,
    outcomes,
    replies,
    reply,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def never(value: bytes, call: Call) -> bytes:
    await anyio.sleep_forever()
    raise AssertionError


async def test_a_request_whose_time_is_up_is_not_started() -> None:
    broker, started = new_broker(), list[bytes]()

    async def handle(value: bytes, call: Call) -> bytes:
        started.append(value)
        return value

    ask(broker, b"over", timeout_ms=1000)
    ask(broker, b"not yet", timeout_ms=60_000)
    await anyio.sleep(1.5)
    async with serving(broker, handle) as server:
        over, in_time = await replies(broker, 2)
        assert outcome(over) == b"deadline_exceeded"
        assert header(over, "x-error")
        assert outcome(in_time) == b"not yet"
        assert started == [b"not yet"]
        counters = server.status().counters
        assert (counters.expired, counters.errors) == (1, {"deadline_exceeded": 1})


async def test_a_budget_of_nothing() -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, timeout_ms=0)
        assert await outcomes(broker, 1) == [b"deadline_exceeded"]


@pytest.mark.parametrize("skew_s", [-1000.0, 1000.0])
async def test_clocks_that_differ(skew_s: float) -> None:
    """Of what was there before the server one ahead has its whole budget, one behind none.

    For what came later, see test_clocks.py.
    """
    broker = MemoryBroker({REQUEST: 1, REPLY: 1}, clock=lambda: loop_time() + skew_s)
    began = anyio.current_time()
    ask(broker, timeout_ms=5000)
    async with serving(broker, never):
        assert await outcomes(broker, 1) == [b"deadline_exceeded"]
        took_s = anyio.current_time() - began
        assert took_s == pytest.approx(5.0 if skew_s > 0 else 0.0, abs=0.1)


async def test_a_record_without_a_timestamp_counts_from_now() -> None:
    broker = MemoryBroker({REQUEST: 1, REPLY: 1}, clock=lambda: -0.001)
    async with serving(broker, echo):
        ask(broker, timeout_ms=5000)
        assert await outcomes(broker, 1) == [b"value"]


async def test_a_handler_that_never_returns_is_cut_off() -> None:
    broker, ended = new_broker(), list[float]()

    async def handle(value: bytes, call: Call) -> bytes:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(anyio.current_time())
        raise AssertionError

    async with serving(broker, handle) as server:
        began = anyio.current_time()
        ask(broker, timeout_ms=2000)
        ask(broker, timeout_ms=1000)
        ask(broker, timeout_ms=3000)
        assert await outcomes(broker, 3) == [b"deadline_exceeded"] * 3
        assert [round(at - began, 1) for at in ended] == [1.0, 2.0, 3.0]
        assert server.status().counters.errors == {"deadline_exceeded": 3}
        assert server.status().counters.expired == 0


async def test_a_short_deadline_among_long_ones() -> None:
    broker = new_broker()
    async with serving(broker, never) as server:
        ask(broker, timeout_ms=100_000)
        await until(lambda: server.status().in_flight == 1)
        began = anyio.current_time()
        ask(broker, timeout_ms=500)
        await replies(broker, 1)
        assert anyio.current_time() - began == pytest.approx(0.5, abs=0.05)


async def test_a_worker_that_was_cut_off_works_on() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        assert not call.scope.cancel_called
        await anyio.sleep(10 if value == b"slow" else 0.1)
        return value

    async with serving(broker, handle, concurrency=1):
        for value in (b"slow", b"a", b"slow", b"b"):
            ask(broker, value, timeout_ms=20_000 if value != b"slow" else 1000)
        ask(broker, b"c")
        assert await outcomes(broker, 5) == [
            b"deadline_exceeded",
            b"a",
            b"deadline_exceeded",  # it was over before its turn came
            b"b",
            b"c",
        ]


async def test_what_a_handler_finishes_under_a_shield_is_its_answer() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        with anyio.CancelScope(shield=value == b"a"):
            await anyio.sleep(2)
        return value

    async with serving(broker, handle, concurrency=1):
        ask(broker, b"a", timeout_ms=1000)
        ask(broker, b"b")
        assert await outcomes(broker, 2) == [b"a", b"b"]


async def test_the_scope_may_be_cancelled_by_the_handler() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        if value == b"cancel":
            call.scope.cancel()
            await anyio.sleep(1)
        return value

    async with serving(broker, handle, concurrency=1):
        ask(broker, b"cancel")
        ask(broker, b"next")
        assert await outcomes(broker, 2) == [b"cancelled", b"next"]


async def test_a_scope_that_was_cancelled_is_not_the_next_calls() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        if value == b"cancel":
            call.scope.cancel()
        else:
            await anyio.sleep(1)
        return value

    for value in (b"cancel", b"next"):
        ask(broker, value)
    async with serving(broker, handle, concurrency=1):
        assert await outcomes(broker, 2) == [b"cancel", b"next"]


async def test_calls_of_its_own_inherit_what_is_left() -> None:
    broker, seen = new_broker(), list[tuple[float | None, float | None]]()

    async def inner(call: Call) -> None:
        seen.append((DEADLINE.get(), call.deadline))

    async def handle(value: bytes, call: Call) -> bytes:
        await anyio.sleep(0.1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inner, call)
        return value

    async with serving(broker, handle, concurrency=1):
        ask(broker, timeout_ms=5000)
        ask(broker)
        await replies(broker, 2)
    (first, of_call), without = seen
    assert first == of_call
    assert first is not None
    assert without == (None, None)
    assert DEADLINE.get() is None


async def test_a_call_of_its_own_that_used_up_the_budget() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        assert call.deadline is not None
        with anyio.CancelScope(shield=True):
            await anyio.sleep_until(call.deadline)
        raise CallTimeout("too late")

    async with serving(broker, handle):
        ask(broker, timeout_ms=1000)
        assert await outcomes(broker, 1) == [b"deadline_exceeded"]


OWN: ContextVar[bytes] = ContextVar("own", default=b"unset")


@pytest.mark.parametrize("suspends", [False, True])
async def test_context_variables_do_not_leak_into_the_next_request(suspends: bool) -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        before = OWN.get()
        OWN.set(value)
        if suspends:
            await anyio.sleep(0.1)
        assert OWN.get() == value
        return before

    token = OWN.set(b"of the program")
    try:
        async with serving(broker, handle, concurrency=1):
            for number in range(3):
                ask(broker, b"%d" % number)
            assert await outcomes(broker, 3) == [b"of the program"] * 3
    finally:
        OWN.reset(token)


async def test_an_expired_one_way_request_is_finished() -> None:
    broker = new_broker()
    async with serving(broker, never) as server:
        ask(broker, reply_to=[], timeout_ms=0)
        await finished(broker, server, 1)
        assert server.status().counters.expired == 1


async def test_a_deadline_in_the_far_future() -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, timeout_ms=10**12 - 1)
        assert (await reply(broker)).value == b"value"
