"""A handler slower than the poll interval does not cost its listener the membership."""

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import variant
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.listener_on_broker import listener_on

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.usefixtures("client"),
]


async def test_a_handler_slower_than_the_poll_interval_keeps_its_membership(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, seen = embedded_kafka.bootstrap_servers, []
    topic = await create_topic(bootstrap, unique("slow"), 1)
    await produce(bootstrap, topic, ["a", "b"])
    # librdkafka takes no interval that is shorter than the session.
    interval_s = 6 if variant() == "librdkafka-classic" else 1
    async with listener_on(
        embedded_kafka,
        topic,
        max_poll_interval_ms=interval_s * 1000,
        session_timeout_ms=6000,
        heartbeat_interval_ms=200,  # which looks at the poll interval
    ) as listener:
        async for value in await listener.subscribe(str):
            seen.append(value)
            await anyio.sleep(
                interval_s + 2
            )  # the handler's work: the test itself waits for nothing
            if value == "b":
                break
        status = listener.status()
    assert seen == ["a", "b"]
    assert status.counters.rebalances == 1
    assert status.counters.late_finishes == 0
