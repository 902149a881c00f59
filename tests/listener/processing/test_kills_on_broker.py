"""Processing by key while members in processes of their own come, leave and are killed.

The long ones: uv run pytest -m soak tests/listener/processing/test_kills_on_broker.py
"""

from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.backends import name_of
from tests.support.clients import chosen
from tests.support.commit_log import logged_commits
from tests.support.fleet import Fleet
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.kill_chaos.judge import (
    Event,
    Place,
    read_events,
    wrong_commits,
    wrong_order,
    wrong_repeats,
)
from tests.support.kill_chaos.member import ENDED
from tests.support.processing_chaos import fill
from tests.support.processing_on_broker import records_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("client"),
]

MEMBERS, PARTITIONS = 3, 5


class Run:
    """One group that handles all records of a topic, whatever becomes of its members."""

    def __init__(self, kafka: EmbeddedKafka, backend: Any, folder: Path, seed: int) -> None:
        self.bootstrap = kafka.bootstrap_servers
        self.topic, self.output, self.group = unique("kills"), unique("out"), unique("group")
        self.log = folder / "events"
        self.log.touch()
        places = [self.bootstrap, self.topic, self.output, self.group, str(self.log), str(seed)]
        arguments = [name_of(backend), *places]
        self.fleet = Fleet("tests.support.kill_chaos.member", arguments, folder)
        self._random = Random(seed)
        self.sent = 0
        self._read_to = 0
        self._ended = set[Place]()
        self._is_over = False

    async def create_topics(self) -> None:
        await create_topic(self.bootstrap, self.topic, PARTITIONS)
        times = {"message.timestamp.type": "LogAppendTime"}
        await create_topic(self.bootstrap, self.output, PARTITIONS, config=times)

    async def stir(self, kills: int) -> None:
        """Let members come, leave and be killed at random moments, while records come."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._feed)
            await self.fleet.join(MEMBERS)
            for _ in range(kills):
                await self._until_ended(len(self.ended()) + 1)
                await anyio.sleep(self._random.random() * 2)
                await self.fleet.kill(self._random.randrange(len(self.fleet)))
                await self.fleet.join()
                if self._random.random() < 0.5:
                    await self.fleet.leave(self._random.randrange(len(self.fleet)))
                if len(self.fleet) < 2:
                    await self.fleet.join()
            self._is_over = True
        await self._until_ended(self.sent)
        while len(self.fleet):
            await self.fleet.leave()

    async def _feed(self) -> None:
        while not self._is_over:
            if self.sent - len(self.ended()) < 2000:
                await fill(self.bootstrap, self.topic, 300, self.sent)
                self.sent += 300
            await anyio.sleep(1.0)

    def events(self) -> list[Event]:
        return read_events(self.log.read_text().splitlines())

    def ended(self) -> set[Place]:
        """Return the records whose handlers have returned; reads on where it stopped before."""
        with self.log.open() as log:
            log.seek(self._read_to)
            for event in read_events(log.read().splitlines()):
                if event.what == ENDED:
                    self._ended.add(event.place)
            self._read_to = log.tell()
        return self._ended

    async def _until_ended(self, count: int) -> None:
        with anyio.fail_after(120):
            while len(self.ended()) < count:  # noqa: ASYNC110  another process has no event
                await anyio.sleep(0.1)

    async def judge(self) -> None:
        """Fail if something has happened that is promised never to."""
        outputs_ms = dict[Place, int]()
        for record in await records_of(self.bootstrap, self.output):
            partition, offset = map(int, (record.value or b"").split())
            outputs_ms.setdefault((partition, offset), record.timestamp)
            outputs_ms[partition, offset] = min(outputs_ms[partition, offset], record.timestamp)
        events = self.events()
        commits = await logged_commits(self.bootstrap, self.group, self.topic)
        assert wrong_order(events) == []
        incremental = chosen() == "librdkafka"
        assert wrong_repeats(events, self.fleet.killed, incremental=incremental) == []
        assert wrong_commits(commits, outputs_ms, events) == []
        assert len(self.ended()) == len(outputs_ms) == self.sent, "records are lost"
        ends = {each.partition: each.offset for each in commits}
        assert sum(ends.values()) == self.sent, "some are not committed"
        assert any(each.metadata for each in commits), "no offset map was needed"


async def check(kafka: EmbeddedKafka, backend: Any, folder: Path, *, seed: int, kills: int) -> None:
    run = Run(kafka, backend, folder, seed)
    await run.create_topics()
    try:
        await run.stir(kills)
    finally:
        run.fleet.close()
    await run.judge()


async def test_members_that_are_killed(
    embedded_kafka: EmbeddedKafka, anyio_backend: Any, tmp_path: Path
) -> None:
    await check(embedded_kafka, anyio_backend, tmp_path, seed=1, kills=2)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 16))
async def test_many_members_that_are_killed(
    embedded_kafka: EmbeddedKafka, anyio_backend: Any, tmp_path: Path, seed: int
) -> None:
    await check(embedded_kafka, anyio_backend, tmp_path, seed=seed, kills=8)
