"""A client and a server that are left leave no task, thread or file behind."""

import gc
import threading

import anyio
import psutil
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import client_on, reverse, server_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.usefixtures("client"),
    pytest.mark.uvloop_too,
]


async def enter_call_and_leave(kafka: EmbeddedKafka, topic: str, group: str, times: int) -> None:
    for _ in range(times):
        async with server_on(kafka, topic, reverse, group_id=group), client_on(kafka) as rpc:
            assert await rpc.request(topic, b"abc") == b"cba"


@pytest.mark.parametrize(
    "times", [10, pytest.param(50, marks=(pytest.mark.soak, pytest.mark.timeout(600)))]
)
async def test_entering_and_leaving_again_and_again_leaves_nothing_behind(
    embedded_kafka: EmbeddedKafka, times: int
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 2)
    group, process = unique("server"), psutil.Process()
    await enter_call_and_leave(embedded_kafka, topic, group, 2)  # the first runs load modules
    gc.collect()
    tasks, threads = len(anyio.get_running_tasks()), threading.active_count()
    files = process.num_fds()
    await enter_call_and_leave(embedded_kafka, topic, group, times)
    gc.collect()

    def is_as_before() -> bool:
        return (
            len(anyio.get_running_tasks()) <= tasks
            and threading.active_count() <= threads
            and process.num_fds() <= files
        )

    with anyio.move_on_after(10):  # asyncio drops a closed transport some turns of the loop later
        await until(is_as_before)
    assert len(anyio.get_running_tasks()) <= tasks
    assert threading.active_count() <= threads
    assert process.num_fds() <= files
