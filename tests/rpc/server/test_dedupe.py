"""A request that comes again gets the answer of the first one."""

import anyio
import pytest

from sdml_kafka import Call, Dedupe, RemoteError
from tests.support.client_by_hand import (
    GROUP,
    P0,
    ask,
    finished,
    new_broker,
    outcomes,
    replies,
    server_on,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


class Counting:
    def __init__(self, takes_s: float = 0.0) -> None:
        self.runs = 0
        self._takes_s = takes_s

    async def __call__(self, value: bytes, call: Call) -> bytes:
        self.runs += 1
        answer = b"%s %d" % (value, self.runs)
        await anyio.sleep(self._takes_s)
        if value == b"fails":
            raise RemoteError("not_found")
        return answer


async def test_afterwards_it_gets_the_stored_reply() -> None:
    broker, counting = new_broker(second=1), Counting()
    async with serving(broker, counting, dedupe=Dedupe()) as server:
        ask(broker, b"a", b"id")
        await replies(broker, 1)
        ask(broker, b"b", b"id")
        ask(broker, b"c", b"other")
        assert await outcomes(broker, 3) == [b"a 1", b"a 1", b"c 2"]
        assert server.status().counters.duplicates == 1
        ask(broker, b"a", b"id", reply_to=["second"])
        (record,) = await replies(broker, 1, "second")
        assert (record.value, header(record, "request_id")) == (b"a 1", b"id")


async def test_while_the_first_runs_it_waits_for_it() -> None:
    broker, counting = new_broker(), Counting(10.0)
    async with serving(broker, counting, dedupe=Dedupe(), concurrency=1) as server:
        for _ in range(50):
            ask(broker, b"a", b"id")
        await until(lambda: server.status().in_flight == 1)
        assert set(await outcomes(broker, 50)) == {b"a 1"}
        await until(lambda: server.status().in_flight == 0)
        assert counting.runs == 1


@pytest.mark.uvloop_too
async def test_one_that_has_more_time_is_handled_itself_when_the_first_has_none_left() -> None:
    broker, counting = new_broker(), Counting(10.0)
    async with serving(broker, counting, dedupe=Dedupe()) as server:
        ask(broker, b"a", b"id", timeout_ms=1000)
        await until(lambda: counting.runs == 1)
        ask(broker, b"a", b"id", timeout_ms=500)
        ask(broker, b"a", b"id", timeout_ms=30_000)
        ask(broker, b"a", b"id")
        late = b"deadline_exceeded"
        assert await outcomes(broker, 4) == [late, late, b"a 2", b"a 2"]
        assert counting.runs == 2
        await finished(broker, server, 4)
        await until(lambda: broker.committed(GROUP, P0) == 4)


async def test_few_of_them_wait_at_once() -> None:
    broker, counting = new_broker(), Counting(10.0)
    async with serving(broker, counting, dedupe=Dedupe()) as server:
        for _ in range(3000):
            ask(broker, b"a", b"id")
        await anyio.sleep(5)
        assert server.status().in_flight == 2001
        assert set(await outcomes(broker, 3000)) == {b"a 1"}


async def test_without_it_each_runs() -> None:
    broker, counting = new_broker(), Counting()
    async with serving(broker, counting):
        ask(broker, b"a", b"id")
        ask(broker, b"a", b"id")
        assert await outcomes(broker, 2) == [b"a 1", b"a 2"]


async def test_errors_of_the_handler_are_stored_too() -> None:
    broker, counting = new_broker(), Counting()
    async with serving(broker, counting, dedupe=Dedupe()):
        ask(broker, b"fails", b"id")
        await replies(broker, 1)
        ask(broker, b"fails", b"id")
        assert await outcomes(broker, 2) == [b"not_found"] * 2
        assert counting.runs == 1


@pytest.mark.parametrize("value", [b"headers", b"text", b"value"])
async def test_all_of_an_answer_counts_as_its_size(value: bytes) -> None:
    broker, runs = new_broker(), list[bytes]()

    async def handle(value: bytes, call: Call) -> bytes:
        runs.append(value)
        if value == b"text":
            raise RemoteError("not_found", "x" * 2000)
        if value == b"headers":
            call.reply_headers["own"] = b"x" * 2000
        return b"x" * 2000 if value == b"value" else b""

    async with serving(broker, handle, dedupe=Dedupe(most_bytes=1000)):
        for count in (1, 2):
            ask(broker, value, b"id")
            await replies(broker, count)
    assert len(runs) == 2


async def test_a_request_that_ran_out_of_time_may_run_again() -> None:
    broker, counting = new_broker(), Counting(5.0)
    async with serving(broker, counting, dedupe=Dedupe()):
        ask(broker, b"a", b"id", timeout_ms=1000)
        assert await outcomes(broker, 1) == [b"deadline_exceeded"]
        ask(broker, b"a", b"id", timeout_ms=60_000)
        assert (await outcomes(broker, 2))[1] == b"a 2"


async def test_for_a_time() -> None:
    broker, counting = new_broker(), Counting()
    async with serving(broker, counting, dedupe=Dedupe(keep_s=10)):
        ask(broker, b"a", b"id")
        await replies(broker, 1)
        await anyio.sleep(11)
        ask(broker, b"a", b"id")
        assert await outcomes(broker, 2) == [b"a 1", b"a 2"]


async def test_a_key_is_no_identity() -> None:
    """Two requests with one key and no id are two requests."""
    broker, counting = new_broker(), Counting()
    async with serving(broker, counting, dedupe=Dedupe()):
        for value in (b"a", b"b"):
            ask(broker, value, None, key=b"customer")
        assert await outcomes(broker, 2) == [b"a 1", b"b 2"]


async def test_an_id_counts_in_its_topic() -> None:
    broker, counting = new_broker(other=1), Counting()
    server = server_on(broker, dedupe=Dedupe())
    server.handler("request", "other")(counting)
    async with server:
        ask(broker, b"a", b"id")
        ask(broker, b"a", b"id", topic="other")
        assert sorted(await outcomes(broker, 2)) == [b"a 1", b"a 2"]


async def test_an_id_that_the_program_extracts_counts() -> None:
    broker, counting = new_broker(), Counting()
    async with serving(
        broker, counting, dedupe=Dedupe(), correlation_from_record=lambda record: record.key
    ):
        for id_ in (b"1", b"2"):
            ask(broker, b"a", id_, key=b"mine")
        assert await outcomes(broker, 2) == [b"a 1", b"a 1"]


async def test_leaving_in_the_middle_leaves_all_of_them_unfinished() -> None:
    broker, counting = new_broker(), Counting(1000.0)
    async with serving(broker, counting, dedupe=Dedupe(), drain_timeout=0.5) as server:
        for _ in range(3):
            ask(broker, b"a", b"id")
        await until(lambda: server.status().in_flight == 3)
    assert server.status().in_flight == 0
    second = Counting()
    async with serving(broker, second, dedupe=Dedupe()):
        assert await outcomes(broker, 3) == [b"a 1"] * 3
