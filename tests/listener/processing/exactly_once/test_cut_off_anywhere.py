"""Wherever a listener is cut off, offsets and outputs are committed together, and once."""

from functools import partial

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, Send, Transaction
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.cutting_off import LETTERS, CuttingOff, declare, done, full_broker
from tests.support.exactly_once_on_twin import OUT, exactly_once_on, outputs
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(120)]

TURNS = 12


def check(broker: MemoryBroker) -> None:
    """Fail unless readers of committed records see the outputs of what is committed, each once."""
    seen = sorted(map(int, (*outputs(broker), *outputs(broker, LETTERS))))
    assert seen == done(broker)


def listener_for(broker: MemoryBroker, *, in_batches: bool) -> KafkaListener:
    listener = exactly_once_on(broker, auto_commit={"every": 1}, drain_timeout=0.5)
    policy = Transaction(every=3, interval_s=0.05)
    return declare(listener, in_batches=in_batches, exactly_once=policy)


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
    make_broker = partial(full_broker, latency_s)
    make_listener = partial(listener_for, in_batches=in_batches)
    cutting_off = CuttingOff(make_broker, make_listener, check, TURNS, rest_s=0.02)
    await cutting_off.in_each_turn(step)


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
