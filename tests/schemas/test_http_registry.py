"""A registry over HTTP: whatever it does, records are held or refused, within bounds."""

import gzip
import re
import socket
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import anyio
import pytest

from sdml_kafka import ConfigurationError, NotYet, SchemaRefused, SchemaRegistry, SchemaUnknown
from sdml_kafka.schemas import answers, confluent_client
from sdml_kafka.schemas.confluent_client import MAX_THREADS
from sdml_kafka.schemas.formats import protobuf
from sdml_kafka.schemas.wire import HEADERS, guid_prefix, number_prefix
from tests.support.registry_server import RegistryServer, registry_server
from tests.support.schemas import BILL, ORDER_AVRO, ORDER_JSON, FakeRecord
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

RECORD: Any = FakeRecord(number_prefix(1) + b'{"id": 1, "item": "figs"}')
ORDER = {"id": 1, "item": "figs"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as server:
        server.add(1, ORDER_JSON)
        yield server


async def parsed(registry: SchemaRegistry, record: Any = RECORD) -> object:
    parse = registry.parser(dict)
    while True:
        try:
            return parse(record)
        except NotYet as not_yet:
            await not_yet.prepare()


def why(registry: SchemaRegistry, record: Any = RECORD) -> str:
    with pytest.raises(NotYet) as caught:
        registry.parser(dict)(record)
    return caught.value.why


async def test_a_schema_is_fetched_once(server: RegistryServer) -> None:
    with SchemaRegistry(server.url) as registry:
        for _ in range(3):
            assert await parsed(registry) == ORDER
    assert server.requests == ["/schemas/ids/1"]


async def test_what_it_refers_to_comes_with_it(server: RegistryServer) -> None:
    outer = (
        '{"type": "record", "name": "Cart", "namespace": "shop", "fields": '
        '[{"name": "order", "type": "shop.Order"}]}'
    )
    reference = {"name": "shop.Order", "subject": "order", "version": 1}
    server.schemas["/schemas/ids/2"] = {"schema": outer, "references": [reference]}
    server.schemas["/subjects/order/versions/1"] = {
        "subject": "order",
        "version": 1,
        "id": 3,
        "schema": ORDER_AVRO,
    }
    record: Any = FakeRecord(number_prefix(2) + b"\x0e\x08figs")
    with SchemaRegistry(server.url) as registry:
        assert await parsed(registry, record) == {"order": {"id": 7, "item": "figs"}}


async def test_an_unknown_id_is_a_parse_error(server: RegistryServer) -> None:
    server.schemas.clear()
    with SchemaRegistry(server.url) as registry:
        for _ in range(3):
            with pytest.raises(SchemaUnknown):
                await parsed(registry)
    assert len(server.requests) == 1


async def test_an_impossible_id_is_a_parse_error(server: RegistryServer) -> None:
    server.status = 404  # as a registry answers whose numbers are ints of Java
    with SchemaRegistry(server.url) as registry, pytest.raises(SchemaUnknown), anyio.fail_after(5):
        await parsed(registry, FakeRecord(b"\0\xff\xff\xff\xffgarbage"))
    assert not server.requests


TROUBLE = [
    (500, b"", {}, "it answers HTTP 500"),
    (429, b"", {}, "it answers HTTP 429"),
    (404, b"<html>no such page", {}, "it answers HTTP 404: is the url right"),
    (401, b"{}", {}, r"it refuses this client \(HTTP 401\): are the credentials right"),
    (200, b"", {}, "schema registry away"),
    (200, b"no JSON", {}, "schema registry away"),
    (200, b"[1, 2]", {}, "schema registry away"),
    (200, b'{"schema": 7}', {}, "schema registry away"),
    (200, b"[" * 100_000, {}, "schema registry away"),
    (302, b"", {"location": "http://127.0.0.1:1/"}, "it answers HTTP 302"),
    (200, gzip.compress(b" " * 10**6), {"content-encoding": "gzip"}, "compressed bytes"),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "text"), TROUBLE, ids=[str(n) for n in range(len(TROUBLE))]
)
async def test_trouble_holds_the_record_until_it_is_over(
    server: RegistryServer, status: int, body: bytes, headers: dict[str, str], text: str
) -> None:
    server.status, server.body, server.headers = status, body, headers
    with SchemaRegistry(server.url) as registry:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parsed, registry)
            await until(lambda: len(server.requests) > 1)
            assert re.search(text, why(registry))
            server.status, server.body, server.headers = 200, None, {}
        assert await parsed(registry) == ORDER


async def test_a_huge_answer_is_not_read(server: RegistryServer) -> None:
    server.body = b'{"schema": "' + b"x" * 1_000_000 + b'"}'
    with SchemaRegistry(server.url, max_schema_bytes=1000) as registry:
        with pytest.raises(SchemaRefused, match="answer has more than 12000 bytes"):
            await parsed(registry)
        server.body = b'{"schema": "' + b"x" * 1500 + b'"}'
        with pytest.raises(SchemaRefused, match="more than 1000 bytes"):
            await parsed(registry, FakeRecord(number_prefix(2)))


async def test_what_a_schema_refers_to_is_bounded_with_it(server: RegistryServer) -> None:
    references = [{"name": name, "subject": name, "version": 1} for name in "ab"]
    server.schemas["/schemas/ids/2"] = {"schema": '"a"', "references": references}
    for name in "ab":
        found = {"subject": name, "version": 1, "id": 3, "schema": "x" * 600}
        server.schemas[f"/subjects/{name}/versions/1"] = found
    refused = pytest.raises(SchemaRefused, match="1000 bytes, with all that it refers to")
    with SchemaRegistry(server.url, max_schema_bytes=1000) as registry, refused:
        await parsed(registry, FakeRecord(number_prefix(2)))


async def test_a_registry_that_knows_no_guids(server: RegistryServer) -> None:
    server.status, server.body = 404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'
    header = HEADERS["value"], guid_prefix(UUID(int=7))
    record: Any = FakeRecord(b"{}", [header])
    with SchemaRegistry(server.url) as registry:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parsed, registry, record)
            await until(lambda: "away" in why(registry, record))
            assert "does the registry know GUIDs?" in why(registry, record)
            tasks.cancel_scope.cancel()


async def test_the_second_address_is_asked_in_time(server: RegistryServer) -> None:
    with registry_server() as silent, anyio.fail_after(20):
        silent.go_on.clear()
        addresses = f"{silent.url},{server.url}"
        with SchemaRegistry(addresses, timeout_s=1.0) as registry:
            assert await parsed(registry) == ORDER


async def test_requests_that_nobody_waits_for_are_few(server: RegistryServer) -> None:
    server.go_on.clear()
    with SchemaRegistry(server.url) as registry:
        for number in range(1, 2 * MAX_THREADS):
            record: Any = FakeRecord(number_prefix(number))
            with anyio.move_on_after(0.1):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(parsed, registry, record)
                    if number <= MAX_THREADS:
                        with anyio.CancelScope(shield=True):
                            await until(lambda number=number: len(server.requests) == number)  # type: ignore[misc]
        assert len(server.requests) == MAX_THREADS
        server.go_on.set()
        assert await parsed(registry) == ORDER


async def test_requests_at_once_share_no_memory(server: RegistryServer) -> None:
    server.add(2, ORDER_JSON)
    server.go_on.clear()
    with SchemaRegistry(server.url) as registry:
        clients: Any = registry._client._clients  # type: ignore[attr-defined]
        async with anyio.create_task_group() as tasks:
            for number in (1, 2):
                value = b'{"id": 1, "item": "figs"}'
                tasks.start_soon(parsed, registry, FakeRecord(number_prefix(number) + value))
            await until(lambda: len(server.requests) == 2)
            first, second = clients.busy
            assert first is not second
            server.go_on.set()
        assert not clients.busy
        assert len(clients.free) == 2


async def test_a_registry_that_was_closed_says_so(server: RegistryServer) -> None:
    with SchemaRegistry(server.url) as registry:
        pass
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parsed, registry)
        await until(lambda: "away" in why(registry))
        assert why(registry) == "schema registry away: this SchemaRegistry was closed"
        tasks.cancel_scope.cancel()


async def test_a_slow_one_holds_up_nobody_else(server: RegistryServer) -> None:
    server.go_on.clear()
    with SchemaRegistry(server.url, timeout_s=0.2) as registry:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parsed, registry)
            await until(lambda: len(server.requests) > 1)
            assert why(registry) == "schema registry away: no answer within 0.2 s"
            server.go_on.set()
        assert await parsed(registry) == ORDER


async def test_a_fork_uses_no_connection_of_its_parent(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(2, ORDER_JSON)
    server.add(3, ORDER_JSON)
    with SchemaRegistry(server.url) as registry:
        for number in (1, 2):
            await parsed(registry, FakeRecord(number_prefix(number) + b'{"id": 1, "item": "figs"}'))
        assert len(server.ports) == 1
        monkeypatch.setattr(confluent_client, "getpid", lambda: -1)
        await parsed(registry, FakeRecord(number_prefix(3) + b'{"id": 1, "item": "figs"}'))
        assert len(server.ports) == 2
        for of_parent in registry._client._of_parents:  # type: ignore[attr-defined]
            of_parent.free.pop().close()


async def test_an_answer_that_trickles_in_keeps_no_thread(server: RegistryServer) -> None:
    server.body, server.pause_s = b" " * 3000, 0.02  # a minute, in which something always comes
    with SchemaRegistry(server.url, timeout_s=0.2) as registry:
        with anyio.move_on_after(0.1):
            await parsed(registry)
        await until(lambda: server.hung_up > 0, 1.0 + BUSY_S)
    server.pause_s = 0.0


async def test_a_wait_that_is_cancelled_ends_at_once(server: RegistryServer) -> None:
    server.go_on.clear()
    with SchemaRegistry(server.url) as registry:
        began = anyio.current_time()
        with anyio.move_on_after(0.2):
            await parsed(registry)
        assert anyio.current_time() - began < 0.2 + BUSY_S
        server.go_on.set()
        assert await parsed(registry) == ORDER


async def test_one_that_comes_up_later() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with SchemaRegistry(f"http://127.0.0.1:{port}") as registry:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parsed, registry)
            await until(lambda: "away" in why(registry))
            assert why(registry) == "schema registry away: Connection refused"
            with registry_server(port) as server:
                server.add(1, ORDER_JSON)
                assert await parsed(registry) == ORDER


async def test_credentials_are_used_and_not_shown(server: RegistryServer) -> None:
    server.status = 500
    url = server.url.replace("http://", "http://user:s3cret@")
    with SchemaRegistry(url) as registry:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parsed, registry)
            await until(lambda: len(server.requests) > 1)
            assert "s3cret" not in repr(registry) + why(registry)
            assert server.url in repr(registry)
            tasks.cancel_scope.cancel()
    assert server.authorization == "Basic dXNlcjpzM2NyZXQ="


async def test_a_version_that_comes_meanwhile_is_not_mixed_up(server: RegistryServer) -> None:
    latest = {"subject": "bills", "version": 1, "id": 3, "schemaType": "PROTOBUF", "schema": "..."}
    server.schemas["/subjects/bills/versions/latest"] = latest
    server.add(3, protobuf.schema_of(BILL).text, "PROTOBUF")
    with SchemaRegistry(server.url) as registry:
        await registry.serializer("bills").prepare()
    assert server.requests[-1] == "/schemas/ids/3?format=serialized"  # of that id, not the latest


def test_no_address_keeps_credentials() -> None:
    with SchemaRegistry("http://user:s3,cret@one:1, http://user:s3,cret@two:2") as registry:
        assert repr(registry) == "SchemaRegistry('http://one:1,http://two:2')"
        rest: Any = registry._client._clients.free[0]._rest_client  # type: ignore[attr-defined]
        assert rest.base_urls == ["http://one:1", "http://two:2"]
        assert rest.auth == ("user", "s3,cret")
    with pytest.raises(ConfigurationError, match="different credentials") as caught:
        SchemaRegistry("http://user:s3cret@one:1,http://user:other@two:2")
    assert "s3cret" not in str(caught.value)
