"""A server keeps nothing of the requests that it has answered."""

import gc

import anyio
import pytest

from sdml_kafka import Call
from sdml_kafka.rpc.server.call import Answer
from tests.support.client_by_hand import ask, echoing, new_broker, replies, serving
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_memory_does_not_grow_with_requests() -> None:
    broker = new_broker()
    async with echoing(broker) as server:
        for number in range(3000):
            ask(broker, id_=f"{number}", timeout_ms=60_000)
        await replies(broker, 3000)
        await until(lambda: server.status().in_flight == 0)
        (partition,) = server._actors.intake.partitions.values()
        assert partition.tenancy.chunk_count() <= 1
        assert server._actors.replies._to_resend == []
        assert len(server._actors.queue._lanes) == 1


async def test_an_idle_server_keeps_nothing_of_its_last_calls() -> None:
    async def answer(value: bytes, call: Call) -> bytes:
        await (anyio.sleep_forever() if value == b"never" else anyio.sleep(0.1))
        return value

    broker = new_broker()
    async with serving(broker, answer):
        for number in range(20):
            ask(broker, b"never" if number % 2 else b"value", b"%d" % number, timeout_ms=1000)
        await replies(broker, 20)
        gc.collect()
        things = gc.get_objects()
        calls = [thing for thing in things if isinstance(thing, Call)]
        values = [thing.value for thing in things if isinstance(thing, Answer) and thing.value]
    assert calls == []
    assert values == []
