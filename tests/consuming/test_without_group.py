"""`listen` without a group, and to the end of what is there, on the twin."""

from collections.abc import Collection

import anyio
import pytest

from sdml_kafka import ConfigurationError, KafkaListener, TopicPartition
from sdml_kafka.cli.listen.arguments import Offset
from sdml_kafka.consuming.without_group import Reading, WithoutGroup
from sdml_kafka.listener.end_watch import EndWatch
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]

TOPIC, GROUP = "orders", "stands-for-none"


@pytest.fixture
def broker() -> MemoryBroker:
    """Hold `0.0` to `0.4` in partition 0, and so on, of three partitions."""
    broker = MemoryBroker({TOPIC: 3})
    for number in range(15):
        broker.produce(TOPIC, f"{number % 3}.{number // 3}".encode(), partition=number % 3)
    return broker


def listener_on(
    broker: MemoryBroker, offset: Offset, partitions: Collection[int] = ()
) -> KafkaListener:
    reading = Reading(frozenset(partitions), offset)
    return KafkaListener(
        [{"topics": [TOPIC], "type": bytes, "parser": lambda record: record.value or b""}],
        transport=WithoutGroup(broker.connect(GROUP), reading),
    )


async def read_to_the_end(listener: KafkaListener) -> list[str]:
    """Return what is written until the end of what is there."""
    read = list[str]()
    async with listener, anyio.create_task_group() as tasks:
        stream = await listener.subscribe(bytes)

        async def read_all() -> None:
            async for value in stream:
                read.append(value.decode())

        tasks.start_soon(read_all)
        await EndWatch().run(listener.status, tasks.cancel_scope.cancel)
    return sorted(read)


ALL = [f"{partition}.{number}" for partition in range(3) for number in range(5)]


@pytest.mark.parametrize(
    ("offset", "partitions", "expected"),
    [
        ("earliest", (), ALL),
        ("earliest", (2, 1), ALL[5:]),
        (3, (1,), ["1.3", "1.4"]),
        (3, (0, 2), ["0.3", "0.4", "2.3", "2.4"]),
        (5, (1,), []),
        ("latest", (), []),
        ("latest", (1,), []),
    ],
)
async def test_what_is_read(
    offset: Offset, partitions: tuple[int, ...], expected: list[str], broker: MemoryBroker
) -> None:
    assert await read_to_the_end(listener_on(broker, offset, partitions)) == expected
    assert not broker.commits


async def test_latest_reads_what_comes(broker: MemoryBroker) -> None:
    async with listener_on(broker, "latest") as listener:
        stream = await listener.subscribe(bytes)
        broker.produce(TOPIC, b"new", partition=1)
        assert await anext(stream) == b"new"


async def test_the_beginning_is_where_the_log_begins(broker: MemoryBroker) -> None:
    broker.trim(TopicPartition(TOPIC, 1), 4)
    assert await read_to_the_end(listener_on(broker, "earliest", (1,))) == ["1.4"]


@pytest.mark.parametrize(
    ("offset", "partitions", "text"),
    [
        (6, (1,), "--offset 6: partition 1 of 'orders' ends before it"),
        (1, (2,), "--offset 1: partition 2 of 'orders' begins at 2"),
        ("earliest", (1, 3), "--partition 3: 'orders' has 3, numbered from 0"),
    ],
)
async def test_what_is_not_there_is_said_on_entering(
    offset: Offset, partitions: tuple[int, ...], text: str, broker: MemoryBroker
) -> None:
    broker.trim(TopicPartition(TOPIC, 2), 2)
    with pytest.raises(ConfigurationError, match=text):
        await listener_on(broker, offset, partitions).__aenter__()


async def test_after_a_crash_only_the_record_in_hand_comes_again(broker: MemoryBroker) -> None:
    read = list[bytes]()
    async with listener_on(broker, 2, (0,)) as listener:
        async for value in await listener.subscribe(bytes):
            read.append(value)
            if read == [b"0.2", b"0.3"]:
                broker.fail_next_poll(RuntimeError("ordered by the test"))
                await anyio.sleep(5)
            if value == b"0.4":
                break
    assert read == [b"0.2", b"0.3", b"0.3", b"0.4"]


async def test_partitions_that_are_added_are_read_from_their_beginning(
    broker: MemoryBroker,
) -> None:
    async with listener_on(broker, "latest") as listener:
        stream = await listener.subscribe(bytes)
        broker.add_partitions(TOPIC, 1)
        broker.produce(TOPIC, b"new", partition=3)
        assert await anext(stream) == b"new"


async def test_partitions_that_are_added_are_read_beside_the_others(
    broker: MemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    read = list[str]()
    async with listener_on(broker, "earliest") as listener:
        async for value in await listener.subscribe(bytes):
            read.append(value.decode())
            if len(read) == 4:  # the others wait, and one is in hand
                broker.add_partitions(TOPIC, 1)
                broker.produce(TOPIC, b"new", partition=3)
                await anyio.sleep(5)
                broker.produce(TOPIC, b"0.5", partition=0)
            if len(read) == len(ALL) + 2:
                break
    assert sorted(read) == sorted([*ALL, "0.5", "new"])
    assert not [each for each in caplog.records if each.levelname != "INFO"]


async def test_partitions_that_are_added_and_not_wanted_change_nothing(
    broker: MemoryBroker,
) -> None:
    async with listener_on(broker, "latest", (1,)) as listener:
        stream = await listener.subscribe(bytes)
        broker.add_partitions(TOPIC, 1)
        broker.produce(TOPIC, b"new", partition=3)
        await anyio.sleep(5)
        broker.produce(TOPIC, b"wanted", partition=1)
        assert await anext(stream) == b"wanted"


async def test_the_end_is_that_of_the_beginning(broker: MemoryBroker) -> None:
    watch, count = EndWatch(), 0
    async with listener_on(broker, "earliest", (0,)) as listener:
        async for _ in await listener.subscribe(bytes):
            count += 1
            broker.produce(TOPIC, b"endless", partition=0)
            await anyio.sleep(1)
            if watch.is_done(listener.status()):
                break
    assert 5 <= count <= 8


async def test_the_end_is_reached_behind_transaction_markers(broker: MemoryBroker) -> None:
    broker.skip_offsets(TopicPartition(TOPIC, 0), 2)
    assert await read_to_the_end(listener_on(broker, "earliest", (0,))) == ALL[:5]


async def test_an_outage_is_no_end(broker: MemoryBroker) -> None:
    watch = EndWatch()
    async with listener_on(broker, "earliest") as listener:
        stream = await listener.subscribe(bytes)
        await anyio.sleep(2)
        broker.down()
        await anyio.sleep(2)
        assert not watch.is_done(listener.status())
        await stream.aclose()
