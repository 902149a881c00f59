"""Topics that do not exist, on a broker that creates topics by itself: reading creates none."""

import anyio
import pytest

from sdml_kafka import Call, KafkaRPC, parse_bytes
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.client_choice import Client
from tests.support.kafka_from_outside import (
    create_topic,
    delete_topic,
    produce,
    topics_of,
    unique,
)
from tests.support.listener_on_broker import listener_on, read
from tests.support.rpc_on_broker import server_on
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]

OFTEN = {"metadata_max_age_ms": 500}
"""Lets a deletion be noticed soon."""
REFRESHES_S = 2.5
"""Seconds in which a consumer refreshes its metadata several times while a topic is missing."""


async def echo(value: bytes, call: Call) -> bytes:
    return value


@pytest.mark.usefixtures("client")
async def test_a_listener_does_not_create_what_it_reads(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    there, missing = await create_topic(bootstrap, unique("orders")), unique("missing")
    async with listener_on(embedded_kafka, there, missing) as listener:
        await until(lambda: listener.status().missing_topics == {missing})
        await anyio.sleep(REFRESHES_S)
        assert missing not in await topics_of(bootstrap)
        await create_topic(bootstrap, missing, 1)
        await produce(bootstrap, missing, ["a"])
        assert await read(listener, 1) == ["a"]


async def test_a_server_does_not_create_what_it_serves(embedded_kafka: EmbeddedKafka) -> None:
    missing = unique("missing")
    async with server_on(embedded_kafka, missing, echo) as server:
        await until(lambda: server.status().missing_topics == {missing})
        await anyio.sleep(REFRESHES_S)
        assert missing not in await topics_of(embedded_kafka.bootstrap_servers)


@pytest.mark.trio_asyncio_too
async def test_a_deleted_topic_stays_deleted_under_its_readers(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("deleted"), 2)
    request = await create_topic(bootstrap, unique("request"), 2)
    await produce(bootstrap, topic, ["a"])
    async with (
        listener_on(embedded_kafka, topic, **OFTEN) as listener,
        server_on(embedded_kafka, request, echo, **OFTEN) as server,
    ):
        assert await read(listener, 1) == ["a"]
        for name in (topic, request):
            await delete_topic(bootstrap, name)
        await until(lambda: listener.status().missing_topics == {topic})
        await until(lambda: server.status().missing_topics == {request})
        await anyio.sleep(REFRESHES_S)
        assert not {topic, request} & await topics_of(bootstrap)


async def test_a_client_does_not_bring_back_the_topic_of_another(
    embedded_kafka: EmbeddedKafka,
) -> None:
    """Its own reply topic is gone with it, and nobody who knew of it creates it anew."""
    bootstrap = embedded_kafka.bootstrap_servers
    request = await create_topic(bootstrap, unique("request"), 1)
    before = await topics_of(bootstrap)
    async with (
        server_on(embedded_kafka, request, echo),
        KafkaRPC(bootstrap_servers=bootstrap) as rpc,
    ):
        assert await rpc.request(req_topic=request, req_value=b"a") == b"a"
        own = await topics_of(bootstrap) - before
    await anyio.sleep(REFRESHES_S)
    assert not own & await topics_of(bootstrap)


@pytest.mark.usefixtures("client")
async def test_create_topics_creates_what_is_missing_as_the_broker_does(
    embedded_kafka: EmbeddedKafka, client: Client
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    there, missing = await create_topic(bootstrap, unique("there"), 1), unique("missing")
    async with listener_on(embedded_kafka, there, missing, create_topics=True, **OFTEN) as listener:
        both = {there: [0], missing: [0, 1, 2, 3]}
        if client == "librdkafka":  # what the group learns of later comes on top
            await until(lambda: listener.assigned_table() == both)
        assert listener.assigned_table() == both
        assert not listener.status().missing_topics
        await delete_topic(bootstrap, missing)  # it is created on entering, and then no more
        await until(lambda: listener.status().missing_topics == {missing})
        await anyio.sleep(REFRESHES_S)
        assert missing not in await topics_of(bootstrap)


async def test_a_server_creates_topics_where_that_is_wanted(embedded_kafka: EmbeddedKafka) -> None:
    missing = unique("missing")
    async with (
        server_on(embedded_kafka, missing, echo, create_topics=True) as server,
        KafkaRPC(
            bootstrap_servers=embedded_kafka.bootstrap_servers,
            parsers=[{"topics": [unique("reply")], "type": bytes, "parser": parse_bytes}],
        ) as rpc,
    ):
        assert not server.status().missing_topics
        assert await rpc.request(req_topic=missing, req_value=b"a") == b"a"


@pytest.mark.usefixtures("client")
async def test_the_nearest_topic_is_named(
    embedded_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    there = await create_topic(embedded_kafka.bootstrap_servers, unique("payments"))
    misspelt = there.replace("payments", "paymets")
    async with listener_on(embedded_kafka, misspelt) as listener:
        assert listener.status().nearest_topics == {misspelt: there}
        await until(lambda: f"did you mean {there!r} for" in caplog.text)
        await create_topic(embedded_kafka.bootstrap_servers, misspelt, 1)
        await produce(embedded_kafka.bootstrap_servers, misspelt, ["a"])
        assert await read(listener, 1) == ["a"]
