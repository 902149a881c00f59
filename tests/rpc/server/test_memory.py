"""A server keeps nothing of the requests that it has answered."""

import pytest

from tests.support.client_by_hand import ask, echoing, new_broker, replies
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
        (partition,) = server._parts.intake.partitions.values()
        assert partition.tenancy.chunk_count() <= 1
        assert server._parts.replies._to_resend == []
        assert len(server._parts.queue._lanes) == 1
