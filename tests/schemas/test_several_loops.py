"""Event loops of one program share a registry, one after another or side by side."""

import asyncio
from typing import Any

import anyio
import anyio.to_thread
import pytest

from sdml_kafka import NotYet, SchemaRegistry, SchemaUnknown
from sdml_kafka.schemas.source import SchemaText
from sdml_kafka.schemas.wire import number_prefix
from tests.support.schemas import ORDER_JSON, FakeRecord, FakeRegistry

pytestmark = pytest.mark.timeout(60)

RECORD = FakeRecord(number_prefix(1) + b'{"id": 1, "item": "figs"}')


async def parsed(registry: SchemaRegistry) -> object:
    parse = registry.parser(dict)
    while True:
        try:
            return parse(RECORD)  # type: ignore[arg-type]  # as far as parsers look
        except NotYet as not_yet:
            await not_yet.prepare()


def test_a_refusal_is_not_timed_by_the_clock_of_another_loop() -> None:
    client = FakeRegistry(takes_s=0.0)
    registry = SchemaRegistry(client=client)
    with pytest.raises(SchemaUnknown):
        anyio.run(parsed, registry, backend="trio")  # whose clock begins anywhere, far ahead
    client.add("orders-value", SchemaText("JSON", ORDER_JSON))
    assert anyio.run(parsed, registry, backend="asyncio") == {"id": 1, "item": "figs"}


def test_a_loop_that_was_left_as_it_was_holds_up_no_other() -> None:
    client = FakeRegistry(takes_s=1000.0)
    client.add("orders-value", SchemaText("JSON", ORDER_JSON))
    registry = SchemaRegistry(client=client)
    loop = asyncio.new_event_loop()
    task = loop.create_task(parsed(registry))
    loop.run_until_complete(asyncio.sleep(0.01))
    client.takes_s = 0.0

    async def of_another() -> object:
        with anyio.fail_after(30):
            return await parsed(registry)

    try:
        assert anyio.run(of_another) == {"id": 1, "item": "figs"}
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
        loop.close()


async def _in_thread(registry: SchemaRegistry) -> None:
    record: Any = RECORD
    with pytest.raises(NotYet):
        await anyio.to_thread.run_sync(registry.parser(dict), record)


def test_a_thread_without_a_loop_is_told_what_is_needed() -> None:
    anyio.run(_in_thread, SchemaRegistry(client=FakeRegistry()))
