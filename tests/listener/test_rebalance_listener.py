"""A program's rebalance listener: when it is called, and what its failures do."""

import anyio
import pytest

from sdml_kafka import TopicPartition
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    Gate,
    broker_with,
    listener_on,
    loops,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_rebalance_listener_is_called_after_the_drain(is_async: bool) -> None:
    broker = broker_with(*"ab")
    calls: list[tuple[str, set[TopicPartition]]] = []

    class Plain:
        def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
            calls.append(("assigned", partitions))

        def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:
            calls.append(("revoked", partitions))

    class Async:
        async def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
            await anyio.sleep(0.1)
            calls.append(("assigned", partitions))

        async def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:
            await anyio.sleep(0.1)
            calls.append(("revoked", partitions))

    gate = Gate()
    async with listener_on(broker, rebalance_listener=Async() if is_async else Plain()) as listener:
        assert calls == [("assigned", {P0})]
        async with loops(await listener.subscribe(str), work=gate):
            await until(lambda: gate.arrived)
            broker.rebalance(GROUP)
            await anyio.sleep(1)
            assert calls == [("assigned", {P0})]
            gate.open()
            await until(lambda: len(calls) == 3)
    assert calls[1:3] == [("revoked", {P0}), ("assigned", {P0})]


async def test_a_rebalance_listener_hears_of_partitions_that_were_lost() -> None:
    broker, calls = broker_with(*"ab"), list[str]()

    class Listener:
        def on_partitions_assigned(self, _: object) -> None:
            calls.append("assigned")

        def on_partitions_revoked(self, _: object) -> None:
            calls.append("revoked")

    async with listener_on(broker, rebalance_listener=Listener()):
        broker.expel(f"{GROUP}-1")
        await until(lambda: len(calls) == 3)
    assert calls[:3] == ["assigned", "revoked", "assigned"]


async def test_a_rebalance_listener_that_raises_or_hangs_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = broker_with(*"ab")

    class Listener:
        def on_partitions_assigned(self, _: object) -> None:
            raise KeyError("boom")

        async def on_partitions_revoked(self, _: object) -> None:
            await anyio.sleep_forever()

    async with listener_on(broker, rebalance_listener=Listener()) as listener:
        stream = await listener.subscribe(str)
        assert await take_last(stream, 1) == ["a"]
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        assert broker.committed(GROUP, P0) == 1
        assert await take_last(stream, 1) == ["b"]
    assert "the rebalance listener raised" in caplog.text
    assert broker.committed(GROUP, P0) == 2


async def test_a_rebalance_listener_does_not_hear_of_what_is_gone_before_its_turn() -> None:
    broker, calls = broker_with(*"ab"), list[str]()

    class Listener:
        def on_partitions_assigned(self, _: object) -> None:
            calls.append("assigned")

        def on_partitions_revoked(self, _: object) -> None:
            calls.append("revoked")

    async def rebalance() -> None:
        await anyio.sleep(0.5)
        broker.rebalance(GROUP)

    broker.slow_down(commit_s=1.0)  # the first commit of a group comes before the first call
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rebalance)
        async with listener_on(broker, rebalance_listener=Listener()) as listener:
            await until(lambda: listener.status().counters.rebalances == 2)
            await anyio.sleep(5.0)
            assert calls == ["assigned"]
