"""How far handlers run ahead of the transactions of a processor, on the twin."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, PayloadTooLarge, Send
from sdml_kafka.listener.processing.exactly_once.stage import MOST_BYTES
from sdml_kafka.listener.processing.policies import Transaction
from tests.support.exactly_once_on_twin import (
    OUT,
    broker_with_outputs,
    exactly_once_on,
    outputs,
    pass_on,
)
from tests.support.listener_on_twin import GROUP, P0
from tests.support.processing_on_twin import processing
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

COUNT = 300
CONCURRENCY = 10
LARGE = bytes(MOST_BYTES // 50)


class Handler:
    """Returns a value of this size, and counts its calls."""

    def __init__(self, value: bytes, wait_s: float = 0.0) -> None:
        self.calls = 0
        self.value, self.wait_s = value, wait_s

    async def __call__(self, value: str, delivery: Delivery[str]) -> Send:
        self.calls += 1
        if self.wait_s:
            await anyio.sleep(self.wait_s)
        return Send(OUT.topic, self.value, key=delivery.record.key)


@pytest.mark.parametrize("wait_s", [0.0, 0.001])
@pytest.mark.parametrize(
    ("value", "every", "most"), [(LARGE, 10_000, 100), (b"", 20, 40)], ids=["bytes", "number"]
)
async def test_handlers_wait_while_a_commit_has_no_answer(
    value: bytes, every: int, most: int, wait_s: float
) -> None:
    broker, handler = broker_with_outputs(COUNT), Handler(value, wait_s)
    broker.hold_transactions()
    options: dict[str, Any] = {"order": "none", "concurrency": CONCURRENCY}
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, handler, exactly_once=Transaction(every=every), **options),
    ):
        await anyio.sleep(3.0)
        assert most - 2 <= handler.calls <= most + CONCURRENCY
        assert broker.end_offset(OUT) <= most / 2 + CONCURRENCY
        broker.release_transactions()
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
    assert (handler.calls, len(outputs(broker))) == (COUNT, COUNT)


async def test_a_transaction_with_many_bytes_is_committed_at_once() -> None:
    broker = broker_with_outputs(275)
    policy = Transaction(every=10_000, interval_s=5.0)
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, Handler(LARGE, 0.001), exactly_once=policy, name="a"),
    ):
        await anyio.sleep(2.0)
        assert 250 <= len(outputs(broker)) < 275
        assert listener.status().processors["a"].transactions <= 5


async def test_a_refused_message_ends_a_life_before_much_is_handled() -> None:
    broker, handler = broker_with_outputs(COUNT, max_record_bytes=9000), Handler(bytes(2_000_000))
    with anyio.fail_after(1.0), pytest.raises(PayloadTooLarge) as raised:
        async with exactly_once_on(broker) as listener:
            await listener.process(str, handler, exactly_once=True, name="a", order="none")
    assert handler.calls <= 2 * (MOST_BYTES // 2_000_000 + 1)
    assert raised.value.__notes__ == [f"a failed with {P0.topic!r} partition 0 offset 0"]


async def test_what_waits_for_others_has_no_more_bytes() -> None:
    broker, handler = broker_with_outputs(COUNT), Handler(LARGE)
    async with exactly_once_on(broker) as listener:
        stream = await listener.subscribe(str, fresh=True)
        async with processing(
            listener, handler, exactly_once=True, order="none", concurrency=CONCURRENCY
        ):
            await anyio.sleep(3.0)
            assert 49 <= handler.calls <= 50 + CONCURRENCY
            async for delivery in stream.deliveries():
                delivery.done()
                if delivery.record.offset == COUNT - 1:
                    break
            await until(lambda: broker.committed(GROUP, P0) == COUNT)
    assert (handler.calls, len(outputs(broker))) == (COUNT, COUNT)


async def test_what_is_no_bytes_has_no_size() -> None:
    broker = broker_with_outputs(2)

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        wrong: Any = 7
        return Send(OUT.topic, b"", key=wrong) if value == "0" else await pass_on(value, delivery)

    with pytest.raises(Exception, match="bytes"):
        async with exactly_once_on(broker) as listener:
            await listener.process(str, handle, exactly_once=True)
