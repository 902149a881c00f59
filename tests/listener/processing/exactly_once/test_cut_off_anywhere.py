"""Wherever a listener is cut off, offsets and outputs are committed together, and once.

The broker is looked at in each turn of the event loop, and the listener is cancelled in each of
them in turn, or in each seventh.
"""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import (
    Batch,
    DeadLetter,
    Delivery,
    KafkaListener,
    Retry,
    Send,
    Transaction,
)
from sdml_kafka.consuming.offset_map import decode
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.exactly_once_on_twin import OUT, exactly_once_on, outputs
from tests.support.listener_on_twin import GROUP, P0, TOPIC
from tests.support.tasks import task_count
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(120)]

COUNT, TURNS = 5, 12
LETTERS = f"{TOPIC}-dlt"


def full_broker(latency_s: float) -> MemoryBroker:
    broker = MemoryBroker({TOPIC: 1, OUT.topic: 1, LETTERS: 1})
    for number in range(COUNT):
        broker.produce(TOPIC, b"%d" % number, partition=0, key=b"%d" % (number % 3))
    broker.slow_down(commit_s=latency_s)
    return broker


def done(broker: MemoryBroker) -> list[int]:
    """Return the records that are committed as finished."""
    offset = broker.committed(GROUP, P0) or 0
    beyond = decode(offset, broker.committed_metadata(GROUP, P0) or "")
    return [*range(offset), *(at for some in beyond for at in range(*some))]


def check(broker: MemoryBroker) -> None:
    """Fail unless readers of committed records see the outputs of what is committed, each once."""
    seen = sorted(map(int, (*outputs(broker), *outputs(broker, LETTERS))))
    assert seen == done(broker)


def listener_for(broker: MemoryBroker, *, in_batches: bool) -> KafkaListener:
    """Return a listener that sends on each record; one fails once, and one for good."""
    listener = exactly_once_on(broker, auto_commit={"every": 1}, drain_timeout=0.5)

    async def work(value: str, delivery: Delivery[str]) -> Send:
        await anyio.lowlevel.checkpoint()
        if value == "3" or (value == "1" and delivery.attempt == 1):
            raise ValueError(value)
        return Send(OUT.topic, value.encode())

    async def work_together(deliveries: list[Delivery[str]]) -> list[Send]:
        sends = list[Send]()
        for delivery in deliveries:
            try:
                sends.append(await work(delivery.value, delivery))
            except ValueError as error:
                delivery.fail(error)
        return sends

    options: dict[str, Any] = {
        "order": "key",
        "retry": Retry(attempts=2, backoff_s=0.1, jitter=0.0),
        "on_failure": DeadLetter(),
        "exactly_once": Transaction(every=3, interval_s=0.05),
    }
    if in_batches:
        listener.processor(str, batch=Batch(size=2, interval_s=0.1), **options)(work_together)
    else:
        listener.processor(str, **options)(work)
    return listener


async def finish_rest(broker: MemoryBroker, *, in_batches: bool) -> None:
    """Let a successor handle what was not committed, and see that nothing is lost."""
    async with listener_for(broker, in_batches=in_batches):
        with anyio.fail_after(60):
            while broker.committed(GROUP, P0) != COUNT:
                check(broker)
                await anyio.sleep(0.01)
    check(broker)


async def cut_off_in(turn: int, broker: MemoryBroker, *, in_batches: bool) -> bool:
    """Cancel a listener in this turn of the loop; return whether it came so far."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            at = 0

            async def look() -> None:
                nonlocal at
                while broker.committed(GROUP, P0) != COUNT:
                    for _ in range(TURNS):
                        check(broker)
                        if at == turn:
                            scope.cancel()
                        at += 1
                        await anyio.lowlevel.checkpoint()
                    await anyio.sleep(0.02)
                tasks.cancel_scope.cancel()

            tasks.start_soon(look)
            async with listener_for(broker, in_batches=in_batches):
                await anyio.sleep_forever()
    check(broker)
    return at > turn


@pytest.mark.parametrize(
    ("latency_s", "in_batches", "step"),
    [
        (0.07, True, 7),
        *(
            pytest.param(*each, marks=[pytest.mark.soak, pytest.mark.timeout(900)])
            for each in [(0.0, False, 1), (0.07, False, 1), (0.07, True, 1)]
        ),
    ],
)
async def test_offsets_and_outputs_are_committed_together_wherever_it_is_cut_off(
    latency_s: float, in_batches: bool, step: int
) -> None:
    turn, tasks = 0, task_count()
    while True:
        broker = full_broker(latency_s)
        if not await cut_off_in(turn, broker, in_batches=in_batches):
            break
        assert broker.members(GROUP) == {}
        await finish_rest(broker, in_batches=in_batches)
        assert task_count() == tasks
        turn += step
    assert turn > TURNS


@pytest.mark.parametrize("is_declared", [False, True])
async def test_a_record_that_stops_the_listener_leaves_nothing_in_between(
    is_declared: bool,
) -> None:
    broker = full_broker(0.0)

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        if value == "3":
            raise ValueError(value)
        return Send(OUT.topic, value.encode())

    listener = exactly_once_on(broker)
    if is_declared:
        listener.processor(str, exactly_once=True)(handle)
    with pytest.raises(ValueError, match="3"):
        async with listener:
            if not is_declared:
                await listener.process(str, handle, exactly_once=True)
            await anyio.sleep_forever()
    check(broker)
    assert done(broker) in ([], [0, 1, 2])
