"""`sdml-kafka request` on the broker in memory."""

import os
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, KafkaRPC, KafkaRPCServer, RemoteError
from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.request import command as module
from sdml_kafka.cli.request.arguments import RequestOptions
from sdml_kafka.cli.request.command import RequestCall
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

ECHO, STRANGE, LATE, SEVERAL, ENDLESS = "echo", "strange", "late", "several", "endless"
STUBBORN = "stubborn"


class World:
    """A server with some handlers, and a client that makes one request to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        topics = dict.fromkeys((ECHO, STRANGE, LATE, SEVERAL, ENDLESS, STUBBORN), 1)
        self._broker = MemoryBroker(topics)
        self.has_stopped = anyio.Event()
        monkeypatch.setattr(module, "KafkaRPC", self._client)

    def _client(self, *, bootstrap_servers: str, client_id: str, **options: Any) -> KafkaRPC:
        return KafkaRPC(transport=self._transport("client"), **options)

    def _transport(self, group: str) -> Transport:
        return Transport(self._broker.connect(group), self._broker.connect_producer())

    async def ask(self, *argv: str) -> tuple[int, bytes]:
        """Make the request and return the exit code and what was written."""
        options = parse_arguments(["request", "--bootstrap", "a:1", *argv])
        assert isinstance(options, RequestOptions)
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as shown, os.fdopen(writing, "wb"):
            async with self._server():
                call = RequestCall(options, options.value or b"", Output(writing))
                code = await call.run()
                os.write(writing, b"|")  # or reading might wait
            return code, os.read(shown.fileno(), 10_000).removesuffix(b"|")

    async def ask_and_close(self, *argv: str) -> int:
        """Close the pipe after the first reply, and return the exit code."""
        options = parse_arguments(["request", "--bootstrap", "a:1", *argv])
        assert isinstance(options, RequestOptions)
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb"):
            async with self._server(), anyio.create_task_group() as tasks:

                async def read_and_close() -> None:
                    await anyio.wait_readable(reading)
                    os.close(reading)

                tasks.start_soon(read_and_close)
                code = await RequestCall(options, b"", Output(writing)).run()
                await self.has_stopped.wait()
        return code

    def _server(self) -> KafkaRPCServer:
        server = KafkaRPCServer(transport=self._transport("server"))

        @server.handler(ECHO)
        async def echo(value: bytes, call: Call) -> bytes:
            return value

        @server.handler(STRANGE)
        async def strange(value: bytes, call: Call) -> bytes:
            raise RemoteError("own-status", "\x1b[31mred\nsecond line")

        @server.handler(LATE)
        async def late(value: bytes, call: Call) -> bytes:
            await anyio.sleep_forever()
            return b""

        @server.handler(SEVERAL)
        async def several(value: bytes, call: Call) -> AsyncGenerator[bytes]:
            yield b"one"
            yield b"two"
            raise RemoteError("own-status", "broken")

        @server.handler(STUBBORN)
        async def stubborn(value: bytes, call: Call) -> AsyncGenerator[bytes]:
            yield b"one"
            yield b"two"
            with anyio.CancelScope(shield=True):  # so that the client notices its deadline first
                await anyio.sleep(1.5)

        @server.handler(ENDLESS)
        async def endless(value: bytes, call: Call) -> AsyncGenerator[bytes]:
            try:
                while True:
                    yield b"again"
                    await anyio.sleep(0.01)
            finally:
                self.has_stopped.set()

        return server


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_a_reply_is_written_byte_for_byte(world: World) -> None:
    assert await world.ask(ECHO, "a\udcff\x1b\n") == (0, b"a\xff\x1b\n")


@pytest.mark.parametrize("dialect", ["native", "spring", "nestjs"])
async def test_the_server_may_speak_another_dialect(world: World, dialect: str) -> None:
    assert await world.ask(ECHO, "figs", "--dialect", dialect) == (0, b"figs")
    assert (await world.ask(STRANGE, "", "--dialect", dialect))[0] == 4


async def test_a_dialect_without_streams_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await world.ask(SEVERAL, "", "--stream", "--dialect", "spring") == (2, b"")
    assert "one reply" in capsys.readouterr().err


async def test_a_strangers_error_is_one_line_and_acts_on_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await world.ask(STRANGE, "") == (4, b"")
    assert capsys.readouterr().err == (
        "sdml-kafka: request: the server answered own-status: \\x1b[31mred\\nsecond line\n"
    )


async def test_no_reply_in_time(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert await world.ask(LATE, "", "--timeout", "1") == (3, b"")
    assert capsys.readouterr().err.count("\n") == 1


async def test_a_stream_that_does_not_end_in_time(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await world.ask(STUBBORN, "", "--stream", "--timeout", "1") == (3, b"one\ntwo\n")
    said = "sdml-kafka: request: the stream did not end within 1 s; 2 replies came\n"
    assert capsys.readouterr().err == said


async def test_several_replies_and_an_error_after_them(world: World) -> None:
    assert await world.ask(SEVERAL, "", "--stream") == (4, b"one\ntwo\n")


async def test_one_reply_may_be_read_as_a_stream(world: World) -> None:
    assert await world.ask(ECHO, "hi", "--stream") == (0, b"hi\n")


async def test_several_replies_where_one_was_asked_for_are_an_error_that_says_what_to_do(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await world.ask(SEVERAL, "") == (1, b"")
    assert "stream" in capsys.readouterr().err


async def test_a_closed_pipe_ends_a_stream_and_its_server_is_notified(world: World) -> None:
    with anyio.fail_after(20):
        assert await world.ask_and_close(ENDLESS, "", "--stream") == 0


async def test_a_topic_that_is_missing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert await world.ask("nowhere", "") == (1, b"")
    assert "nowhere" in capsys.readouterr().err


async def test_a_header_that_means_something_else(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await world.ask(ECHO, "", "--header", "x-timeout-ms=1") == (2, b"")
    assert capsys.readouterr().err.count("\n") == 1
