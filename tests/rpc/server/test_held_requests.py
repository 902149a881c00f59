"""Requests that are held, since their parser or serializer needs something first."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, NotYet, TopicPartition
from sdml_kafka.transport.interfaces.records import Record
from tests.support.client_by_hand import (
    GROUP,
    P0,
    REPLY,
    ask,
    echo,
    finished,
    new_broker,
    no_replies,
    outcomes,
    serving,
)
from tests.support.schema_away import AWAY, Schema
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def text(value: bytes, call: Call) -> str:
    return value.decode()


async def texts(value: bytes, call: Call) -> AsyncGenerator[str]:
    yield value.decode()


def options_of(what: str, schema: Schema) -> tuple[Any, dict[str, Any]]:
    if what == "parser":
        return echo, {"parser": schema.parse}
    return (text if what == "serializer" else texts), {"serializer": schema.write}


WAITS = pytest.mark.parametrize("what", ["parser", "serializer", "stream"])


@pytest.mark.uvloop_too
@WAITS
async def test_status_health_and_log_say_so(what: str, caplog: pytest.LogCaptureFixture) -> None:
    broker, schema = new_broker(), Schema()
    handler, options = options_of(what, schema)
    async with serving(broker, handler, **options) as server:
        ask(broker, b"a")
        ask(broker, b"b", b"2")
        await until(lambda: schema.waiting == 2)
        status = server.status().partitions[P0]
        assert status.waits_for == f"record 0 waits: {AWAY}"
        await anyio.sleep(30)
        assert server.status().partitions[P0].waits_for_s == pytest.approx(30, abs=1)
        health = server.health()
        assert (health.state, health.ready) == ("held", False)
        assert f"record 0 waits: {AWAY}" in health.reason
        assert f"record 0 waits: {AWAY}" in caplog.text
        schema.come.set()
        await finished(broker, server, 2)
        assert server.status().partitions[P0].waits_for is None
        assert server.health().ready
    assert sorted(await outcomes(broker, 4 if what == "stream" else 2))[-2:] == [b"a", b"b"]


@WAITS
async def test_they_are_given_back_at_once_when_their_partition_goes(what: str) -> None:
    broker, schema = new_broker(), Schema()
    handler, options = options_of(what, schema)
    async with serving(broker, handler, drain_timeout=100, **options) as server:
        ask(broker, b"a")
        await until(lambda: schema.waiting == 1)
        began = anyio.current_time()
        broker.rebalance(GROUP)
        await until(lambda: server.status().counters.rebalances == 2 and schema.waiting == 1)
        assert anyio.current_time() - began < 20
        schema.come.set()
        await until(lambda: broker.committed(GROUP, P0) == 1)
        assert server.status().in_flight == 0
        assert server.status().counters.late_finishes == 0
    values = [record.value for record in broker.records(TopicPartition(REPLY, 0))]
    assert values == ([b"a", b""] if what == "stream" else [b"a"])


@WAITS
async def test_leaving_waits_for_none_of_them(what: str) -> None:
    broker, schema = new_broker(), Schema()
    handler, options = options_of(what, schema)
    async with serving(broker, handler, drain_timeout=100, stop_timeout=200, **options):
        ask(broker, b"a")
        await until(lambda: schema.waiting == 1)
        began = anyio.current_time()
    assert anyio.current_time() - began < 5
    assert broker.committed(GROUP, P0) in (0, None)
    assert no_replies(broker)
    async with serving(broker, echo):
        await until(lambda: not no_replies(broker))


async def test_the_deadline_ends_the_wait() -> None:
    broker, schema = new_broker(), Schema()
    async with serving(broker, echo, parser=schema.parse) as server:
        ask(broker, timeout_ms=2000)
        assert await outcomes(broker, 1) == [b"deadline_exceeded"]
        assert schema.waiting == 0
        await finished(broker, server, 1)


async def test_what_cannot_be_had_is_the_requests_error() -> None:
    async def fail() -> None:
        raise ValueError("no such schema")

    def parse(record: Record) -> bytes:
        raise NotYet("away", fail)

    broker = new_broker()
    async with serving(broker, echo, parser=parse):
        ask(broker)
        assert await outcomes(broker, 1) == [b"invalid_argument"]
    assert broker.records(TopicPartition(REPLY, 0))
