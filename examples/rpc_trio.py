"""Take several replies to one request, on trio, parsed to the type that the caller asks for.

    uv run python examples/rpc_trio.py [bootstrap]

The client shares its reply topic with others; with `own_partition` it fetches one partition only.
"""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import asdict, dataclass

import trio

from sdml_kafka import Call, KafkaRPC, KafkaRPCServer, ParserSpec, Record


@dataclass(frozen=True)
class Chapter:
    number: int
    title: str


def parse_chapter(record: Record) -> Chapter:
    return Chapter(**json.loads(record.value or b""))


def serialize(chapter: Chapter) -> bytes:
    return json.dumps(asdict(chapter)).encode()


CHAPTERS: ParserSpec[Chapter] = {
    "topics": ["chapters"],
    "type": Chapter,
    "parser": parse_chapter,
}


def make_server(bootstrap: str) -> KafkaRPCServer:
    server = KafkaRPCServer(bootstrap_servers=bootstrap, group_id="book-servers")

    @server.handler("books", serializer=serialize)
    async def read_aloud(title: bytes, call: Call) -> AsyncGenerator[Chapter]:
        try:
            for number in range(1, 1000):
                await trio.sleep(0.05)
                yield Chapter(number, f"{title.decode()}, part {number}")
        finally:
            print("the server stops reading", flush=True)

    return server


async def main(bootstrap: str) -> None:
    async with (
        make_server(bootstrap),
        KafkaRPC([CHAPTERS], bootstrap_servers=bootstrap, own_partition=True) as rpc,
        # Leaving the stream early notifies the server, which ends the handler.
        rpc.stream("books", b"Moby Dick", res_expect_type=Chapter) as chapters,
    ):
        async for chapter in chapters:
            print(f"{chapter.number}. {chapter.title}", flush=True)
            if chapter.number == 3:
                break


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092")
