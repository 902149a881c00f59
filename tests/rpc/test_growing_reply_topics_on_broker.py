"""Reply topics that others give more partitions while clients read them."""

import os
from typing import Any

import anyio
import pytest

from sdml_kafka import Call
from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import VARIABLE
from tests.support.kafka_from_outside import create_topic, grow_topic, produce, unique
from tests.support.rpc_on_broker import all_of, client_on, reversed_, server_on, values
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]

RARELY = {"metadata_max_age_ms": 600_000}
"""The client's own refreshes count for nothing."""


async def reverse_slowly(value: bytes, call: Call) -> bytes:
    await anyio.sleep(0.1)
    return value[::-1]


async def hold(value: bytes, call: Call) -> bytes:
    await anyio.sleep(2.0)
    return value[::-1]


@pytest.mark.parametrize("group", [None, "own"])
async def test_every_call_gets_its_reply_while_its_reply_topic_grows(
    embedded_kafka: EmbeddedKafka, group: str | None
) -> None:
    """The server, which is new, knows the new partitions long before the first client does."""
    bootstrap = embedded_kafka.bootstrap_servers
    reply = await create_topic(bootstrap, unique("reply"), 1)
    topic = await create_topic(bootstrap, unique("request"), 2)
    options: dict[str, Any] = {"reply_topic": reply, **RARELY}
    if group:
        options["group_id"] = unique(group)
    if group and os.environ[VARIABLE] == "librdkafka-classic":
        # There the group's leader finds new partitions at its own refreshes alone.
        options["metadata_max_age_ms"] = 1000
    server = server_on(
        embedded_kafka, topic, reverse_slowly, concurrency=100, metadata_max_age_ms=300
    )
    server.handler(topic + "-held")(hold)
    await create_topic(bootstrap, topic + "-held", 1)
    requests = values(20)
    with anyio.fail_after(60):
        async with (
            server,
            client_on(embedded_kafka, **options) as before,
            anyio.create_task_group() as tasks,
        ):
            in_flight: list[Any] = []

            async def ask_in_flight() -> None:
                in_flight.extend(
                    await all_of(20, lambda n: before.request(topic + "-held", requests[n]))
                )

            tasks.start_soon(ask_in_flight)
            await until(lambda: server.status().in_flight > 0)
            await grow_topic(bootstrap, reply, 8)
            async with client_on(embedded_kafka, reply_topic=reply, **RARELY) as after:
                for _ in range(10):
                    for rpc in (before, after):
                        outcomes = await all_of(
                            20,
                            lambda n, rpc=rpc: rpc.request(topic, requests[n], res_timeout=4.0),  # type: ignore[misc]
                        )
                        assert outcomes == reversed_(requests)
                assert len(after.status().reply_partitions) == 8
            await until(lambda: len(before.status().reply_partitions) == 8)
    assert in_flight == reversed_(requests)


@pytest.mark.trio_asyncio_too
async def test_a_reply_of_an_old_server_to_a_new_partition_comes_within_seconds(
    embedded_kafka: EmbeddedKafka,
) -> None:
    """Such a server sends its replies where it likes."""
    bootstrap = embedded_kafka.bootstrap_servers
    reply = await create_topic(bootstrap, unique("reply"), 1)
    topic = await create_topic(bootstrap, unique("request"), 1)
    with anyio.fail_after(30):
        async with (
            client_on(embedded_kafka, reply_topic=reply, **RARELY) as rpc,
            anyio.create_task_group() as tasks,
        ):
            replies: list[bytes] = []

            async def ask() -> None:
                replies.append(
                    await rpc.request(topic, b"value", correlation_id="by-hand", res_timeout=6.0)
                )

            await grow_topic(bootstrap, reply, 2)
            tasks.start_soon(ask)
            await until(lambda: rpc.status().in_flight == 1)
            await produce(bootstrap, reply, ["reply"], key=b"by-hand", partition=1)
    assert replies == [b"reply"]
