"""Several listeners in one program."""

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import listener_on, read

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.trio_asyncio_too,
    pytest.mark.usefixtures("client"),
]


async def test_several_listeners_in_one_program(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    first_topic = await create_topic(bootstrap, unique("first"), 1)
    second_topic = await create_topic(bootstrap, unique("second"), 1)
    await produce(bootstrap, first_topic, ["a", "b"])
    await produce(bootstrap, second_topic, ["x", "y"])
    async with (
        listener_on(embedded_kafka, first_topic) as first,
        listener_on(embedded_kafka, second_topic) as second,
        listener_on(embedded_kafka, first_topic, second_topic) as both,
    ):
        assert await read(first, 2) == ["a", "b"]
        assert await read(second, 2) == ["x", "y"]
        assert sorted(await read(both, 4)) == ["a", "b", "x", "y"]
