"""A member of a group in a process of its own, to be killed or frozen by a test."""

import json
import signal
import sys

import anyio

from sdml_kafka import KafkaListener
from tests.support.listener_on_broker import texts


async def main(bootstrap: str, topic: str, group: str, slow: bool) -> None:
    async with anyio.create_task_group() as tasks:

        async def end_on_sigterm() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(end_on_sigterm)
        async with KafkaListener(
            texts(topic),
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            session_timeout_ms=6000,
            heartbeat_interval_ms=300,
            auto_commit={"every": 10_000 if slow else 1},
        ) as listener:
            async for value in await listener.subscribe(str):
                print(json.dumps(value), flush=True)
                await anyio.sleep(0.2 if slow else 0.0)


if __name__ == "__main__":
    bootstrap, topic, group = sys.argv[1:4]
    anyio.run(main, bootstrap, topic, group, "--slow" in sys.argv)
