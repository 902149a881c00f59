"""The examples that listen run as their readers run them: as programs, until Ctrl-C."""

import asyncio
import re
import signal

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from sdml_kafka.testing import EmbeddedKafka
from tests.support.example_programs import running
from tests.support.kafka_from_outside import committed

pytestmark = pytest.mark.broker

SENT = 5


def produced(bootstrap: str) -> int:
    """Return how many records `orders` holds: other tests use the topic, too."""

    async def ask() -> int:
        async with AIOKafkaConsumer("orders", bootstrap_servers=bootstrap) as consumer:
            numbers = consumer.partitions_for_topic("orders")
            ends = await consumer.end_offsets([TopicPartition("orders", n) for n in numbers])
        return sum(ends.values())

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def bootstrap(embedded_kafka: EmbeddedKafka) -> str:
    """The address of a Kafka with the orders that the sending example sent."""
    address = embedded_kafka.bootstrap_servers
    with running("send_orders.py", address, str(SENT)) as process:
        out, err = process.communicate()
    assert (process.returncode, out.count("sent order")) == (0, SENT), err
    return address


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("asyncio_listener", r"order (\d+): "),
        ("trio_listener", r'(?:Ann|Bob) has {"number": (\d+), '),
        ("concurrent_deliveries", r"shipped order (\d+)"),
    ],
    ids=["asyncio", "trio", "concurrent"],
)
def test_reads_all_orders_and_ctrl_c_commits_them(bootstrap: str, name: str, line: str) -> None:
    waiting, seen = produced(bootstrap), set[int]()
    with running(f"{name}.py", bootstrap) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if order := re.match(line, text):
                seen.add(int(order[1]))
                waiting -= 1
            if waiting == 0 and (name != "trio_listener" or " 0 to go" in text):
                break  # trio delivers Ctrl-C at once, maybe before the last order is finished
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (waiting, process.returncode, err) == (0, 0, "")
    assert seen >= set(range(SENT))
    done = asyncio.run(committed(bootstrap, f"{name.partition('_')[0]}-example"))
    assert sum(done.values()) == produced(bootstrap)
