"""A request that was answered ahead of the committed offset is not handled again."""

import anyio
import pytest

from sdml_kafka import Call, TopicPartition
from sdml_kafka.consuming.offsets.offset_map import decode
from tests.support.client_by_hand import GROUP, P0, REPLY, ask, new_broker, replies, serving
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


class Handler:
    """Answers all but one request."""

    def __init__(self, stuck: bytes = b"") -> None:
        self.stuck = stuck
        self.seen: list[bytes] = []

    async def __call__(self, value: bytes, call: Call) -> bytes:
        self.seen.append(value)
        if value == self.stuck:
            await anyio.sleep_forever()
        return value


async def test_after_a_hand_over_what_was_answered_is_not_handled_again() -> None:
    broker, first, second = new_broker(), Handler(b"3"), Handler()
    for number in range(50):
        ask(broker, b"%d" % number, b"%d" % number)
    async with serving(broker, first, concurrency=10, drain_timeout=1.0):
        await replies(broker, 49)
        await until(lambda: bool(broker.committed_metadata(GROUP, P0)))
    assert broker.committed(GROUP, P0) == 3
    assert decode(3, broker.committed_metadata(GROUP, P0) or "") == [(4, 50)]
    async with serving(broker, second, concurrency=10):
        await replies(broker, 50)
    assert second.seen == [b"3"]
    assert len(broker.records(TopicPartition(REPLY, 0))) == 50
    assert broker.committed(GROUP, P0) == 50
