"""Health and status answer in other threads, and where no event loop runs."""

import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import KafkaListener, KafkaProducer, KafkaRPC, KafkaRPCServer
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import echo, server_on
from tests.support.listener_on_twin import TOPIC, broker_with, fill, listener_on, loops
from tests.support.processing_on_twin import processing, processing_on
from tests.support.server_by_hand import client_on
from tests.support.waiting import BUSY_S, until

Observed = KafkaListener | KafkaProducer | KafkaRPC | KafkaRPCServer


def serving(broker: MemoryBroker) -> KafkaRPCServer:
    server = server_on(broker)
    server.handler(TOPIC)(echo)
    return server


MAKERS: dict[str, Callable[[MemoryBroker], Observed]] = {
    "listener": listener_on,
    "producer": lambda broker: KafkaProducer(transport=broker.connect_producer()),
    "rpc": client_on,
    "server": serving,
}


def state(observed: Observed) -> str:
    observed.status()
    return observed.health().state


@pytest.mark.parametrize("what", MAKERS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_answers_before_while_and_after_the_event_loop_runs(what: str, backend: str) -> None:
    observed = MAKERS[what](broker_with())
    seen = [state(observed)]

    async def main() -> None:
        async with observed:
            await until(lambda: observed.health().ready)
            seen.append(await anyio.to_thread.run_sync(state, observed))

    anyio.run(main, backend=backend)
    assert seen[0] == "new"
    assert seen[1] in ("idle", "waiting")
    assert state(observed) == "ended"


@pytest.mark.anyio
@pytest.mark.parametrize("is_processed", [False, True])
async def test_another_thread_may_ask_while_records_move(is_processed: bool) -> None:
    broker = broker_with(partitions=3)
    listener = processing_on(broker)
    states: set[str] = set()
    is_over = False

    def ask() -> None:
        while not is_over:
            health, status = listener.health(), listener.status()
            states.add(health.state)
            assert all(each.frontier <= each.position for each in status.partitions.values())

    async def ignore(*_: Any) -> None:
        await anyio.lowlevel.checkpoint()

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, ask)
        stream = None if is_processed else await listener.subscribe(str)
        reading = loops(stream, work=ignore) if stream else processing(listener, ignore)
        try:
            async with reading:
                for _ in range(40):
                    for partition in range(3):
                        fill(broker, range(100), partition=partition)
                    await anyio.sleep(0.005)
                await until(lambda: listener.status().counters.finished == 12_000)
        finally:
            is_over = True
    assert states <= {"idle", "moving", "waiting"}


@pytest.mark.anyio
async def test_what_another_thread_sees_is_half_a_second_old_at_most() -> None:
    async with (
        listener_on(broker_with(*"abc")) as listener,
        loops(await listener.subscribe(str), work=lambda _: anyio.sleep(1.0)),
    ):
        await until(lambda: listener.status().counters.finished == 1)

        def see_the_next() -> None:
            deadline = time.monotonic() + 1.0 + 0.5 + BUSY_S
            while listener.status().counters.finished < 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)

        await anyio.to_thread.run_sync(see_the_next)
