"""A registry is asked once for a schema, again while it is away, and after a while if refused."""

import anyio
import pytest

from sdml_kafka import NotYet, SchemaRefused, SchemaRegistry, SchemaUnknown
from sdml_kafka.schemas.source import SchemaText
from sdml_kafka.schemas.wire import number_prefix
from tests.support.schemas import ORDER_JSON, FakeRecord, FakeRegistry
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

RECORD = FakeRecord(number_prefix(1) + b'{"id": 1, "item": "figs"}')
ORDER = {"id": 1, "item": "figs"}


def fake() -> FakeRegistry:
    client = FakeRegistry()
    client.add("orders-value", SchemaText("JSON", ORDER_JSON))
    return client


async def parsed(registry: SchemaRegistry, record: FakeRecord = RECORD) -> object:
    parse = registry.parser(dict)
    while True:
        try:
            return parse(record)  # type: ignore[arg-type]  # as far as parsers look
        except NotYet as not_yet:
            await not_yet.prepare()


async def test_many_that_wait_ask_once() -> None:
    client = fake()
    registry = SchemaRegistry(client=client)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(parsed, registry)
    assert await parsed(registry) == ORDER
    assert client.asked == [1]


async def test_a_registry_that_is_away_is_asked_until_it_is_back() -> None:
    client = fake()
    client.is_away = True
    registry = SchemaRegistry(client=client)
    with pytest.raises(NotYet) as caught:
        registry.parser(dict)(RECORD)  # type: ignore[arg-type]
    assert caught.value.why == "schema 1 is being fetched"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parsed, registry)
        await anyio.sleep(100)
        assert caught.value.why == "schema registry away: there is no connection"
        assert 10 <= len(client.asked) <= 20  # at least each 11 seconds, and first more often
        client.is_away = False
        await anyio.sleep(12)
        assert await parsed(registry) == ORDER


async def test_what_a_client_of_the_programs_own_raises_skips_no_record() -> None:
    client = fake()
    client.error = LookupError("a secret")
    registry = SchemaRegistry(client=client)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parsed, registry)
        await anyio.sleep(2)
        with pytest.raises(NotYet) as caught:
            registry.parser(dict)(RECORD)  # type: ignore[arg-type]
        assert caught.value.why == "schema registry away: its client has raised LookupError"
        client.error = None
    assert await parsed(registry) == ORDER


async def test_an_answer_that_takes_too_long_counts_as_none() -> None:
    client = fake()
    client.takes_s = 1000.0
    registry = SchemaRegistry(client=client, timeout_s=3.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parsed, registry)
        await anyio.sleep(4)
        with pytest.raises(NotYet) as caught:
            registry.parser(dict)(RECORD)  # type: ignore[arg-type]
        assert caught.value.why == "schema registry away: no answer within 3 s"
        tasks.cancel_scope.cancel()


async def test_when_the_one_that_asks_is_cancelled_the_next_one_asks() -> None:
    client = fake()
    registry = SchemaRegistry(client=client)
    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def impatient() -> None:
            with scope:
                await parsed(registry)

        tasks.start_soon(impatient)
        await anyio.sleep(0.1)
        tasks.start_soon(parsed, registry)
        await anyio.sleep(0.1)
        scope.cancel()
    assert client.asked == [1, 1]
    assert await parsed(registry) == ORDER


async def test_an_unknown_schema_is_asked_for_again_after_a_while_alone() -> None:
    client = FakeRegistry()
    registry = SchemaRegistry(client=client, retry_unknown_s=30.0)
    for _ in range(5):
        with pytest.raises(SchemaUnknown, match=r"^schema 1: the registry does not know it$"):
            await parsed(registry)
    assert client.asked == [1]
    await anyio.sleep(31)
    client.add("orders-value", SchemaText("JSON", ORDER_JSON))
    assert await parsed(registry) == ORDER
    assert client.asked == [1, 1]


@pytest.mark.parametrize("schema", [None, ORDER_JSON])
async def test_a_subject_that_is_not_there_is_named_with_what_to_do(schema: str | None) -> None:
    unknown = SchemaRegistry(client=FakeRegistry()).serializer("orders-value", schema, kind="JSON")
    with pytest.raises(SchemaUnknown, match=r"^the schema of 'orders-value': .*register=True"):
        await unknown.prepare()


async def test_a_serializer_that_is_called_too_early_says_what_to_do() -> None:
    client = fake()
    serializer = SchemaRegistry(client=client).serializer("orders-value")
    with pytest.raises(NotYet, match=r"^the schema of 'orders-value' is .*await this error's prep"):
        serializer(ORDER)


async def test_what_the_same_registry_has_registered_is_known_at_once() -> None:
    client = FakeRegistry()
    registry = SchemaRegistry(client=client)
    with pytest.raises(SchemaUnknown):
        await parsed(registry)
    kept = registry.serializer("orders-value", ORDER_JSON, kind="JSON", register=True)
    await kept.prepare()
    assert await parsed(registry) == ORDER


@pytest.mark.parametrize(
    "schema",
    [
        SchemaText("AVRO", "{}"),
        SchemaText("AVRO", "no JSON"),
        SchemaText("JSON", "no JSON"),
        SchemaText("JSON", '{"type": 7}'),
        SchemaText("JSON", "7"),
        SchemaText("JSON", '{"$schema": []}'),
        SchemaText("PROTOBUF", "////"),
        SchemaText("THRIFT", ""),
    ],
)
async def test_a_schema_of_no_use_is_a_parse_error(schema: SchemaText) -> None:
    client = FakeRegistry()
    client.add("orders-value", schema)
    registry = SchemaRegistry(client=client)
    for _ in range(3):
        with pytest.raises(SchemaRefused):
            await parsed(registry)
    assert client.asked == [1]


async def test_what_is_remembered_is_bounded() -> None:
    client = FakeRegistry()
    for _ in range(10):
        client.add("orders-value", SchemaText("JSON", ORDER_JSON))
    registry = SchemaRegistry(client=client, max_schemas=3)
    value = b'{"id": 1, "item": "figs"}'
    for number in [1, 2, 3, 4, 5, 4, 5, 3, 1]:
        assert await parsed(registry, FakeRecord(number_prefix(number) + value)) == ORDER
    assert client.asked == [1, 2, 3, 4, 5, 1]
    for number in range(100, 200):
        with pytest.raises(SchemaUnknown):
            await parsed(registry, FakeRecord(number_prefix(number) + value))
    here = registry._schemas._here()  # pyright: ignore[reportPrivateUsage]
    assert (len(here.refused), len(here.asking)) == (3, 0)
