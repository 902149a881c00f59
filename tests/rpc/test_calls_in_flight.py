"""What the status of a client and of a server show of calls that are on their way."""

import anyio
import pytest

from sdml_kafka import Call
from sdml_kafka.observability import status_json
from sdml_kafka.rpc.call_in_flight import MAX_SHOWN, shown_id
from tests.support.client_by_hand import ask, serving
from tests.support.client_by_hand import new_broker as broker_of_server
from tests.support.server_by_hand import REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_calls_that_wait_the_oldest_first() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        first = tasks.call(res_timeout=30)
        request = await server.request()
        await anyio.sleep(2)
        for _ in range(MAX_SHOWN):
            tasks.call(res_timeout=60)
        await server.requests(MAX_SHOWN)
        oldest = rpc.status().oldest
        assert len(oldest) == MAX_SHOWN
        assert (oldest[0].topic, len(oldest[0].id) > 8) == (REQUEST, True)
        assert (oldest[0].age_s, oldest[0].left_s) == pytest.approx((2, 28), abs=0.1)
        assert (oldest[1].age_s, oldest[1].left_s) == pytest.approx((0, 60), abs=0.1)
        (shown,) = status_json(rpc)["objects"]
        assert shown["calls"] is not None
        assert shown["calls"]["oldest"][0]["id"] == oldest[0].id
        server.reply(request, b"done")
        await first.get()
        assert rpc.status().oldest[0].age_s == pytest.approx(0, abs=0.1)


async def test_a_call_without_a_deadline_has_an_age() -> None:
    async with client_on(new_broker()) as rpc, callers(rpc) as tasks:
        outcome = tasks.call(res_timeout=None)
        await until(lambda: rpc.status().in_flight == 1)
        await anyio.sleep(3)
        (call,) = rpc.status().oldest
        assert call.age_s == pytest.approx(3, abs=0.1)
        assert call.left_s is None
        outcome.scope.cancel()


async def test_requests_in_handlers_and_no_others() -> None:
    broker, gate = broker_of_server(), anyio.Event()

    async def handle(value: bytes, call: Call) -> bytes:
        if value == b"slow":
            await gate.wait()
        return value

    ask(broker, b"slow", timeout_ms=60_000)
    ask(broker, b"quick", timeout_ms=60_000)
    async with serving(broker, handle) as server:
        await until(lambda: server.status().counters.replies == 1)
        await anyio.sleep(3)
        (call,) = server.status().oldest
        assert (call.age_s, call.left_s) == pytest.approx((3, 57), abs=0.5)
        gate.set()
        await until(lambda: server.status().in_flight == 0)
        assert server.status().oldest == []
    assert server.status().oldest == []


async def test_ids_are_text_that_is_not_too_long() -> None:
    assert [shown_id(each) for each in (None, b"\xff\x00", b"x" * 200)] == [
        "",
        "\\xff\x00",
        "x" * 99 + "…",
    ]
