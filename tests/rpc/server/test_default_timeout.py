"""Deadlines for requests that have none of their own, as those of Spring and NestJS."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Call, ConfigurationError, KafkaRPCServer
from tests.support.client_by_hand import ask, echo, new_broker, outcome, outcomes, reply, serving
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]


@pytest.mark.uvloop_too
async def test_a_handler_ends_at_the_default_deadline() -> None:
    broker, left = new_broker(), list[float | None]()

    async def handle(value: bytes, call: Call) -> None:
        left.append(call.remaining_s)
        await anyio.sleep_forever()

    async with serving(broker, handle, default_timeout=2.0):
        ask(broker)
        assert outcome(await reply(broker)) == b"deadline_exceeded"
    assert left == [pytest.approx(2.0, abs=0.1)]


async def test_it_counts_from_when_the_request_was_appended() -> None:
    """What a new group finds in the topic is not run if it is older."""
    broker = new_broker()
    ask(broker, b"old")
    await anyio.sleep(3)
    ask(broker, b"new")
    await anyio.sleep(1)
    async with serving(broker, echo, default_timeout=2.0) as server:
        assert sorted(await outcomes(broker, 2)) == [b"deadline_exceeded", b"new"]
        assert server.status().counters.expired == 1


async def test_the_text_says_how_long_it_had() -> None:
    broker = new_broker()
    ask(broker)
    await anyio.sleep(10)
    async with serving(broker, echo, default_timeout=2.0):
        record = await reply(broker)
    assert b"it had 2 s" in (header(record, "x-error") or b"")


async def test_a_deadline_of_the_requests_own_counts_alone() -> None:
    broker = new_broker()

    async def sleep(value: bytes, call: Call) -> bytes:
        await anyio.sleep(5)
        return b"slept"

    async with serving(broker, sleep, default_timeout=2.0):
        ask(broker, timeout_ms=10_000)
        assert outcome(await reply(broker)) == b"slept"


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf"), float("nan"), "1"])
async def test_what_is_no_timeout(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="default_timeout"):
        KafkaRPCServer(bootstrap_servers="localhost", group_id="g", default_timeout=seconds)
