"""A server in a process of its own, which a test kills.

The server writes down each execution before its answer. SIGTERM makes it leave by plan.
"""

import os
import signal
import sys
from itertools import count

import anyio

from sdml_kafka import Call, KafkaRPCServer
from tests.support.backends import BACKENDS
from tests.support.clients import arguments

WORK_S = 0.05


def answer_to(value: bytes, execution: str) -> bytes:
    """Return a value that depends on the request and on the server."""
    return b"%s of %s" % (execution.encode(), value[::-1])


async def main(
    bootstrap: str, topic: str, group: str, executed: str, session_ms: str, name: str
) -> None:
    numbers = count(1)
    # Each write is a line that is there whole or not at all, also after a SIGKILL.
    log = os.open(executed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    timing = {"session_timeout_ms": int(session_ms), "heartbeat_interval_ms": 300}
    server = KafkaRPCServer(bootstrap_servers=bootstrap, group_id=group, **arguments(**timing))

    @server.handler(topic)
    async def answer(value: bytes, call: Call) -> bytes:
        execution = f"{name}-{next(numbers)}"
        os.write(log, b"%s %s %s\n" % (value, execution.encode(), call.id or b""))
        await anyio.sleep(WORK_S)
        return answer_to(value, execution)

    async with anyio.create_task_group() as tasks:

        async def leave_on_sigterm() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(leave_on_sigterm)
        async with server:
            print("ready", flush=True)
            await anyio.sleep_forever()


if __name__ == "__main__":
    backend, bootstrap, topic, group, executed, session_ms, name = sys.argv[1:]
    where = bootstrap, topic, group
    anyio.run(main, *where, executed, session_ms, name, **BACKENDS[backend])
