"""Client and server on a real broker: many calls, streams, outages, and what others write."""

import gc
import random
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.rpc_own_partition import measure
from sdml_kafka import (
    BrokerUnreachable,
    Call,
    CallTimeout,
    ClientClosed,
    GroupShared,
    KafkaRPC,
    PayloadTooLarge,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.producer.adapter import AiokafkaProducer
from tests.support.kafka_from_outside import (
    create_topic,
    delete_topic,
    on_asyncio,
    topics_of,
    unique,
)
from tests.support.rpc_on_broker import all_of, client_on, pair_on, reverse, server_on
from tests.support.undecodable_batch import produce_poison
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.uvloop_too]


@pytest.fixture(scope="module")
def strict_kafka() -> Iterator[EmbeddedKafka]:
    """One that creates no topics by itself; a test may kill it, and has to leave it running."""
    with EmbeddedKafka(properties={"auto.create.topics.enable": "false"}) as kafka:
        yield kafka


def values(count: int) -> list[bytes]:
    return [b"value-%d" % number for number in range(count)]


def reversed_(requests: Sequence[bytes]) -> list[bytes]:
    return [request[::-1] for request in requests]


# -- many at once ------------------------------------------------------------------------


async def test_2000_calls_at_once(embedded_kafka: EmbeddedKafka) -> None:
    requests = values(2000)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka) as (rpc, topic):
            replies = await all_of(2000, lambda number: rpc.request(topic, requests[number]))
            status = rpc.status()
    assert replies == reversed_(requests)
    assert status.in_flight == 0
    assert status.counters.replies == 2000
    assert status.counters.late_replies == status.counters.foreign_replies == 0


async def test_callers_that_are_cancelled_at_random_harm_no_other(
    embedded_kafka: EmbeddedKafka,
) -> None:
    chance = random.Random(5)
    requests, replies = values(3000), dict[int, bytes]()

    async def slowly(value: bytes, call: Call) -> bytes:
        await anyio.sleep(chance.random() * 0.05)
        return value[::-1]

    async def request(rpc: KafkaRPC, topic: str, number: int) -> None:
        with anyio.move_on_after(chance.choice([0, 0.02, 0.05, 0.3, 30, 30, 30])):
            replies[number] = await rpc.request(topic, requests[number])

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, slowly) as (rpc, topic):
            await all_of(3000, partial(request, rpc, topic))
            assert rpc.status().in_flight == 0
            assert await rpc.request(topic, b"still there") == b"ereht llits"
    assert 3000 // 3 < len(replies) < 3000
    assert all(reply == requests[number][::-1] for number, reply in replies.items())


async def test_two_clients_and_two_servers_in_one_program(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("request"), 4)
    answered: Counter[str] = Counter()

    def answering(name: str) -> Any:
        async def answer(value: bytes, call: Call) -> bytes:
            answered[name] += 1
            return value[::-1]

        return answer

    requests, group = values(500), unique("server")
    with anyio.fail_after(60):
        async with (
            server_on(embedded_kafka, topic, answering("first"), group_id=group),
            server_on(embedded_kafka, topic, answering("second"), group_id=group),
            client_on(embedded_kafka) as one,
            client_on(embedded_kafka) as other,
        ):
            replies = await all_of(
                500, lambda number: (one, other)[number % 2].request(topic, requests[number])
            )
            counters = [one.status().counters, other.status().counters]
    assert replies == reversed_(requests)
    assert sum(answered.values()) == 500
    assert len(answered) == 2
    assert [each.foreign_replies for each in counters] == [0, 0]


async def test_clients_with_partitions_of_their_own(embedded_kafka: EmbeddedKafka) -> None:
    reply = await create_topic(embedded_kafka.bootstrap_servers, unique("reply"), 4)
    requests = values(100)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka) as (_, topic), AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    client_on(embedded_kafka, reply_topic=reply, own_partition=True)
                )
                for _ in range(3)
            ]
            replies = [
                await all_of(100, lambda n, rpc=rpc: rpc.request(topic, requests[n]))  # type: ignore[misc]
                for rpc in clients
            ]
            read = [client.status().reply_partitions for client in clients]
            # Two of them may have chosen the same partition: each sees the other's replies then,
            # some time after the other has seen them.
            expected = [100 * (read.count(partitions) - 1) for partitions in read]

            def foreign() -> list[int]:
                return [client.status().counters.foreign_replies for client in clients]

            await until(lambda: foreign() == expected)
    assert replies == [reversed_(requests)] * 3
    assert [len(partitions) for partitions in read] == [1, 1, 1]


async def test_reply_topics_of_clients_that_have_left_do_not_come_back(
    embedded_kafka: EmbeddedKafka,
) -> None:
    """The broker creates topics by itself, and the server asks for all it knows at each new one."""
    topics: list[str] = []
    with anyio.fail_after(90):
        async with pair_on(embedded_kafka) as (_, topic):
            for _ in range(4):
                async with client_on(embedded_kafka) as rpc:
                    assert await rpc.request(topic, b"abc") == b"cba"
                    topics += [own for own, _ in rpc.status().reply_partitions]
            assert len(set(topics)) == 4
            left = set(topics) & await topics_of(embedded_kafka.bootstrap_servers)
    assert not left


@pytest.mark.parametrize("shared", [True, False])
async def test_calls_go_on_after_the_reply_topic_was_deleted(
    strict_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    """A shared one is created at the second attempt only."""
    reply = unique("reply")
    options: dict[str, Any] = {"reply_topic": reply} if shared else {}
    failures: list[Exception] = []
    create = AiokafkaProducer.create_topic

    async def create_topic(self: AiokafkaProducer, *arguments: Any) -> bool:
        if failures:
            raise failures.pop()
        return await create(self, *arguments)

    monkeypatch.setattr(AiokafkaProducer, "create_topic", create_topic)
    with anyio.fail_after(120):
        async with pair_on(strict_kafka, **options) as (rpc, topic):
            assert await rpc.request(topic, b"abc") == b"cba"
            failures += [SendFailed("in an outage")] * shared
            (reply,) = {own.topic for own in rpc.status().reply_partitions}
            await delete_topic(strict_kafka.bootstrap_servers, reply)
            await until(lambda: not rpc.status().reply_partitions)
            # Nor does a restart go on where the old one was.
            assert set(rpc._actors.reading.positions.values()) == {0}
            while not await got(rpc.request(topic, b"abc", res_timeout=1.0)):
                pass
            counters = rpc.status().counters
        assert shared == (reply in await topics_of(strict_kafka.bootstrap_servers))
    assert counters.restarts == 0
    assert not failures


# -- streams -----------------------------------------------------------------------------


async def test_a_stream_of_500_replies(embedded_kafka: EmbeddedKafka) -> None:
    async def count_up(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        for number in range(int(value)):
            yield b"%d" % number

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, count_up) as (rpc, topic):
            received = [int(reply) async for reply in rpc.stream(topic, b"500")]
    assert received == list(range(500))


async def test_a_stream_that_is_closed_early_ends_in_the_server(
    embedded_kafka: EmbeddedKafka,
) -> None:
    ended = anyio.Event()

    async def without_end(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"more"
                await anyio.sleep(0.01)
        finally:
            ended.set()

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, without_end) as (rpc, topic):
            async with rpc.stream(topic, b"", res_timeout=None) as stream:
                async for _ in stream:
                    break
            with anyio.fail_after(10):
                await ended.wait()


# -- what cannot be sent -----------------------------------------------------------------


async def test_a_missing_request_topic_is_told_soon(strict_kafka: EmbeddedKafka) -> None:
    async with client_on(strict_kafka) as rpc:
        with anyio.fail_after(5), pytest.raises(TopicMissing, match="nowhere"):
            await rpc.request("nowhere", b"value")


async def test_a_payload_over_the_brokers_limit_fails_its_own_call_alone(
    embedded_kafka: EmbeddedKafka,
) -> None:
    large, requests = b"x" * (2 << 20), values(100)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, partitions=1, max_request_size=8 << 20) as (rpc, topic):
            outcomes = await all_of(
                101,
                lambda number: rpc.request(topic, large if number == 50 else requests[number % 51]),
            )
    assert isinstance(outcomes.pop(50), PayloadTooLarge)
    assert outcomes == reversed_([*requests[:50], *(requests[n % 51] for n in range(51, 101))])


# -- outages -----------------------------------------------------------------------------


async def test_leaving_with_1000_calls_waiting(embedded_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("unserved"), 1)
    outcomes: list[Any] = []

    async def make_calls(rpc: KafkaRPC) -> None:
        outcomes.extend(await all_of(1000, lambda number: rpc.request(topic, b"value")))

    async with anyio.create_task_group() as tasks:
        async with client_on(embedded_kafka) as rpc:
            tasks.start_soon(make_calls, rpc)
            await until(lambda: rpc.status().in_flight == 1000)
            left_at = anyio.current_time()
        assert anyio.current_time() - left_at < 2.0
    assert [type(outcome) for outcome in outcomes] == [ClientClosed] * 1000


async def test_calls_settle_over_a_broker_that_freezes_and_thaws(
    strict_kafka: EmbeddedKafka,
) -> None:
    requests, outcomes = values(200), list[Any]()

    async def make_calls(rpc: KafkaRPC, topic: str) -> None:
        outcomes.extend(
            await all_of(
                200, lambda n: rpc.request(topic, requests[n], res_timeout=0.5 + n % 2 * 30)
            )
        )

    with anyio.fail_after(60):
        async with pair_on(strict_kafka) as (rpc, topic), anyio.create_task_group() as tasks:
            assert await rpc.request(topic, b"abc") == b"cba"
            strict_kafka.freeze()
            try:
                tasks.start_soon(make_calls, rpc, topic)
                await until(lambda: rpc.status().counters.timeouts == 100)
            finally:
                strict_kafka.thaw()
    patient = outcomes[1::2]
    assert [type(outcome) for outcome in outcomes[::2]] == [CallTimeout] * 100
    assert patient == reversed_(requests[1::2])


async def test_with_the_broker_gone_for_good_calls_end_at_their_deadlines(
    strict_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(strict_kafka.bootstrap_servers, unique("request"), 1)
    try:
        async with client_on(strict_kafka, stop_timeout=5.0) as rpc:
            await anyio.to_thread.run_sync(strict_kafka.kill)
            began = anyio.current_time()
            outcomes = await all_of(
                50, lambda number: rpc.request(topic, b"value", res_timeout=3.0)
            )
            assert 3.0 <= anyio.current_time() - began < 4.0
            left_at = anyio.current_time()
        assert anyio.current_time() - left_at < 5.0
    finally:
        await strict_kafka.restart_async()
    assert [type(outcome) for outcome in outcomes] == [CallTimeout] * 50
    assert all(isinstance(outcome.__cause__, ConnectionError) for outcome in outcomes)


async def test_a_client_cannot_be_entered_without_a_broker(free_tcp_port: int) -> None:
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with KafkaRPC(bootstrap_servers=f"127.0.0.1:{free_tcp_port}", start_timeout=1.0):
            pytest.fail("entered")
    assert anyio.current_time() - began < 4.0


class Consumers:
    """A factory that keeps what it built, so that a test can break it."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        import asyncio

        self._kafka, self._asyncio = kafka, asyncio
        self._group = unique("client")
        self.built: list[tuple[Any, asyncio.AbstractEventLoop]] = []

    def __call__(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            group_id=self._group,
            fetch_max_wait_ms=100,
        )
        self.built.append((consumer, self._asyncio.get_running_loop()))
        return consumer

    async def break_(self, how: str) -> None:
        consumer, loop = self.built[-1]
        loop.call_soon_threadsafe({"tasks": _kill_tasks, "sockets": _cut_sockets}[how], consumer)
        if how == "tasks":
            await until(lambda: all(task.done() for task in _tasks_of(consumer)))


def _tasks_of(consumer: Any) -> tuple[Any, Any]:
    return consumer._coordinator._coordination_task, consumer._fetcher._fetch_task


def _kill_tasks(consumer: Any) -> None:
    for task in _tasks_of(consumer):
        task.cancel()


def _cut_sockets(consumer: Any) -> None:
    for connection in list(consumer._client._conns.values()):
        connection._writer.transport.abort()


@pytest.mark.parametrize("how", ["tasks", "sockets"])
async def test_replies_arrive_over_a_reply_consumer_that_breaks(
    embedded_kafka: EmbeddedKafka, how: str
) -> None:
    consumers, gate, running = Consumers(embedded_kafka), anyio.Event(), list[bytes]()
    requests = values(200)

    async def behind_the_gate(value: bytes, call: Call) -> bytes:
        running.append(value)
        await gate.wait()
        return value[::-1]

    outcomes: list[Any] = []

    async def make_calls(rpc: KafkaRPC, topic: str) -> None:
        outcomes.extend(await all_of(200, lambda number: rpc.request(topic, requests[number])))

    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("request"), 4)
    with anyio.fail_after(60):
        async with (
            server_on(embedded_kafka, topic, behind_the_gate, concurrency=200),
            KafkaRPC(consumer_factory=consumers, bootstrap_servers=bootstrap) as rpc,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(make_calls, rpc, topic)
            await until(lambda: len(running) == 200)
            await consumers.break_(how)
            gate.set()  # the replies come while nobody reads
            await until(lambda: outcomes)
            restarts = rpc.status().counters.restarts
    assert outcomes == reversed_(requests)
    assert restarts == (1 if how == "tasks" else 0)
    assert len(consumers.built) == 1 + restarts


# -- mistakes ----------------------------------------------------------------------------


async def test_a_group_that_two_clients_share_by_mistake(embedded_kafka: EmbeddedKafka) -> None:
    reply = await create_topic(embedded_kafka.bootstrap_servers, unique("reply"), 4)
    shared: dict[str, Any] = {
        "group_id": unique("client"),
        "reply_topic": reply,
        "heartbeat_interval_ms": 300,
    }
    requests = values(100)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, **shared) as (rpc, topic):
            with pytest.raises(GroupShared):
                async with client_on(embedded_kafka, **shared):
                    pytest.fail("entered")
            replies = await all_of(100, lambda number: rpc.request(topic, requests[number]))
    assert replies == reversed_(requests)


async def test_a_group_that_client_and_server_share_by_mistake(
    embedded_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 2)
    group, requests = unique("both"), values(100)
    with anyio.fail_after(60):
        async with (
            server_on(embedded_kafka, topic, reverse, group_id=group),
            client_on(embedded_kafka, group_id=group, heartbeat_interval_ms=300) as rpc,
        ):
            replies = await all_of(100, lambda number: rpc.request(topic, requests[number]))
    assert replies == reversed_(requests)


# -- nested calls ------------------------------------------------------------------------


async def test_calls_of_a_handler_inherit_what_is_left_of_its_budget(
    embedded_kafka: EmbeddedKafka,
) -> None:
    left: list[float | None] = []
    ended = anyio.Event()

    async def never(value: bytes, call: Call) -> bytes:
        left.append(call.remaining_s)
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, never) as (inner, inner_topic):

            async def pass_on(value: bytes, call: Call) -> bytes:
                left.append(call.remaining_s)
                return bytes(await inner.request(inner_topic, value))

            async with pair_on(embedded_kafka, pass_on) as (outer, outer_topic):
                began = anyio.current_time()
                with pytest.raises(CallTimeout):
                    await outer.request(outer_topic, b"value", res_timeout=2.0)
                assert 2.0 <= anyio.current_time() - began < 3.0
                with anyio.fail_after(1.0):
                    await ended.wait()
    assert len(left) == 2
    assert left[0] is not None
    assert left[1] is not None
    assert 2.0 > left[0] > left[1] > 0.5


# -- footprint ---------------------------------------------------------------------------


async def enter_call_and_leave(kafka: EmbeddedKafka, topic: str, group: str, times: int) -> None:
    for _ in range(times):
        async with server_on(kafka, topic, reverse, group_id=group), client_on(kafka) as rpc:
            assert await rpc.request(topic, b"abc") == b"cba"


@pytest.mark.parametrize(
    "times", [10, pytest.param(50, marks=(pytest.mark.soak, pytest.mark.timeout(600)))]
)
async def test_entering_and_leaving_again_and_again_leaves_nothing_behind(
    embedded_kafka: EmbeddedKafka, times: int
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 2)
    group, process = unique("server"), psutil.Process()
    await enter_call_and_leave(embedded_kafka, topic, group, 2)  # what is made once is made by now
    gc.collect()
    tasks, threads = len(anyio.get_running_tasks()), threading.active_count()
    files = process.num_fds()
    await enter_call_and_leave(embedded_kafka, topic, group, times)
    gc.collect()

    def is_as_before() -> bool:
        return (
            len(anyio.get_running_tasks()) <= tasks
            and threading.active_count() <= threads
            and process.num_fds() <= files
        )

    with anyio.move_on_after(10):  # what was closed is gone some turns of its loop later
        await until(is_as_before)
    assert len(anyio.get_running_tasks()) <= tasks
    assert threading.active_count() <= threads
    assert process.num_fds() <= files


# -- what others write -------------------------------------------------------------------


class Garbage:
    """Records that no program of ours would write, again and again."""

    def __init__(self, topics: Sequence[str], ids: Sequence[bytes]) -> None:
        self._topics, self._ids = topics, ids
        self._chance = random.Random(7)
        self.written = 0

    def _bytes(self) -> bytes:
        return self._chance.randbytes(self._chance.choice([0, 1, 8, 300]))

    def _headers(self) -> list[tuple[str, bytes | None]]:
        chance, names = self._chance, [
            "request_id", "REQUEST_ID", "correlation_id", "x-status", "x-error", "x-sequence",
            "x-end", "x-cancel", "x-cancel-partition", "x-timeout-ms", "x-reply-topic",
            "x-reply-partition", "", "\N{SNOWMAN}" * 50,
        ]  # fmt: skip
        values_: list[bytes | None] = [None, b"", b"ok", b"-1", b"9" * 400, b"\xff\xfe", *self._ids]
        return [
            (chance.choice(names), chance.choice([*values_, self._bytes()]))
            for _ in range(chance.randrange(8))
        ]

    def record(self) -> dict[str, Any]:
        chance = self._chance
        kind = chance.randrange(100)
        return {
            "topic": chance.choice(self._topics),
            "key": chance.choice([None, b"", self._bytes(), *self._ids]),
            "value": b"x" * 900_000 if kind == 0 else chance.choice([b"", self._bytes()]),
            "headers": [("x", b"y")] * 10_000 if kind == 1 else self._headers(),
        }

    async def write(self, bootstrap: str, count: int) -> None:
        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
                for _ in range(count):
                    record = self.record()
                    if record["value"] is record["key"] is None:
                        continue
                    await producer.send(**record)
                    self.written += 1
                await producer.flush()

        await on_asyncio(send())


async def test_garbage_in_both_topics_loses_and_swaps_nothing(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    reply = await create_topic(bootstrap, unique("reply"), 2)
    requests = [b"own-%d" % number for number in range(2000)]

    async def only_ours(value: bytes, call: Call) -> bytes:
        await anyio.sleep(0.001)
        return value[::-1] if value.startswith(b"own-") else b"garbage"

    with anyio.fail_after(90):
        async with (
            pair_on(strict_kafka, only_ours, reply_topic=reply) as (rpc, topic),
            client_on(strict_kafka, reply_topic=reply) as other,
        ):
            for own in (rpc, other):  # the first id of each is over, then
                await own.request(topic, b"own-")
            prefixes = [each._actors.id_prefix for each in (rpc, other)]
            ids = [prefix + number for prefix in prefixes for number in (b"1", b"0", b"987654321")]
            garbage = Garbage([reply, topic], ids)
            outcomes: dict[KafkaRPC, list[Any]] = {}

            async def make_calls(own: KafkaRPC) -> None:
                outcomes[own] = []
                while garbage.written < 3000 or len(outcomes[own]) < 1000:
                    outcomes[own] += await all_of(
                        100, lambda number: own.request(topic, requests[number])
                    )

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(make_calls, rpc)
                tasks.start_soon(make_calls, other)
                await garbage.write(bootstrap, 3000)
            restarts = [each.status().counters.restarts for each in (rpc, other)]
    expected = reversed_(requests[:100])
    for replies in outcomes.values():
        assert replies == expected * (len(replies) // 100)
    assert restarts == [0, 0]


async def test_a_reply_that_cannot_be_decoded_costs_none_that_come_after(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, requests = embedded_kafka.bootstrap_servers, values(100)
    reply = await create_topic(bootstrap, unique("reply"), 1)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, reply_topic=reply) as (rpc, topic):
            assert await rpc.request(topic, b"abc") == b"cba"
            await produce_poison(bootstrap, reply, 0)
            replies = await all_of(100, lambda number: rpc.request(topic, requests[number]))
            restarts = rpc.status().counters.restarts
    assert replies == reversed_(requests)
    assert restarts == 0


async def got(call: Awaitable[object]) -> bool:
    try:
        await call
    except CallTimeout:
        return False
    return True


# -- the benchmark's claim, small --------------------------------------------------------


@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")]
)
async def test_with_a_partition_of_its_own_a_client_reads_no_more_beside_others(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    with anyio.fail_after(90):
        alone = await measure(bootstrap, 1, 50, 1000, own_partition=True)
        among = await measure(bootstrap, 8, 50, 1000, own_partition=True)
        reading_all = await measure(bootstrap, 8, 50, 1000, own_partition=False)
    # A client that shares its partition by chance reads its neighbour's replies, too.
    unshared = [got for got, seen in zip(among.received, among.foreign, strict=True) if not seen]
    assert unshared
    assert max(unshared) < 1.3 * alone.median
    assert min(reading_all.received) > 6 * alone.median
