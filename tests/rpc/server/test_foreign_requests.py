"""Requests of Spring and NestJS, and the replies that these understand."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    Call,
    ConfigurationError,
    Dedupe,
    KafkaRPCServer,
    RemoteError,
    Spring,
    TopicPartition,
)
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.testing.memory.log import MemoryRecord
from tests.support.client_by_hand import (
    REPLY,
    REQUEST,
    ask,
    echo,
    finished,
    new_broker,
    outcome,
    reply,
    serving,
)
from tests.support.headers import header
from tests.support.nest_peer import NestRequester
from tests.support.spring_peer import SpringRequester, text_id
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]

NEST_REPLY = f"{REQUEST}.reply"


def broker_of_all() -> MemoryBroker:
    return new_broker(answers=2, **{NEST_REPLY: 2})


async def spring_reply(spring: SpringRequester, id_: bytes) -> MemoryRecord:
    await until(lambda: spring.has_reply(id_))
    (record,) = (
        record for record in spring.records() if ("kafka_correlationId", id_) in record.headers
    )
    return record


async def fail(value: bytes, call: Call) -> None:
    raise RemoteError("not_found", "no figs") if value == b"value" else RemoteError("gone", "")


async def nothing(value: bytes, call: Call) -> None:
    pass


# -- Spring ------------------------------------------------------------------------------


@pytest.mark.uvloop_too
@pytest.mark.parametrize("key", [None, b"key"])
@pytest.mark.parametrize("make_id", [lambda: None, text_id, lambda: b"\xff" * 1024])
async def test_spring_gets_its_id_its_key_and_the_value(
    key: bytes | None, make_id: Callable[[], bytes | None]
) -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, echo):
        id_ = spring.send(REQUEST, b"figs", key=key, id_=make_id())
        record = await spring_reply(spring, id_)
    assert spring.outcome(id_) == record.value == b"figs"
    assert record.key == key
    assert [name for name, _ in record.headers] == ["kafka_correlationId", "kafka_nest-is-disposed"]


@pytest.mark.parametrize(("asked", "pinned"), [(1, None), (None, 1), (0, 1)])
async def test_spring_gets_its_reply_in_the_partition_that_it_asks_for(
    asked: int | None, pinned: int | None
) -> None:
    """The last of two headers counts."""
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, echo):
        ids = [spring.send(REQUEST, partition=asked, pinned=pinned) for _ in range(3)]
        await until(lambda: all(spring.has_reply(id_) for id_ in ids))
    assert len(broker.records(TopicPartition("answers", 1))) == 3


@pytest.mark.parametrize("value", [b"\x00\x00\x00\x07", b"\x00", b"7", b"x", b"", b"\xff" * 4])
async def test_a_partition_that_is_not_there_is_the_servers_choice(value: bytes) -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, echo):
        id_ = spring.send(REQUEST, extra=[("kafka_replyPartition", value)])
        await spring_reply(spring, id_)


async def test_spring_gets_errors_as_the_header_that_it_looks_for_and_null() -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, fail):
        id_ = spring.send(REQUEST)
        empty = spring.send(REQUEST, b"other")
        record = await spring_reply(spring, id_)
        await until(lambda: spring.has_reply(empty))
    assert str(spring.outcome(id_)) == "no figs"
    assert str(spring.outcome(empty)) == "gone"
    assert (record.key, record.value) == (None, None)
    assert list(record.headers) == [
        ("kafka_correlationId", id_),
        ("kafka_nest-err", b'{"status": "not_found", "message": "no figs"}'),
        ("kafka_nest-is-disposed", b"\x00"),
        ("serverSentAnError", b"no figs"),
        ("x-status", b"not_found"),
        ("x-error", b"no figs"),
    ]


@pytest.mark.parametrize("names", [(), ("myError", "second")])
async def test_the_headers_of_springs_errors_are_the_programs_choice(
    names: tuple[str, ...],
) -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, fail, dialects=[Spring(error_headers=names)]):
        record = await spring_reply(spring, spring.send(REQUEST))
    assert header(record, "serverSentAnError") is None
    assert [header(record, name) for name in names] == [b"no figs"] * len(names)


async def test_null_is_answered_with_null_also_without_a_key() -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, nothing):
        record = await spring_reply(spring, spring.send(REQUEST))
    assert (record.key, record.value) == (None, None)
    assert header(record, "x-status") is None


# -- NestJS ------------------------------------------------------------------------------


@pytest.mark.uvloop_too
@pytest.mark.parametrize("key", [None, b"key"])
async def test_nest_gets_one_value_and_the_end_in_its_partition(key: bytes | None) -> None:
    broker = broker_of_all()
    nest = NestRequester(broker)
    async with serving(broker, echo):
        id_ = nest.send(REQUEST, b"figs", key=key)
        await until(lambda: nest.has_ended(REQUEST, id_))
    assert nest.seen(REQUEST, id_) == [b"figs", "complete"]
    (record,) = nest.records(REQUEST)
    assert record.key == key
    assert list(record.headers) == [
        ("kafka_correlationId", id_.encode()),
        ("kafka_nest-is-disposed", b"\x00"),
    ]


async def test_nest_gets_errors_and_null() -> None:
    broker = broker_of_all()
    nest = NestRequester(broker)

    async def handle(value: bytes, call: Call) -> None:
        if value != b"null":
            await fail(value, call)

    async with serving(broker, handle):
        error, null = nest.send(REQUEST), nest.send(REQUEST, b"null")
        await until(lambda: nest.has_ended(REQUEST, error) and nest.has_ended(REQUEST, null))
    assert nest.seen(REQUEST, error) == [("error", {"status": "not_found", "message": "no figs"})]
    assert nest.seen(REQUEST, null) == [None, "complete"]
    assert {record.value for record in nest.records(REQUEST)} == {None}


async def test_an_event_of_nest_runs_and_gets_no_reply() -> None:
    broker = broker_of_all()
    nest = NestRequester(broker)
    async with serving(broker, echo) as server:
        nest.emit(REQUEST)
        await finished(broker, server, 1)
        assert server.status().counters.one_way == 1
        assert server.status().counters.replies == 0


# -- all together ------------------------------------------------------------------------


async def test_requests_of_all_dialects_in_one_topic_at_once() -> None:
    broker = broker_of_all()
    spring, nest = SpringRequester(broker), NestRequester(broker)
    dialects = list[str]()

    async def handle(value: bytes, call: Call) -> bytes:
        dialects.append(call.dialect)
        await anyio.sleep(0.1)
        return value + value

    async with serving(broker, handle):
        of_spring, of_nest = list[bytes](), list[str]()
        for number in range(100):
            value = b"%d" % number
            of_spring.append(spring.send(REQUEST, value, pinned=number % 2))
            of_nest.append(nest.send(REQUEST, value))
            ask(broker, value, value)
        await until(lambda: len(broker.records(TopicPartition(REPLY, 0))) == 100)
        await until(lambda: all(nest.has_ended(REQUEST, id_) for id_ in of_nest))
        await until(lambda: all(spring.has_reply(id_) for id_ in of_spring))
    twice = [2 * (b"%d" % number) for number in range(100)]
    assert [spring.outcome(id_) for id_ in of_spring] == twice
    assert [nest.seen(REQUEST, id_) for id_ in of_nest] == [[each, "complete"] for each in twice]
    ours = {
        header(record, "request_id"): record for record in broker.records(TopicPartition(REPLY, 0))
    }
    assert [outcome(ours[b"%d" % number]) for number in range(100)] == twice
    assert {name: dialects.count(name) for name in dialects} == {
        "spring": 100,
        "nestjs": 100,
        "native": 100,
    }


async def test_what_asks_for_our_reply_topic_is_ours() -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker)
    async with serving(broker, fail):
        extra = [("x-reply-topic", REPLY.encode()), ("request_id", b"1")]
        spring.send(REQUEST, extra=extra)
        record = await reply(broker)
    assert (record.value, outcome(record)) == (b"", b"not_found")
    assert header(record, "kafka_correlationId") is None
    assert not spring.records()


@pytest.mark.parametrize("dialects", [["native"], ["spring"], ["nestjs"]])
async def test_other_dialects_than_those_that_are_spoken_get_no_reply(dialects: list[str]) -> None:
    broker = broker_of_all()
    spring, nest = SpringRequester(broker), NestRequester(broker)
    async with serving(broker, echo, dialects=dialects) as server:
        spring.send(REQUEST)
        nest.send(REQUEST)
        ask(broker)
        await finished(broker, server, 3)
        assert server.status().counters.one_way == 2
    answered = {
        "spring": len(spring.records()),
        "nestjs": len(nest.records(REQUEST)),
        "native": len(broker.records(TopicPartition(REPLY, 0))),
    }
    assert answered == {name: int(name in dialects) for name in answered}


async def test_an_id_that_is_missing_empty_or_too_long_is_none() -> None:
    broker = broker_of_all()
    spring, ids = SpringRequester(broker), list[bytes | None]()

    async def handle(value: bytes, call: Call) -> bytes:
        ids.append(call.id)
        return b""

    async with serving(broker, handle):
        for id_ in (b"", b"x" * 1025):
            spring.send(REQUEST, id_=id_, key=b"key")
        headers = [("kafka_replyTopic", b"answers")]
        ask(broker, id_=None, reply_to=(), headers=headers)
        await until(lambda: len(spring.records()) == 3)
    assert ids == [None] * 3
    assert [list(record.headers) for record in spring.records()] == [
        [("kafka_nest-is-disposed", b"\x00")]
    ] * 3


@pytest.mark.parametrize(
    "topic", [b"", b"..", b"a/b", b"x" * 250, b"\xff", b"__offsets", b"request"]
)
async def test_no_reply_goes_to_a_topic_that_may_not_be_replied_to(topic: bytes) -> None:
    broker = broker_of_all()
    headers = [("kafka_replyTopic", topic), ("kafka_correlationId", b"1")]
    async with serving(broker, echo) as server:
        ask(broker, id_=None, reply_to=(), headers=headers)
        await finished(broker, server, 1)
        counters = server.status().counters
        assert (counters.refused_topics, counters.one_way, counters.replies) == (1, 0, 0)


async def test_a_repeat_is_answered_from_memory_in_its_own_dialect_alone() -> None:
    broker, runs = broker_of_all(), list[str]()
    spring = SpringRequester(broker)

    async def handle(value: bytes, call: Call) -> bytes:
        runs.append(call.dialect)
        call.reply_headers["__TypeId__"] = "Price"
        return b"%d" % len(runs)

    async with serving(broker, handle, dedupe=Dedupe()):
        spring.send(REQUEST, id_=b"1")
        spring.send(REQUEST, id_=b"1")
        await until(lambda: len(spring.records()) == 2)
        ask(broker, id_=b"1")
        assert outcome(await reply(broker)) == b"2"
    assert runs == ["spring", "native"]
    assert [record.value for record in spring.records()] == [b"1", b"1"]
    assert [header(record, "__TypeId__") for record in spring.records()] == [b"Price"] * 2


async def test_a_deadline_of_ours_holds_in_a_foreign_request() -> None:
    broker = broker_of_all()
    spring = SpringRequester(broker)

    async def sleep(value: bytes, call: Call) -> None:
        assert call.remaining_s == pytest.approx(1.0, abs=0.1)
        await anyio.sleep_forever()

    async with serving(broker, sleep):
        id_ = spring.send(REQUEST, extra=[("x-timeout-ms", b"1000")])
        record = await spring_reply(spring, id_)
    assert header(record, "x-status") == b"deadline_exceeded"


@pytest.mark.parametrize(
    ("dialects", "says"),
    [
        ("spring", r"\[ \]"),
        (Spring(), r"\[ \]"),
        ([], "one at least"),
        (["soap"], "not 'soap'"),
        ([None], "not None"),
    ],
)
async def test_dialects_that_cannot_be(dialects: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        KafkaRPCServer(bootstrap_servers="localhost", group_id="g", dialects=dialects)
