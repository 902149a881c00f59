"""What finished ahead of the frontier does not come again, on a real broker."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener
from sdml_kafka.consuming.offsets.offset_map import decode
from sdml_kafka.testing import EmbeddedKafka
from tests.support.group_member import lines_of
from tests.support.kafka_from_outside import commit, commits, create_topic, produce, unique
from tests.support.listener_on_broker import listener_on
from tests.support.processing_member import running_processor
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.usefixtures("client"),
]


class Handler:
    """Finishes all but what is stuck, and remembers what it was called with."""

    def __init__(self, *stuck: str) -> None:
        self.stuck = stuck
        self.seen: list[str] = []
        self.finished: list[str] = []

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        self.seen.append(value)
        if value in self.stuck:
            await anyio.sleep_forever()
        self.finished.append(value)


@asynccontextmanager
async def handling(
    kafka: EmbeddedKafka, topic: str, group: str, handler: Handler, **options: Any
) -> AsyncGenerator[KafkaListener]:
    options = {"drain_timeout": 0.5, "heartbeat_interval_ms": 300, **options}
    async with (
        listener_on(kafka, topic, group_id=group, **options) as listener,
        anyio.create_task_group() as tasks,
    ):

        async def process() -> None:
            await listener.process(str, handler, order="none", concurrency=50)

        tasks.start_soon(process)
        yield listener
        tasks.cancel_scope.cancel()


def texts(*numbers: int) -> list[str]:
    return list(map(str, numbers))


async def test_after_leaving_only_what_had_not_finished_comes_again(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("ahead"), 1)
    await produce(bootstrap, topic, texts(*range(500)))
    first, second = Handler("3", "250"), Handler()
    async with handling(embedded_kafka, topic, group, first):
        await until(lambda: len(first.finished) == 498)
    offset, metadata = (await commits(bootstrap, group))[topic, 0]
    assert (offset, decode(offset, metadata)) == (3, [(4, 250), (251, 500)])
    async with handling(embedded_kafka, topic, group, second):
        await until(lambda: len(second.finished) == 2)
        await produce(bootstrap, topic, ["new"])
        await until(lambda: len(second.finished) == 3)
    assert second.seen == ["3", "250", "new"]
    assert (await commits(bootstrap, group))[topic, 0] == (501, "")


async def test_after_joins_and_leaves_no_finished_record_comes_again(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("ahead"), 4)
    await produce(bootstrap, topic, texts(*range(1000)))
    first, second, third = Handler(*texts(*range(0, 1000, 50))), Handler("7"), Handler()
    async with handling(embedded_kafka, topic, group, first):
        await until(lambda: len(first.finished) == 980)
        async with handling(embedded_kafka, topic, group, second):
            await until(lambda: bool(second.seen))
        await produce(bootstrap, topic, texts(*range(1000, 1100)))
        await until(lambda: len(first.finished) + len(second.finished) >= 1080)
    async with handling(embedded_kafka, topic, group, third):
        await until(
            lambda: len(first.finished) + len(second.finished) + len(third.finished) == 1100
        )
    times = Counter(first.finished + second.finished + third.finished)
    assert set(times) == set(texts(*range(1100)))
    assert set(times.values()) == {1}


async def test_after_a_kill_only_what_was_not_committed_comes_again(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("killed"), 1)
    await produce(bootstrap, topic, texts(*range(100)))
    with running_processor(bootstrap, topic, group, "5") as process:
        assert sorted(await lines_of(process, 99), key=int) == texts(*range(5), *range(6, 100))
        with anyio.fail_after(30):
            while (await commits(bootstrap, group)).get((topic, 0)) != (5, "bgABAF4="):
                pass
        process.kill()
    handler = Handler()
    async with handling(embedded_kafka, topic, group, handler, start_timeout=30):
        await produce(bootstrap, topic, ["new"])
        await until(lambda: "new" in handler.finished)
    assert handler.seen == ["5", "new"]


@pytest.mark.parametrize(
    ("metadata", "comes"),
    [
        ("bgABASw=", texts(20, *range(321, 400))),  # of parallel-consumer
        ("of somebody else", texts(*range(20, 400))),
        ("bgABAf8=", texts(*range(20, 400))),  # beyond the end: of another log
    ],
)
async def test_what_others_have_committed_is_honoured_or_ignored(
    embedded_kafka: EmbeddedKafka, metadata: str, comes: list[str]
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("foreign"), 1)
    await produce(bootstrap, topic, texts(*range(400)))
    await commit(bootstrap, group, topic, 0, 20, metadata)
    handler = Handler()
    async with handling(embedded_kafka, topic, group, handler):
        await until(lambda: len(handler.finished) == len(comes))
    assert sorted(handler.seen, key=int) == comes
    assert (await commits(bootstrap, group))[topic, 0] == (400, "")
