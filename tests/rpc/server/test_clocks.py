"""Clocks of senders and of the server that are apart: what the server has seen itself decides."""

import anyio
import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.state import loop_time
from tests.support.client_by_hand import (
    GROUP,
    REPLY,
    REQUEST,
    ask,
    echo,
    outcomes,
    replies,
    reply,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]

IDLE_S = 3.0
"""Seconds in which a server that has nothing to do has seen the end of its partition."""


def broker_apart(skew_s: float, partitions: int = 1) -> MemoryBroker:
    """Return a broker whose senders' clock is ahead of the server's by so much."""
    return MemoryBroker({REQUEST: partitions, REPLY: 1}, clock=lambda: loop_time() + skew_s)


SKEWS = pytest.mark.parametrize("skew_s", [-7200.0, -31.0, -1.5, 0.0, 31.0, 7200.0])


@SKEWS
@pytest.mark.parametrize("timeout_ms", [300, 30_000])
async def test_a_server_that_keeps_up_needs_no_clock(skew_s: float, timeout_ms: int) -> None:
    broker = broker_apart(skew_s)
    async with serving(broker, echo) as server:
        for count in range(1, 21):
            await anyio.sleep(IDLE_S if count == 1 else 0.37 * (count % 5))
            ask(broker, b"%d" % count, timeout_ms=timeout_ms)
        assert await outcomes(broker, 20) == [b"%d" % count for count in range(1, 21)]
        assert server.status().counters.expired == 0


@SKEWS
async def test_a_request_that_has_waited_here_is_over(skew_s: float) -> None:
    """Also where the clock says that it has only just been sent."""
    broker, started = broker_apart(skew_s), list[bytes]()

    async def handle(value: bytes, call: object) -> bytes:
        started.append(value)
        await anyio.sleep(10)
        return value

    async with serving(broker, handle, concurrency=1):
        await anyio.sleep(IDLE_S)
        ask(broker, b"first")
        await until(lambda: bool(started))
        ask(broker, b"over", timeout_ms=5000)
        ask(broker, b"in time", timeout_ms=30_000)
        await replies(broker, 3)
        assert started == [b"first", b"in time"]
        over = broker.records(TopicPartition(REPLY, 0))[1]
        assert header(over, "x-status") == b"deadline_exceeded"
        text = (header(over, "x-error") or b"").decode()
        assert "it had 5 s, and has waited for " in text or skew_s <= -1.5


@pytest.mark.parametrize("skew_s", [31.0, 7200.0])
async def test_what_waits_behind_many_is_over_whatever_its_clock(skew_s: float) -> None:
    """Requests that were in the log before are at least as old as the sight of an end beyond."""
    broker, started = broker_apart(skew_s), list[bytes]()

    async def handle(value: bytes, call: object) -> bytes:
        started.append(value)
        await anyio.sleep(0.1)
        return value

    for number in range(1000):
        ask(broker, b"%d" % number, timeout_ms=20_000)
    async with serving(broker, handle, concurrency=1):
        await until(lambda: len(broker.records(TopicPartition(REPLY, 0))) == 1000)
    assert len(started) == pytest.approx(200, abs=12)


async def test_the_clock_decides_on_what_was_there_before_the_server() -> None:
    broker = broker_apart(-31.0)
    ask(broker, timeout_ms=30_000)
    await anyio.sleep(1)
    async with serving(broker, echo) as server:
        record = await reply(broker)
        assert header(record, "x-status") == b"deadline_exceeded"
        text = (header(record, "x-error") or b"").decode()
        assert "it had 30 s, and by its timestamp is 32 s old" in text
        assert "clocks" in text
        assert server.status().counters.expired == 1


@pytest.mark.parametrize("skew_s", [-31.0, 0.0])
async def test_what_came_in_a_rebalance_is_no_older_than_the_rebalance(skew_s: float) -> None:
    broker = broker_apart(skew_s)
    async with serving(broker, echo):
        await anyio.sleep(IDLE_S)
        ask(broker, b"before", timeout_ms=30_000)
        await replies(broker, 1)
        broker.rebalance(GROUP)
        ask(broker, b"within", timeout_ms=30_000)
        assert await outcomes(broker, 2) == [b"before", b"within"]


async def test_after_an_outage_only_what_may_be_over_is_refused() -> None:
    broker = broker_apart(-31.0)
    async with serving(broker, echo):
        await anyio.sleep(IDLE_S)
        broker.down()
        ask(broker, b"may be over", timeout_ms=5000)
        await anyio.sleep(8)
        ask(broker, b"has time", timeout_ms=20_000)
        broker.up()
        assert await outcomes(broker, 2) == [b"deadline_exceeded", b"has time"]


async def test_while_a_partition_is_full_its_end_is_seen_all_the_same() -> None:
    """Nothing of it is fetched then, and its lag is known, too."""
    broker, gate, partition = broker_apart(-31.0), anyio.Event(), TopicPartition(REQUEST, 0)

    async def handle(value: bytes, call: object) -> bytes:
        await gate.wait()
        return value

    async with serving(broker, handle, concurrency=1) as server:
        await anyio.sleep(IDLE_S)
        for _ in range(2000):
            ask(broker, b"early", timeout_ms=300_000)
        await anyio.sleep(60)
        for _ in range(100):
            ask(broker, b"late", timeout_ms=30_000)
        await until(lambda: server.status().partitions[partition].lag == 2100, within_s=11)
        assert (server.status().partitions[partition].lag_age_s or 0) < 11
        gate.set()
        assert (await outcomes(broker, 2100))[-1] == b"late"
