"""Clients that were made before a fork, and make their calls side by side."""

from functools import partial

import anyio.to_thread
import pytest

from sdml_kafka import Dedupe
from sdml_kafka.testing import EmbeddedKafka
from tests.support.forking import WORKERS, run_forking
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import reverse, server_on

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.usefixtures("client"),
    pytest.mark.timeout(120),
]


async def test_workers_get_their_own_replies_through_one_topic_and_a_server_that_remembers(
    embedded_kafka: EmbeddedKafka, anyio_backend_name: str
) -> None:
    servers = embedded_kafka.bootstrap_servers
    request = await create_topic(servers, unique("request"), 2)
    reply = await create_topic(servers, unique("reply"), 2)
    async with server_on(embedded_kafka, request, reverse, dedupe=Dedupe()) as server:
        work = partial(run_forking, "calling", anyio_backend_name, servers, request, reply)
        assert await anyio.to_thread.run_sync(work) == [[]] * WORKERS
        assert server.status().counters.duplicates == 0
