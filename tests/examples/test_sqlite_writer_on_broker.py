"""The writer into SQLite: each record is a row exactly once, whoever is killed or comes late."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from examples.sqlite_writer import TABLES, write
from sdml_kafka import Delivery, KafkaProducer
from sdml_kafka.testing import EmbeddedKafka
from tests.support.backends import name_of
from tests.support.fleet import Fleet
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.sqlite_member import SESSION_TIMEOUT_MS

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop, pytest.mark.timeout(240)]

PARTITIONS, RATE = 4, 200


def query(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return db.execute(sql).fetchall()


class Run:
    """Members that write all records of a topic into one database, whatever becomes of them."""

    def __init__(self, kafka: EmbeddedKafka, backend: Any, folder: Path, seed: int) -> None:
        self.bootstrap, self.topic = kafka.bootstrap_servers, unique("orders")
        self.path = folder / "orders.sqlite"
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(TABLES)
        where = [self.bootstrap, self.topic, unique("group"), str(self.path)]
        self.fleet = Fleet("tests.support.sqlite_member", [name_of(backend), *where], folder)
        self.sent = 0
        self._random = Random(seed)
        self._is_over = False

    async def stir(self, turns: int) -> None:
        """Kill, freeze and replace one of two members again and again, while records come."""
        await create_topic(self.bootstrap, self.topic, PARTITIONS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._feed)
            await self.fleet.join(2)
            for turn in range(turns):
                await self._until_more_rows()
                await anyio.sleep(self._random.random() * 1.5)
                if turn % 3 == 1:
                    # Out of its group when it goes on, in the middle of whatever it did.
                    await self.fleet.freeze(0, SESSION_TIMEOUT_MS / 1000 + 2.0)
                else:
                    await self.fleet.kill(self._random.randrange(2))
                    await self.fleet.join()
            self._is_over = True
        while self.rows() < self.sent:  # noqa: ASYNC110  another process has no event
            await anyio.sleep(0.1)
        while len(self.fleet):
            await self.fleet.leave()

    async def _feed(self) -> None:
        async with KafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            while not self._is_over:
                for _ in range(RATE // 10):
                    order = {"number": self.sent, "item": "figs"}
                    await producer.send_soon(self.topic, json.dumps(order).encode())
                    self.sent += 1
                await anyio.sleep(0.1)

    def rows(self) -> int:
        return int(query(self.path, "SELECT count(*) FROM orders")[0][0])

    async def _until_more_rows(self) -> None:
        before = self.rows()
        while self.rows() <= before + RATE // 2:  # noqa: ASYNC110  another process has no event
            await anyio.sleep(0.05)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
async def test_every_record_is_a_row_exactly_once(
    embedded_kafka: EmbeddedKafka, anyio_backend: Any, tmp_path: Path, seed: int
) -> None:
    run = Run(embedded_kafka, anyio_backend, tmp_path, seed)
    try:
        with anyio.fail_after(180):
            await run.stir(turns=3 if seed == 1 else 20)
    finally:
        run.fleet.close()
    numbers = [number for (number,) in query(run.path, "SELECT number FROM orders ORDER BY number")]
    assert numbers == list(range(run.sent))
    assert sum(n for (n,) in query(run.path, "SELECT next FROM offsets")) == run.sent


def deliveries(offsets: Sequence[int]) -> list[Delivery[Any]]:
    """Return what stands for the deliveries of a partition."""
    made = [
        SimpleNamespace(
            record=SimpleNamespace(topic="orders", partition=0, offset=offset),
            value={"number": offset, "item": "figs"},
        )
        for offset in offsets
    ]
    return cast("list[Delivery[Any]]", made)


async def test_whoever_comes_late_writes_nothing_twice_and_sets_nothing_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "orders.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TABLES)
    for offsets in (range(10), range(25), range(10, 20), range(20, 27)):
        write(str(path), deliveries(offsets))
    assert [n for (n,) in query(path, "SELECT number FROM orders")] == list(range(27))
    assert query(path, "SELECT next FROM offsets") == [(27,)]
