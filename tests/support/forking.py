"""Programs that fork: `python -m tests.support.forking PROGRAM BACKEND`, one JSON line a child.

They have processes of their own, since pytest's must not fork with its threads.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread

from sdml_kafka import KafkaListener, KafkaRPC, KafkaRPCServer, parse_bytes
from sdml_kafka.testing import MemoryBroker, Transport
from tests.support.clients import arguments

WORKERS = 3
CALLS = 100
PATIENCE_S = 60.0

Check = Callable[[], Awaitable[Any]]


def run_forking(program: str, backend: str, *arguments: str) -> list[Any]:
    """Return what the children of a program report, in their order."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.forking", program, backend]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def in_child(backend: str, check: Check) -> None:
    """Fork, let the child write what `check` returns, and wait for it."""
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        code = 1
        try:
            found = anyio.run(check, backend=backend)
            os.write(1, json.dumps(found).encode() + b"\n")
            code = 0
        except BaseException as error:  # pytest shows what the child says
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        os._exit(1)


# -- made before the fork, entered after it --------------------------------------------------


def new_broker() -> MemoryBroker:
    return MemoryBroker({"request": 1, "reply": 100_000})


def transport_on(broker: MemoryBroker) -> Transport:
    return Transport(broker.connect("mine"), broker.connect_producer())


async def identity_of(rpc: KafkaRPC, broker: MemoryBroker) -> list[str]:
    """Enter the client, and return what makes it unique."""
    async with rpc:
        await rpc.notify("request", b"")
        (request,) = broker.records(("request", 0))  # type: ignore[arg-type]  # a plain tuple will do
        (place,) = rpc.status().reply_partitions
        return [str(dict(request.headers)["request_id"]), str(place)]


def made_with_own_topic(backend: str) -> None:
    broker = MemoryBroker({"request": 1})
    rpc = KafkaRPC(transport=transport_on(broker))
    for _ in range(WORKERS):
        in_child(backend, lambda: identity_of(rpc, broker))


def made_with_own_partition(backend: str) -> None:
    broker = new_broker()
    rpc = KafkaRPC(reply_topic="reply", own_partition=True, transport=transport_on(broker))
    for _ in range(WORKERS):
        in_child(backend, lambda: identity_of(rpc, broker))


# -- entered before the fork -----------------------------------------------------------------


async def said_by(*calls: Callable[[], Any]) -> list[str]:
    """Return the name of each call's error, or what it returned."""
    said: list[str] = []
    for call in calls:
        try:
            with anyio.fail_after(5):
                found = call()
                if isinstance(found, Awaitable):
                    found = await found
            said.append(repr(found))
        except Exception as error:
            said.append(type(error).__name__)
            if "fork" not in str(error):
                raise
    return said


async def entered_client(backend: str) -> None:
    broker = MemoryBroker({"request": 1})
    async with KafkaRPC(transport=transport_on(broker)) as rpc:
        stream = rpc.stream("request", b"")
        with anyio.move_on_after(0.1):
            await anext(stream)
        begun = rpc.stream("request", b"", res_timeout=None)

        async def begin() -> None:
            async for _ in begun:
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(begin)
            await anyio.sleep(0.1)

            def check() -> Awaitable[list[str]]:
                return said_by(
                    lambda: rpc.request("request", b""),
                    lambda: rpc.notify("request", b""),
                    lambda: anext(rpc.stream("request", b"")),
                    rpc.status,
                    rpc.start,
                    rpc.stop,
                    rpc.__aenter__,
                )

            await anyio.to_thread.run_sync(in_child, backend, check)
            tasks.cancel_scope.cancel()
        assert rpc.status().connected  # the parent's goes on


async def entered_listener(backend: str) -> None:
    broker = MemoryBroker({"topic": 1})
    spec: Any = {"topics": ["topic"], "type": bytes, "parser": parse_bytes}
    async with KafkaListener([spec], transport=broker.connect("mine")) as listener:
        stream = await listener.subscribe(bytes)
        loop = aiter(stream)
        for number in range(100):
            broker.produce("topic", b"%d" % number)
        for _ in range(50):
            await anext(loop)

        def check() -> Awaitable[list[str]]:
            return said_by(
                lambda: listener.subscribe(bytes),
                lambda: anext(loop),
                lambda: anext(aiter(stream)),
                lambda: anext(stream),
                listener.commit,
                listener.status,
                listener.assigned_table,
                listener.start,
                listener.stop,
                listener.__aenter__,
            )

        await anyio.to_thread.run_sync(in_child, backend, check)
        assert await anext(loop) == b"50"  # the parent's goes on


async def entered_server(backend: str) -> None:
    broker = MemoryBroker({"request": 1})
    server = KafkaRPCServer(transport=transport_on(broker))
    server.handler("request")(lambda value, call: value)
    async with server:

        def check() -> Awaitable[list[str]]:
            return said_by(
                lambda: server.handler("other"),
                server.serve_forever,
                server.status,
                server.start,
                server.stop,
                server.__aenter__,
            )

        await anyio.to_thread.run_sync(in_child, backend, check)
        assert server.status().connected


def left_before(backend: str) -> None:
    """Report the error of a client that was left before the fork, and so is left in the child."""
    rpc = KafkaRPC(transport=transport_on(MemoryBroker({"request": 1})))

    async def leave() -> None:
        async with rpc:
            pass

    async def check() -> str:
        try:
            await rpc.__aenter__()
        except Exception as error:
            return type(error).__name__
        return "entered"

    anyio.run(leave, backend=backend)
    in_child(backend, check)


def by_multiprocessing(backend: str) -> None:
    broker = new_broker()
    rpc = KafkaRPC(reply_topic="reply", own_partition=True, transport=transport_on(broker))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def work() -> None:
        async def check() -> None:
            queue.put(await identity_of(rpc, broker))

        anyio.run(check, backend=backend)

    workers = [context.Process(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        print(json.dumps(queue.get()))
        worker.join()


def calling(backend: str, bootstrap_servers: str, request_topic: str, reply_topic: str) -> None:
    """Make calls in workers that are forked as gunicorn does with `--preload`, side by side."""
    rpc = KafkaRPC(bootstrap_servers=bootstrap_servers, reply_topic=reply_topic, **arguments())

    async def check() -> list[str]:
        wrong: list[str] = []

        async def call(value: bytes) -> None:
            reply = await rpc.request(request_topic, value)
            if reply != value[::-1]:
                wrong.append(f"{value!r}: {reply!r}")

        async with rpc, anyio.create_task_group() as tasks:
            for number in range(CALLS):
                tasks.start_soon(call, b"%d-%d" % (os.getpid(), number))
        return wrong

    children: list[int] = []
    for _ in range(WORKERS):
        if not (child := os.fork()):
            in_child(backend, check)
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("a worker failed")


if __name__ == "__main__":
    _, name, chosen, *rest = sys.argv
    run: Callable[..., Any] = globals()[name]
    if name.startswith("entered"):
        anyio.run(run, chosen, backend=chosen)
    else:
        run(chosen, *rest)
