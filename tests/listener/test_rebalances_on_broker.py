"""What rebalances of a real group mean to a program: callbacks, and none for static members."""

from typing import Any

import anyio
import pytest

from sdml_kafka import KafkaListener, TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.client_choice import Client
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.listener_on_broker import listener_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.trio_asyncio_too,
    pytest.mark.usefixtures("client"),
]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_rebalance_listener_is_called_on_the_programs_side(
    embedded_kafka: EmbeddedKafka, is_async: bool, client: Client
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 2)
    calls: list[tuple[str, int]] = []

    class Plain:
        def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
            anyio.get_current_task()  # fails where the program's event loop does not run
            calls.append(("assigned", len(partitions)))

        def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:
            anyio.get_current_task()
            calls.append(("revoked", len(partitions)))

    class Async(Plain):
        async def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:  # type: ignore[override]
            await anyio.sleep(0.01)
            super().on_partitions_assigned(partitions)

        async def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:  # type: ignore[override]
            await anyio.sleep(0.01)
            super().on_partitions_revoked(partitions)

    options: dict[str, Any] = {"group_id": group, "heartbeat_interval_ms": 200}
    callbacks = Async() if is_async else Plain()
    moved = [("assigned", 2), ("revoked", 2), ("assigned", 1)]
    if client == "librdkafka":  # what stays is neither revoked nor assigned
        moved = [("assigned", 2), ("revoked", 1)]
    with anyio.fail_after(30):
        async with listener_on(embedded_kafka, topic, rebalance_listener=callbacks, **options):
            assert calls == [("assigned", 2)]
            async with listener_on(embedded_kafka, topic, **options):
                await until(lambda: len(calls) >= len(moved))
            assert calls[: len(moved)] == moved


async def test_a_static_member_leaves_and_comes_back_without_a_rebalance(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 2)

    def member(name: str) -> KafkaListener:
        return listener_on(
            embedded_kafka,
            topic,
            group_id=group,
            group_instance_id=name,
            heartbeat_interval_ms=200,
        )

    with anyio.fail_after(30):
        async with member("one") as one:
            async with member("two") as two:
                # Where the rest goes on, the second one has its partition a rebalance later.
                await until(lambda: len(one.assigned_table().get(topic, ())) == 1)
                await until(lambda: len(two.assigned_table().get(topic, ())) == 1)
                before = one.status().counters.rebalances
                owned = two.assigned_table()
            async with member("two") as two:
                assert two.assigned_table() == owned
                await anyio.sleep(0.5)  # heartbeats that would announce a rebalance
                assert one.status().counters.rebalances == before
