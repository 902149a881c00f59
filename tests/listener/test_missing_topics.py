"""Topics that do not exist, for a listener and a server: reading creates none unless asked to."""

import anyio
import pytest

from sdml_kafka import Call, ConfigurationError, KafkaRPCServer
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.testing.memory.log import Misuse
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.listener_on_twin import fill, listener_on, take_last
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def echo(value: bytes, call: Call) -> bytes:
    return value


def server_on(broker: MemoryBroker, topic: str, *, create_topics: bool = False) -> KafkaRPCServer:
    server = KafkaRPCServer(
        transport=Transport(broker.connect("servers"), broker.connect_producer()),
        create_topics=create_topics,
    )
    server.handler(topic)(echo)
    return server


def exists(broker: MemoryBroker, topic: str) -> bool:
    try:
        broker.end_offset(TopicPartition(topic, 0))
    except Misuse:
        return False
    return True


async def test_reading_creates_no_topic_on_a_broker_that_creates_them() -> None:
    broker = MemoryBroker({"orders": 1}, auto_create=3)
    parsers = [{"topics": ["ordres"], "type": str, "parser": lambda record: "x"}]
    async with (
        listener_on(broker, parsers=parsers) as listener,  # type: ignore[arg-type]
        server_on(broker, "request") as server,
    ):
        await anyio.sleep(60.0)
        assert listener.status().missing_topics == {"ordres"}
        assert server.status().missing_topics == {"request"}
        assert not exists(broker, "ordres")
        assert not exists(broker, "request")


async def test_create_topics_creates_what_is_missing() -> None:
    broker = MemoryBroker({"orders": 2}, auto_create=3)
    parsers = [{"topics": ["orders", "later"], "type": str, "parser": lambda record: "x"}]
    async with (
        listener_on(broker, parsers=parsers, create_topics=True) as listener,  # type: ignore[arg-type]
        server_on(broker, "request", create_topics=True) as server,
    ):
        assert listener.assigned_table() == {"later": [0, 1, 2], "orders": [0, 1]}
        assert not listener.status().missing_topics
        assert not server.status().missing_topics
        fill(broker, "a", topic="later")
        assert await take_last(await listener.subscribe(str), 1) == ["x"]


async def test_a_topic_that_was_created_and_deleted_does_not_come_back() -> None:
    broker = MemoryBroker(auto_create=1)
    parsers = [{"topics": ["later"], "type": str, "parser": lambda record: "x"}]
    async with listener_on(broker, parsers=parsers, create_topics=True) as listener:  # type: ignore[arg-type]
        broker.delete_topic("later")
        await until(lambda: listener.status().missing_topics == {"later"})
        await anyio.sleep(60.0)
        assert not exists(broker, "later")


async def test_the_nearest_topic_is_named(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker({"orders": 1, "prices": 1, "__consumer_offsets": 1})
    parsers = [{"topics": ["ordres", "zzz"], "type": str, "parser": lambda record: "x"}]
    async with listener_on(broker, parsers=parsers) as listener:  # type: ignore[arg-type]
        assert listener.status().nearest_topics == {"ordres": "orders"}
        await until(lambda: "do not exist" in caplog.text)
    assert (
        "topics 'ordres', 'zzz' do not exist; they are read as soon as they do; "
        "did you mean 'orders' for 'ordres'?" in caplog.text
    )


@pytest.mark.parametrize("wrong", ["yes", 3, None])
async def test_create_topics_is_yes_or_no(wrong: object) -> None:
    broker = MemoryBroker()
    transport = Transport(broker.connect("servers"), broker.connect_producer())
    with pytest.raises(ConfigurationError, match="create_topics is True or False"):
        KafkaRPCServer(transport=transport, create_topics=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="create_topics is True or False"):
        listener_on(broker, create_topics=wrong)
