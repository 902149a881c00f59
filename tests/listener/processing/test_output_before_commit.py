"""What a handler returns is there whenever its record is committed, wherever it is cut off."""

from functools import partial

import pytest

from sdml_kafka import KafkaListener, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.cutting_off import (
    COUNT,
    LETTERS,
    OUTPUT,
    CuttingOff,
    declare,
    done,
    full_broker,
)
from tests.support.processing_on_twin import processing_on
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(120)]

TURNS = 15


def check(broker: MemoryBroker) -> None:
    """Fail unless the output of each record that is committed is there, and in the end of all."""
    topics = OUTPUT, LETTERS
    there = {each.value for topic in topics for each in broker.records(TopicPartition(topic, 0))}
    finished = {b"%d" % number for number in done(broker)}
    assert finished - there == set()
    if len(finished) == COUNT:
        assert there == finished


def listener_for(broker: MemoryBroker, *, in_batches: bool) -> KafkaListener:
    listener = processing_on(broker, auto_commit={"every": 1}, drain_timeout=0.5)
    return declare(listener, in_batches=in_batches)


@pytest.mark.parametrize(("latency_s", "in_batches"), [(0.0, False), (0.07, False), (0.07, True)])
async def test_the_output_is_there_wherever_the_listener_is_cut_off(
    latency_s: float, in_batches: bool
) -> None:
    make_broker = partial(full_broker, latency_s, send_s=latency_s)
    make_listener = partial(listener_for, in_batches=in_batches)
    await CuttingOff(make_broker, make_listener, check, TURNS, rest_s=0.1).in_each_turn()
