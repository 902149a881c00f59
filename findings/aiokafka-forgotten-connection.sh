#!/usr/bin/env bash
# aiokafka 0.14.0: a connection that the broker has ended, and that somebody asks for before its reader task had its
# turn, is forgotten without being closed. A request that waits for its answer there does not fail at once, as it
# does otherwise, but when request_timeout_ms is over (here 2 s, by default 40), and its time-out then closes the connection
# that has replaced the broken one. asyncio warns of the socket, which nobody closes.
#
# A server of its own takes a request and ends the connection. A busy program, which asks for the connection in each turn
# of the loop, stands for a producer or consumer that has much to send.
#
# Seen: idle: KafkaConnectionError at once; busy: RequestTimedOutError after the time-out, the new connection is closed,
# and there is a ResourceWarning
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
    """A Kafka of one broker that says which versions it has and where it is."""

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
        broker = struct.pack(">iih", 1, 0, len(host)) + host + struct.pack(">ih", self.port, -1)
        return broker + struct.pack(">ii", 0, 0)  # it is the controller, and there are no topics


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
    client = AIOKafkaClient(
        bootstrap_servers=f"127.0.0.1:{server.port}", request_timeout_ms=int(TIMEOUT_S * 1000)
    )
    await client.bootstrap()
    await client.ready(0)
    server.ends_next = True
    asked = asyncio.create_task(ask(client))
    await asyncio.sleep(0)
    if not busy:
        error, took_s = await asked
        await client.close()
        return error, took_s, False
    keeper = asyncio.create_task(keep_asking(client))
    await asyncio.sleep(TIMEOUT_S / 4)
    keeper.cancel()
    (replacement,) = client._conns.values()
    is_fine_before = replacement.connected()
    error, took_s = await asked
    is_closed = is_fine_before and not replacement.connected()
    await client.close()
    return error, took_s, is_closed


async def main():
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        seen = []
        for busy in (False, True):
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                error, took_s, is_closed = await run(server, busy)
                gc.collect()
            has_warned = any(each.category is ResourceWarning for each in warned)
            print(
                f"{'busy' if busy else 'idle'}: {error} after {took_s:.1f} s, new connection closed: "
                f"{is_closed}, ResourceWarning: {has_warned}"
            )
            seen.append((error, took_s >= TIMEOUT_S * 0.9, is_closed, has_warned))
    return seen == [
        ("KafkaConnectionError", False, False, False),
        ("RequestTimedOutError", True, True, True),
    ]


sys.exit(not asyncio.run(asyncio.wait_for(main(), 30)))
PYTHON
