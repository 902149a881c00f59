"""Groups that clients and servers share by mistake."""

from typing import Any

import anyio
import pytest

from sdml_kafka import GroupShared
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import (
    all_of,
    client_on,
    pair_on,
    reverse,
    reversed_,
    server_on,
    values,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.usefixtures("client"),
    pytest.mark.trio_asyncio_too,
]


async def test_a_group_that_two_clients_share_by_mistake(embedded_kafka: EmbeddedKafka) -> None:
    reply = await create_topic(embedded_kafka.bootstrap_servers, unique("reply"), 4)
    shared: dict[str, Any] = {
        "group_id": unique("client"),
        "reply_topic": reply,
        "heartbeat_interval_ms": 300,
    }
    requests = values(100)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, **shared) as (rpc, topic):
            with pytest.raises(GroupShared):
                async with client_on(embedded_kafka, **shared):
                    pytest.fail("entered")
            replies = await all_of(100, lambda number: rpc.request(topic, requests[number]))
    assert replies == reversed_(requests)


async def test_a_group_that_client_and_server_share_by_mistake(
    embedded_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 2)
    group, requests = unique("both"), values(100)
    with anyio.fail_after(60):
        async with (
            server_on(embedded_kafka, topic, reverse, group_id=group),
            client_on(embedded_kafka, group_id=group, heartbeat_interval_ms=300) as rpc,
        ):
            replies = await all_of(100, lambda number: rpc.request(topic, requests[number]))
    assert replies == reversed_(requests)
