"""A connection that the broker has ended, which is asked for before its reader has seen that."""

import asyncio
import gc

import anyio
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.connecting import Connecting

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_is_closed_and_what_waits_for_its_answers_is_told(
    embedded_kafka: EmbeddedKafka, anyio_backend: str
) -> None:
    own = AIOKafkaClient(bootstrap_servers=embedded_kafka.bootstrap_servers)
    connecting = Connecting(own)
    await own.bootstrap()
    try:
        (node,) = (broker.nodeId for broker in own.cluster.brokers())
        broken = await connecting.get_connection(node)
        broken._writer.transport.pause_reading()
        waiting = asyncio.ensure_future(broken.send(MetadataRequest([])))
        broken._protocol.eof_received()
        del broken  # as nobody but the client has it, its reader cannot close it
        replacement = await connecting.get_connection(node)
        assert replacement.connected()
        with anyio.fail_after(10), pytest.raises(KafkaConnectionError):
            await waiting
        gc.collect()  # a socket that is still open would warn
    finally:
        await own.close()
