"""Topics with thousands of partitions: few requests to enter, and nothing that grows faster.

9,000 partitions: uv run pytest -m soak tests/test_many_partitions_on_broker.py
"""

import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition

from sdml_kafka import KafkaListener, PartitionStatus, TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.factory import DEFAULTS
from tests.support.kafka_from_outside import committed, create_topic, on_asyncio, unique
from tests.support.listener_on_broker import Reader, texts
from tests.support.rpc_on_broker import client_on, reverse, server_on
from tests.support.waiting import least_of, until

COUNT, MANY = 2000, 9000
PATIENCE_S = 120.0
MAX_REQUESTS = 60
"""The number of requests for entering, which take a few for each thousand partitions at most."""
MAX_CPU_S = 3.0
"""Seconds of a core for entering. It is the better figure on a machine that has more to do."""
IDLE_S = 3.0
MAX_IDLE_CPU = 0.5
"""The part of a core that a listener may take that has nothing to read."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,  # the loop matters less than the partitions, which cost much
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def roomy_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that its own controller does not give up while it creates thousands of logs."""
    with EmbeddedKafka(properties={"broker.session.timeout.ms": "60000"}) as kafka:
        yield kafka


@pytest.fixture(
    scope="module",
    params=[COUNT, pytest.param(MANY, marks=(pytest.mark.soak, pytest.mark.timeout(600)))],
)
def count(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


class Topic:
    """A topic whose partitions the broker leads already."""

    def __init__(self, kafka: EmbeddedKafka, name: str, count: int) -> None:
        self.name = name
        self.count = count
        self._kafka = kafka

    async def lead(self) -> None:
        """Return once the broker leads every partition, as it does some time after creating it."""

        async def ask() -> None:
            async with AIOKafkaConsumer(
                bootstrap_servers=self._kafka.bootstrap_servers, request_timeout_ms=200_000
            ) as consumer:
                await consumer.end_offsets(
                    [ClientPartition(self.name, number) for number in range(self.count)]
                )

        await on_asyncio(ask())

    async def send(self, value: str, *numbers: int) -> None:
        """Send a record to each of these partitions: `value` and the number."""

        async def send() -> None:
            async with AIOKafkaProducer(
                bootstrap_servers=self._kafka.bootstrap_servers
            ) as producer:
                for number in numbers:
                    record = f"{value} {number}".encode()
                    await producer.send(self.name, record, partition=number)
                await producer.flush()

        await on_asyncio(send())


MakeTopic = Callable[[str, int], Awaitable[Topic]]


@pytest.fixture(scope="module")
def make_topic(roomy_kafka: EmbeddedKafka) -> MakeTopic:
    """Return a function that makes a topic, or returns it if it was made before.

    A broker of a machine as it comes has memory maps for some twenty thousand partitions.
    """
    made: dict[tuple[str, int], Topic] = {}

    async def make(name: str, count: int) -> Topic:
        if (name, count) not in made:
            topic = made[name, count] = Topic(roomy_kafka, unique(name), count)
            await create_topic(roomy_kafka.bootstrap_servers, topic.name, count)
            await topic.lead()
        return made[name, count]

    return make


class Member:
    """A listener in a group, the requests that it sends, and what it has read."""

    def __init__(self, kafka: EmbeddedKafka, topic: str, group: str) -> None:
        self.requests: Counter[str] = Counter()
        self._servers = kafka.bootstrap_servers
        self._group = group
        self.listener = KafkaListener(
            texts(topic), consumer_factory=self._make, start_timeout=PATIENCE_S
        )
        self.reader = Reader(self.listener)

    def _make(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=self._group,
            **{**DEFAULTS, "auto_offset_reset": "earliest", "session_timeout_ms": 30_000},
        )
        send = consumer._client.send

        async def counting(node: int, request: object, **more: object) -> object:
            self.requests[type(request).__name__] += 1
            return await send(node, request, **more)

        consumer._client.send = counting
        return consumer

    def status(self) -> Mapping[TopicPartition, PartitionStatus]:
        return self.listener.status().partitions

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[None]:
        async with self.listener, anyio.create_task_group() as tasks:
            tasks.start_soon(self.reader.read)
            yield
            tasks.cancel_scope.cancel()


async def idle() -> float:
    """Do nothing for a while, and return the seconds of a core that this process has taken."""
    before = time.process_time()
    await anyio.sleep(IDLE_S)
    return time.process_time() - before


async def test_entering_takes_a_few_requests_and_commits_every_position(
    roomy_kafka: EmbeddedKafka, make_topic: MakeTopic, count: int
) -> None:
    topic = await make_topic("many", count)
    await topic.send("last", count - 1)
    group = unique("group")
    member = Member(roomy_kafka, topic.name, group)
    cpu, began = time.process_time(), time.monotonic()
    async with member.entered():
        taken = f"{time.process_time() - cpu:.2f} s of CPU, {time.monotonic() - began:.2f} s"
        requests = Counter(member.requests)
        print(f"{count} partitions were entered in {taken} with {dict(requests)}")
        assert requests["OffsetRequest"] == 2
        assert requests["OffsetFetchRequest"] == 1
        assert requests.total() < MAX_REQUESTS, requests
        assert time.process_time() - cpu < MAX_CPU_S
        await until(lambda: f"last {count - 1}" in member.reader.seen, PATIENCE_S)
        assert len(member.status()) == count
        await until(lambda: {each.lag for each in member.status().values()} == {0}, PATIENCE_S)
        assert await least_of(idle, MAX_IDLE_CPU * IDLE_S) < MAX_IDLE_CPU * IDLE_S
    offsets = await committed(roomy_kafka.bootstrap_servers, group)
    assert len(offsets) == count
    assert offsets[topic.name, count - 1] >= 1


async def test_a_second_member_takes_half_and_nothing_comes_twice(
    roomy_kafka: EmbeddedKafka, make_topic: MakeTopic, count: int
) -> None:
    topic = await make_topic("many", count)
    group, before, after = unique("group"), unique("before"), unique("after")
    first, second = (Member(roomy_kafka, topic.name, group) for _ in range(2))
    some = range(0, count, count // 40)

    def seen(value: str) -> Counter[str]:
        return Counter(
            each for each in first.reader.seen + second.reader.seen if each.startswith(value)
        )

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(first.entered())
        await topic.send(before, *some)
        await until(lambda: len(seen(before)) == len(some), PATIENCE_S)
        requests = first.requests.total()
        await stack.enter_async_context(second.entered())
        await until(lambda: len(first.status()) == len(second.status()) == count // 2, PATIENCE_S)
        assert second.requests.total() < MAX_REQUESTS, second.requests
        assert first.requests.total() - requests < 2 * MAX_REQUESTS, first.requests
        await topic.send(after, *some)
        await until(lambda: len(seen(after)) == len(some), PATIENCE_S)
    assert set((seen(before) + seen(after)).values()) == {1}


async def test_calls_over_topics_with_thousands_of_partitions(
    roomy_kafka: EmbeddedKafka, make_topic: MakeTopic
) -> None:
    requests, replies = await make_topic("request", COUNT), await make_topic("many", COUNT)
    patient = {"start_timeout": PATIENCE_S}
    with anyio.fail_after(2 * PATIENCE_S):
        async with (
            server_on(roomy_kafka, requests.name, reverse, **patient),
            client_on(roomy_kafka, reply_topic=replies.name, **patient) as rpc,
        ):
            for number in range(5):
                value = b"%d" % number
                assert await rpc.request(requests.name, value, res_timeout=60) == value[::-1]
