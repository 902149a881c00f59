#!/usr/bin/env bash
# aiokafka 0.14.0: a connection that the broker has ended, and that somebody asks for before its reader task had its turn,
# is dropped without being closed if the broker is not in the metadata any more, as when it has left the cluster. The
# requests that wait for its answers do not fail at once, as they do otherwise, but only when request_timeout_ms
# is over (here 2 s, by default 40), and then with a KeyError instead of RequestTimedOutError. asyncio warns of the
# socket that nobody closes.
#
# A small server plays a broker that ends a connection instead of answering. A busy program, which asks for the connection
# in each turn of the loop, stands for one that has much to send.
#
# Seen: idle: KafkaConnectionError at once; busy: KeyError after the time-out, and a ResourceWarning
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "aiokafka==0.14.0"
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import gc
import logging
import struct
import sys
import time
import warnings

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.metadata import MetadataRequest

logging.disable()
TIMEOUT_S = 2.0
API_VERSIONS, METADATA = 18, 3


class Server:
    """A cluster of one broker, whose number changes as if another had taken its place."""

    node = 0
    ends_next = False

    async def serve(self, reader, writer):
        try:
            while True:
                (length,) = struct.unpack(">i", await reader.readexactly(4))
                api, _, correlation = struct.unpack(">hhi", (await reader.readexactly(length))[:8])
                if api == METADATA and self.ends_next:
                    self.ends_next = False
                    break
                answer = struct.pack(">i", correlation) + self.answer(api)
                writer.write(struct.pack(">i", len(answer)) + answer)
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    def answer(self, api):
        if api == API_VERSIONS:
            return struct.pack(">hi hhh hhh", 0, 2, API_VERSIONS, 0, 0, METADATA, 1, 1)
        host = b"127.0.0.1"
        broker = struct.pack(">iih", 1, self.node, len(host)) + host
        rest = struct.pack(">ih ii", self.port, -1, self.node, 0)  # no rack, the controller, no topics
        return broker + rest


async def ask(client):
    begun = time.monotonic()
    try:
        await client.send(0, MetadataRequest([]))
    except Exception as error:
        return type(error).__name__, time.monotonic() - begun


async def keep_asking(client):
    while True:
        await client.ready(0)
        await asyncio.sleep(0)


async def run(server, busy):
    server.node = 0
    client = AIOKafkaClient(
        bootstrap_servers=f"127.0.0.1:{server.port}", request_timeout_ms=int(TIMEOUT_S * 1000)
    )
    await client.bootstrap()
    await client.ready(0)
    server.node = 1
    await client.force_metadata_update()  # broker 0 has left, and its connection is open still
    server.ends_next = True
    asked = asyncio.create_task(ask(client))
    keeper = asyncio.create_task(keep_asking(client)) if busy else None
    error, took_s = await asked
    if keeper is not None:
        keeper.cancel()
    await client.close()
    return error, took_s


async def main():
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        seen = []
        for busy in (False, True):
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                error, took_s = await run(server, busy)
                gc.collect()
            has_warned = any(each.category is ResourceWarning for each in warned)
            print(
                f"{'busy' if busy else 'idle'}: {error} after {took_s:.1f} s, "
                f"ResourceWarning: {has_warned}"
            )
            seen.append((error, took_s >= TIMEOUT_S * 0.9, has_warned))
    return seen == [("KafkaConnectionError", False, False), ("KeyError", True, True)]


sys.exit(not asyncio.run(asyncio.wait_for(main(), 30)))
PYTHON
