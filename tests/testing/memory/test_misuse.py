"""Mistakes of a test that the in-memory broker refuses."""

from functools import partial
from typing import Any

import anyio
import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import Misuse
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from tests.support.contracts.consumer_world import PATIENCE_S, seat, share_out
from tests.support.memory_group import P0

pytestmark = pytest.mark.anyio


async def test_what_no_program_can_mean_is_refused(broker: MemoryBroker) -> None:
    for _ in range(3):
        broker.produce("orders", b"", partition=0)
    async with seat(broker.connect("group", auto_offset_reset="earliest"), "orders") as member:
        await share_out(2, member)
        await member.commit({P0: 2})

        for offsets in ({P0: 1}, {P0: 4}, {TopicPartition("orders", 7): 0}, {}):
            with pytest.raises(Misuse):
                await member.commit(offsets)
        with pytest.raises(Misuse, match="max_records"):
            await member.consumer.poll((), 0, 1.0)
        with pytest.raises(Misuse, match="twice"):
            await member.consumer.start(["orders"], 1.0)
        with pytest.raises(Misuse, match=r"no topic .*create_topic\("):
            broker.produce("unknown", b"")
        with pytest.raises(Misuse, match="no partition"):
            broker.end_offset(TopicPartition("unknown", 0))
        orders: Any = "orders"
        for look in (broker.records, broker.end_offset, partial(broker.committed, "group")):
            with pytest.raises(Misuse, match=r"give TopicPartition\('orders', 0\)"):
                look(orders)
        with pytest.raises(Misuse, match="no group"):
            broker.expel("nobody")


@pytest.mark.parametrize(
    "wrong", [{"value": "text"}, {"value": {"a": 1}}, {"key": "ann"}, {"headers": {"a": b"1"}}]
)
async def test_a_record_that_no_broker_could_take_is_refused(
    broker: MemoryBroker, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Misuse, match="'orders' cannot be sent: key and value are bytes or None"):
        broker.produce("orders", **{"value": b"", **wrong})


async def test_two_polls_at_once_are_refused(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group"), "orders") as member:
        await share_out(2, member)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(member.poll, None, 500, PATIENCE_S)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Misuse, match="at once"):
                await member.poll()
            tasks.cancel_scope.cancel()


async def test_nothing_works_before_the_start(broker: MemoryBroker) -> None:
    async with broker.connect("group")() as consumer:
        with pytest.raises(Misuse, match="before start"):
            await consumer.poll((), 1, 0.1)
        with pytest.raises(Misuse, match="before start"):
            await consumer.commit(1, {P0: Commit(1)}, 0.1)


async def test_a_release_out_of_its_time_does_nothing(broker: MemoryBroker) -> None:
    async with seat(broker.connect("group"), "orders") as member:
        await share_out(2, member)
        broker.rebalance("group")
        first = await member.revoked()
        first.release()
        await share_out(2, member)
        broker.rebalance("group")
        second = await member.revoked()
        first.release()
        await member.poll()
        assert member.assignment is None
        second.release()
        await share_out(2, member)
