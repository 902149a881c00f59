"""A batch that does not decode holds its own partition and no other."""

import anyio
import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer.record_batches import SWITCH
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.listener_on_broker import Reader, listener_on
from tests.support.undecodable_batch import produce_poison
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.trio_asyncio_too,
    pytest.mark.usefixtures("client"),
]


@pytest.mark.librdkafka_too
async def test_a_batch_that_does_not_decode_holds_its_own_partition_only(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("poison"), 3)
    await produce(bootstrap, topic, ["a", "b"], partition=0)
    await produce_poison(bootstrap, topic, 0)
    await produce(bootstrap, topic, ["never"], partition=0)
    for number in range(20):
        await produce(bootstrap, topic, [f"x{number}"], partition=1 + number % 2)
    expected = {"a", "b", *(f"x{number}" for number in range(20))}
    with anyio.fail_after(40):
        async with (
            anyio.create_task_group() as tasks,
            listener_on(embedded_kafka, topic, group_id=group) as listener,
        ):
            reader = Reader(listener)
            tasks.start_soon(reader.read)
            await reader.has_seen_all(expected)
            poisoned = TopicPartition(topic, 0)
            await until(lambda: listener.status().partitions[poisoned].held is not None)
            held = listener.status().partitions[poisoned].held
            assert held is not None
            assert "UnicodeDecodeError" in held
            await produce(bootstrap, topic, ["later"], partition=1)
            await reader.has_seen_all({"later"})
            status = listener.status()
            assert status.partitions[TopicPartition(topic, 1)].held is None
            assert status.counters.restarts == 0
    assert sorted(reader.seen) == sorted(expected | {"later"})
    assert (await committed(bootstrap, group))[topic, 0] == 2


@pytest.mark.parametrize("decoder", ["", "aiokafka"])
async def test_batches_that_do_not_decode_are_skipped_and_no_record_behind_them(
    embedded_kafka: EmbeddedKafka, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if decoder:
        monkeypatch.setenv(SWITCH, decoder)  # which does not say where a batch ends
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("poison"), 2)
    await produce(bootstrap, topic, ["a", "b"], partition=0)
    await produce_poison(bootstrap, topic, 0, records=3)
    await produce(bootstrap, topic, ["c"], partition=0)
    await produce_poison(bootstrap, topic, 0)
    await produce(bootstrap, topic, [f"x{number}" for number in range(20)], partition=1)
    expected = {"a", "b", "c", *(f"x{number}" for number in range(20))}
    async with (
        anyio.create_task_group() as tasks,
        listener_on(embedded_kafka, topic, group_id=group, on_corrupt="skip") as listener,
    ):
        reader = Reader(listener)
        tasks.start_soon(reader.read)
        await reader.has_seen_all(expected)
        await until(lambda: listener.status().counters.corrupt == 4)
        await produce(bootstrap, topic, ["d"], partition=0)
        await reader.has_seen_all({"d"})
        counters = listener.status().counters
        assert (counters.restarts, counters.jumps) == (0, 0)
        assert all(each.held is None for each in listener.status().partitions.values())
    assert sorted(reader.seen) == sorted(expected | {"d"})
    assert (await committed(bootstrap, group))[topic, 0] == 8
