"""One of two addresses accepts connections and never answers: starts cost little all the same."""

import asyncio
import gc
import socket
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.structs import BrokerMetadata

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.connecting import PATIENCE_S, Connecting
from tests.support.entering import client, each
from tests.support.kafka_from_outside import unique
from tests.support.rebalance_delay import DELAY_S
from tests.support.waiting import BUSY_S

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

STARTS = 6
LIMIT_S = 1.0 + BUSY_S + DELAY_S


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def names(make: Any) -> dict[str, str]:
    return {} if make is client else {"group_id": unique("group")}


@pytest.mark.one_loop
@each
async def test_each_start_is_fast_in_either_order(
    embedded_kafka: EmbeddedKafka, silent: str, make: Any
) -> None:
    servers = [embedded_kafka.bootstrap_servers, silent]
    for _ in range(STARTS // 2):
        for addresses in (servers, servers[::-1]):
            with anyio.fail_after(LIMIT_S):
                async with make(",".join(addresses), **names(make)):
                    pass


@each
async def test_a_start_that_is_cut_off_leaves_nothing_open(
    silent: str, free_tcp_port: int, make: Any, anyio_backend_name: str
) -> None:
    def tasks() -> int:
        return len(asyncio.all_tasks()) if anyio_backend_name == "asyncio" else 0

    before = tasks()
    for after_s in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.66):
        with anyio.move_on_after(after_s) as scope:
            async with make(f"127.0.0.1:{free_tcp_port},{silent}", **names(make)):
                pytest.fail("entered")
        assert scope.cancelled_caught
        await anyio.lowlevel.checkpoint()
    assert tasks() == before
    gc.collect()  # a socket that is still open would warn


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_broker_that_does_not_answer_any_more_holds_up_no_other(
    embedded_kafka: EmbeddedKafka, silent: str, anyio_backend: str
) -> None:
    before = asyncio.all_tasks()
    own = AIOKafkaClient(bootstrap_servers=embedded_kafka.bootstrap_servers)
    connecting = Connecting(own)
    await own.bootstrap()
    try:
        (node,) = (broker.nodeId for broker in own.cluster.brokers())
        port = int(silent.rpartition(":")[2])
        own.cluster._brokers[99] = BrokerMetadata(99, "127.0.0.1", port, None)
        waiting = asyncio.create_task(connecting.get_connection(99))
        with anyio.fail_after(PATIENCE_S):
            group = ConnectionGroup.COORDINATION
            assert await connecting.get_connection(node, group=group) is not None
        with anyio.fail_after(2 * PATIENCE_S):
            assert await waiting is None
        assert connecting.failures()[99].address == ("127.0.0.1", port)
    finally:
        await own.close()
    await asyncio.sleep(0)  # what was cancelled ends in the next turn
    assert asyncio.all_tasks() == before
