"""Calls over four servers of one group, that come, leave and are killed, on a broker that restarts.

The long ones: uv run pytest -m soak tests/rpc/test_chaos_on_broker.py
"""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.backends import name_of
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_chaos.fleet import Fleet, fleet_of
from tests.support.rpc_chaos.traffic import Traffic, repeats_of
from tests.support.rpc_on_broker import client_on

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.usefixtures("client"),
    pytest.mark.timeout(600),
]

SERVERS, PARTITIONS = 4, 8
SESSION_MS, LONG_SESSION_MS = 2000, 15_000
"""Milliseconds that the partitions of a server stay with it that is killed, or stands still, over
aiokafka."""

Fault = Callable[[], Awaitable[None]]


at_least = pytest.mark.parametrize(
    "calls",
    [800, pytest.param(100_000, marks=(pytest.mark.soak, pytest.mark.timeout(3600)))],
)


@asynccontextmanager
async def traffic_over_a_fleet(
    kafka: EmbeddedKafka,
    backend: Any,
    folder: Path,
    calls: int,
    *,
    session_ms: int,
    **options: Any,
) -> AsyncGenerator[tuple[Traffic, Fleet]]:
    bootstrap = kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("chaos"), PARTITIONS)
    where = name_of(backend), bootstrap, topic, unique("group")
    async with (
        fleet_of(SERVERS, where, folder, session_ms) as fleet,
        client_on(kafka) as rpc,
        anyio.create_task_group() as tasks,
    ):
        traffic = Traffic(rpc, topic, callers=60 if calls < 10_000 else 150, **options)
        tasks.start_soon(traffic.run)
        yield traffic, fleet
        await traffic.finish()


async def in_turn(faults: Sequence[Fault], traffic: Traffic, calls: int) -> None:
    """Cause one fault after the other under traffic, until `calls` calls have settled.

    Each fault comes once at least.
    """
    between = 200 if calls > 10_000 else 100
    while traffic.settled < calls:
        for fault in faults:
            await traffic.flows(between)
            await fault()
        await traffic.flows(between)


@pytest.mark.one_loop
@at_least
async def test_every_call_settles_whatever_happens_to_the_servers_and_the_broker(
    mortal_kafka: EmbeddedKafka,
    anyio_backend: Any,
    tmp_path: Path,
    calls: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = anyio.current_time()

    async def restart_broker() -> None:
        await anyio.to_thread.run_sync(mortal_kafka.kill)
        await mortal_kafka.restart_async()

    async def kill_and_restart_broker() -> None:
        await fleet.kill()
        await restart_broker()

    async with traffic_over_a_fleet(
        mortal_kafka, anyio_backend, tmp_path, calls, session_ms=SESSION_MS
    ) as (
        traffic,
        fleet,
    ):
        faults = [
            fleet.join,
            fleet.leave,
            fleet.kill,
            fleet.join,
            *([restart_broker] if calls > 10_000 else []),
            kill_and_restart_broker,
            fleet.join,
        ]
        await in_turn(faults, traffic, calls)
    executed = fleet.executed()
    with capsys.disabled():
        took_s = anyio.current_time() - began
        print(f"[{traffic.report(executed)}, {took_s:.0f} s in all]", file=sys.stderr)
    traffic.check(executed)
    assert traffic.timeouts == {}
    assert traffic.slowest_s > 1.0  # otherwise the faults have hit no call


@pytest.mark.one_loop
@at_least
async def test_servers_that_leave_by_plan_cost_no_call_anything(
    mortal_kafka: EmbeddedKafka,
    anyio_backend: Any,
    tmp_path: Path,
    calls: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with traffic_over_a_fleet(
        mortal_kafka, anyio_backend, tmp_path, calls, session_ms=LONG_SESSION_MS, brief_every=0
    ) as (
        traffic,
        fleet,
    ):
        await in_turn([fleet.join, fleet.leave, fleet.leave, fleet.join], traffic, calls)
    executed = fleet.executed()
    with capsys.disabled():
        print(f"[{traffic.report(executed)}]", file=sys.stderr)
    traffic.check(executed)
    assert len(traffic.replies) == traffic.calls
    assert repeats_of(executed) == []
