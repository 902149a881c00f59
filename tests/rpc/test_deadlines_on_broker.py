"""A handler's own calls have no more time than what is left of its request's."""

import anyio
import pytest

from sdml_kafka import Call, CallTimeout
from sdml_kafka.testing import EmbeddedKafka
from tests.support.rpc_on_broker import pair_on
from tests.support.waiting import BUSY_S

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.usefixtures("client"),
    pytest.mark.uvloop_too,
    pytest.mark.trio_asyncio_too,
]


async def test_calls_of_a_handler_inherit_what_is_left_of_its_budget(
    embedded_kafka: EmbeddedKafka,
) -> None:
    left: list[float | None] = []
    ended = anyio.Event()

    async def never(value: bytes, call: Call) -> bytes:
        if value == b"first":
            return value
        left.append(call.remaining_s)
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, never) as (inner, inner_topic):

            async def pass_on(value: bytes, call: Call) -> bytes:
                if value != b"first":
                    left.append(call.remaining_s)
                return bytes(await inner.request(inner_topic, value))

            async with pair_on(embedded_kafka, pass_on) as (outer, outer_topic):
                assert await outer.request(outer_topic, b"first") == b"first"  # all is connected
                began = anyio.current_time()
                with pytest.raises(CallTimeout):  # the server may be first
                    await outer.request(outer_topic, b"value", res_timeout=2.0)
                assert 1.9 <= anyio.current_time() - began < 2.0 + BUSY_S
                with anyio.fail_after(1.0 + BUSY_S):
                    await ended.wait()
    assert len(left) == 2
    assert left[0] is not None
    assert left[1] is not None
    assert 2.0 > left[0] > left[1] > 0.0
