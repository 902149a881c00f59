"""`sdml-kafka serve` with real programs, on the broker in memory."""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field

from sdml_kafka import CallTimeout, KafkaRPC, KafkaRPCServer, ParserSpec, RemoteError, parse_bytes
from sdml_kafka.cli.serve.arguments import ServeOptions
from sdml_kafka.cli.serve.command import ServeRun
from sdml_kafka.cli.serve.guard_process import GuardProcess
from sdml_kafka.cli.serve.programs import Program
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.processes import first_pid, is_alive, shell, until_gone
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

TIMEOUT_S = 20.0
REPLY: ParserSpec[bytes] = {"topics": ["reply"], "type": bytes, "parser": parse_bytes}


@define
class Server:
    code: int | None = None
    ended: anyio.Event = field(factory=anyio.Event)


@asynccontextmanager
async def serving(
    broker: MemoryBroker,
    guard: GuardProcess,
    *command: str,
    maximum: int | None = None,
    timeout_s: float = 30.0,
    **options: Any,
) -> AsyncGenerator[Server]:
    """Serve while the body runs; a server that has not ended by then is cancelled."""
    server = KafkaRPCServer(
        transport=Transport(
            broker.connect("server", auto_offset_reset="earliest"), broker.connect_producer()
        ),
        group_id="server",
        **options,
    )
    given = ServeOptions("request", "-", "server", 1, timeout_s, maximum, "asyncio", command)
    state = Server()

    async def serve() -> None:
        state.code = await ServeRun(given, Program(command, guard), server).run()
        state.ended.set()

    with anyio.fail_after(TIMEOUT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            yield state
            tasks.cancel_scope.cancel()


def new_broker() -> MemoryBroker:
    return MemoryBroker({"request": 1, "reply": 1})


def client_of(broker: MemoryBroker) -> KafkaRPC:
    transport = Transport(broker.connect("client"), broker.connect_producer())
    return KafkaRPC([REPLY], transport=transport)


async def ask(rpc: KafkaRPC, value: bytes, **options: Any) -> bytes:
    reply: bytes = await rpc.request("request", value, res_expect_type=bytes, **options)
    return reply


async def test_the_reply_is_what_the_program_writes(guard: GuardProcess) -> None:
    broker = new_broker()
    script = 'read x; printf "%s|" "$x" "$SDML_KAFKA_ID" "$SDML_KAFKA_KEY" "$SDML_KAFKA_HEADERS"'
    async with serving(broker, guard, *shell(script)), client_of(broker) as rpc:
        reply = await ask(
            rpc, b"hi\n", req_key=b"\x00k", correlation_id=b"id\xff", req_headers={"lang": "en"}
        )
    value, id_, key, headers, _ = reply.split(b"|")
    assert (value, id_, key) == (b"hi", b"id%FF", b"%00k")
    assert b"lang=en" in headers.split(b"&")


async def test_the_program_finds_the_time_that_is_left(guard: GuardProcess) -> None:
    broker = new_broker()
    command = shell('printf %s "$SDML_KAFKA_TIMEOUT_MS"')
    async with serving(broker, guard, *command), client_of(broker) as rpc:
        assert 0 < int(await ask(rpc, b"", res_timeout=10.0)) <= 10_000


@pytest.mark.parametrize(
    ("script", "timeout_s", "status", "text"),
    [
        ("echo no reply; exit 3", 30.0, "internal", "exit code 3"),
        ("kill -9 $$", 30.0, "internal", "ended by signal 9"),
        ("yes", 30.0, "internal", "the reply has more than 1,000,000 bytes"),
        ("sleep 60", 0.5, "deadline_exceeded", "the program ran for more than 0.5 s"),
    ],
)
async def test_a_program_that_fails_gives_an_error(
    script: str, timeout_s: float, status: str, text: str, guard: GuardProcess
) -> None:
    broker = new_broker()
    async with (
        serving(broker, guard, *shell(script), timeout_s=timeout_s),
        client_of(broker) as rpc,
    ):
        with pytest.raises(RemoteError) as error:
            await ask(rpc, b"")
    assert (error.value.status, error.value.text) == (status, text)


async def test_a_program_that_cannot_be_started_gives_an_error(
    guard: GuardProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = new_broker()
    async with serving(broker, guard, "/no/such/program"), client_of(broker) as rpc:
        with pytest.raises(RemoteError) as error:
            await ask(rpc, b"")
    assert error.value.text == "the program cannot be started"
    assert "/no/such/program" in capsys.readouterr().err


async def test_a_program_is_ended_at_the_deadline_of_its_call(
    guard: GuardProcess, tmp_path: Path
) -> None:
    broker = new_broker()
    command = shell(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    async with serving(broker, guard, *command), client_of(broker) as rpc:
        for timeout_s in (1.0, 10.0):
            with pytest.raises((CallTimeout, RemoteError)):  # whichever of the two is first
                await ask(rpc, b"", res_timeout=timeout_s)
            if (tmp_path / "pid").exists():  # it has begun in time
                break
        pid = await first_pid(tmp_path)
        await until_gone(pid)


async def test_max_answers_so_many_and_the_next_server_goes_on(guard: GuardProcess) -> None:
    broker, replies = new_broker(), list[bytes]()
    async with client_of(broker) as rpc, anyio.create_task_group() as tasks:

        async def ask_and_note(number: int) -> None:
            replies.append(await ask(rpc, b"%d" % number))

        for number in range(7):
            tasks.start_soon(ask_and_note, number)
        async with serving(broker, guard, "cat", maximum=3, concurrency=3) as first:
            await first.ended.wait()
            assert first.code == 0
        await until(lambda: len(replies) == 3)  # a reply that is sent is not read yet
        async with serving(broker, guard, "cat", maximum=4, concurrency=1) as second:
            await second.ended.wait()
            assert second.code == 0
    assert sorted(replies) == [b"%d" % number for number in range(7)]


async def test_a_signal_lets_running_programs_end(guard: GuardProcess, tmp_path: Path) -> None:
    broker, replies = new_broker(), list[bytes]()
    wait = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    command = shell(f"echo $$ > {tmp_path}/pid; {wait}; echo late")
    async with client_of(broker) as rpc, serving(broker, guard, *command) as server:
        async with anyio.create_task_group() as tasks:

            async def ask_and_note() -> None:
                replies.append(await ask(rpc, b""))

            tasks.start_soon(ask_and_note)
            await first_pid(tmp_path)
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.wait_all_tasks_blocked()
            (tmp_path / "go").touch()
        await server.ended.wait()
    assert (replies, server.code) == ([b"late\n"], 0)


async def test_programs_that_do_not_end_in_time_are_ended(
    guard: GuardProcess, tmp_path: Path
) -> None:
    broker = new_broker()
    command = shell(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    async with (
        client_of(broker) as rpc,
        serving(broker, guard, *command, drain_timeout=0.2) as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask, rpc, b"")
        pid = await first_pid(tmp_path)
        os.kill(os.getpid(), signal.SIGINT)
        await server.ended.wait()
        assert not is_alive(pid)
        assert server.code == 0
        tasks.cancel_scope.cancel()  # the call is left to the next server
