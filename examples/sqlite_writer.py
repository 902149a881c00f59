"""Write orders into SQLite, each exactly once, however often the program is killed.

    uv run python examples/sqlite_writer.py [bootstrap] [database]

The offsets are kept beside the rows, and one transaction writes both. A partition that is assigned
is read from the offset in the database, and what Kafka has committed decides nothing. Started
twice, the two share the work.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any

import anyio

from sdml_kafka import Batch, Delivery, KafkaListener, ParserSpec, TopicPartition, parse_json

type Order = dict[str, Any]

ORDERS: ParserSpec[Order] = {"topics": ["orders"], "type": dict, "parser": parse_json}

TABLES = """
CREATE TABLE IF NOT EXISTS orders (number INTEGER, item TEXT);
CREATE TABLE IF NOT EXISTS offsets (
    topic TEXT, "partition" INTEGER, next INTEGER, PRIMARY KEY (topic, "partition")
);
"""


@contextmanager
def transaction(path: str) -> Iterator[sqlite3.Connection]:
    """Write as the only one, and all or nothing."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with db:
            yield db


def next_offset(db: sqlite3.Connection, topic: str, partition: int) -> int | None:
    """Return the offset that the next row of a partition comes from, None if there is no row."""
    query = 'SELECT next FROM offsets WHERE topic = ? AND "partition" = ?'
    row = db.execute(query, (topic, partition)).fetchone()
    return None if row is None else int(row[0])


def write(path: str, deliveries: list[Delivery[Order]]) -> None:
    """Write records of one partition that follow each other, and where the next one begins."""
    last = deliveries[-1].record
    place = last.topic, last.partition
    with transaction(path) as db:
        # Another member may have had the partition meanwhile, or have it now: whoever comes late
        # writes nothing that is there, and never sets an offset back.
        begin = next_offset(db, *place) or 0
        new = [each.value for each in deliveries if each.record.offset >= begin]
        if new:
            rows = [(order["number"], order["item"]) for order in new]
            db.executemany("INSERT INTO orders VALUES (?, ?)", rows)
            db.execute("REPLACE INTO offsets VALUES (?, ?, ?)", (*place, last.offset + 1))


def writer(
    bootstrap: str, path: str, orders: ParserSpec[Order] = ORDERS, **options: Any
) -> KafkaListener:
    """Return the listener that writes all orders into a database."""
    with closing(sqlite3.connect(path, timeout=30)) as db:
        db.executescript(TABLES)

    class FromDatabase:
        async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
            with closing(sqlite3.connect(path, timeout=30)) as db:
                begins = {each: next_offset(db, *each) for each in assigned}
            for partition, begin in begins.items():
                await listener.seek(partition, "earliest" if begin is None else begin)

        def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
            """Nothing is left to do: the batches in hand were written before."""

    listener = KafkaListener(
        [orders],
        bootstrap_servers=bootstrap,
        rebalance_listener=FromDatabase(),
        **{"group_id": "sqlite-example", **options},
    )
    # A plain function runs in a thread. In a partition one batch comes after the other.
    listener.processor(orders["type"], batch=Batch(size=500, interval_s=0.2))(partial(write, path))
    return listener


async def main(bootstrap: str = "127.0.0.1:9092", path: str = "orders.sqlite") -> None:
    async with writer(bootstrap, path):
        while True:
            await anyio.sleep(2.0)
            with closing(sqlite3.connect(path)) as db:
                (count,) = db.execute("SELECT count(*) FROM orders").fetchone()
            print(f"{count} orders in {path}", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(partial(main, *sys.argv[1:]))
