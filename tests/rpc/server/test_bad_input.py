"""What strangers write, and what programs get wrong."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, ConfigurationError, Dedupe, KafkaRPCServer
from sdml_kafka.transport.interfaces import Transport
from tests.support.client_by_hand import (
    GROUP,
    P0,
    REPLY,
    REQUEST,
    ask,
    finished,
    header,
    new_broker,
    no_replies,
    outcomes,
    replies,
    reply,
    server_on,
    serving,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def echo(value: bytes, call: Call) -> bytes:
    return value


# -- reply topics ------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["__consumer_offsets", "__x", REQUEST, "a b", "", ".", "x" * 250])
async def test_a_topic_that_is_never_replied_to(topic: str) -> None:
    broker = new_broker()
    if topic.startswith("__"):
        broker.create_topic(topic)
    async with serving(broker, echo) as server:
        ask(broker, reply_to=[topic, REPLY])
        assert await outcomes(broker, 1) == [b"value"]
        await until(lambda: server.status().in_flight == 0)
        counters = server.status().counters
        assert (counters.refused_topics, counters.replies) == (1, 1)
        assert broker.end_offset(P0) == 1
        assert not topic.startswith("__") or no_replies(broker, topic)


async def test_a_refused_topic_alone_is_not_one_way() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        ask(broker, reply_to=[REQUEST])
        await finished(broker, server, 1)
        counters = server.status().counters
        assert (counters.refused_topics, counters.one_way, counters.replies) == (1, 0, 0)


async def test_topics_that_another_handler_serves() -> None:
    broker = new_broker(other=1)
    server = server_on(broker)
    server.handler(REQUEST)(echo)
    server.handler("other")(echo)
    async with server:
        ask(broker, reply_to=["other"])
        await finished(broker, server, 1)
        assert server.status().counters.refused_topics == 1
        assert no_replies(broker, "other")


@pytest.mark.parametrize(
    "allowed",
    [
        [REPLY],
        {REPLY, "__x", REQUEST},
        lambda topic: topic in (REPLY, "__x", REQUEST),
    ],
)
async def test_an_allow_list(allowed: Any) -> None:
    broker = new_broker(other=1, __x=1)
    async with serving(broker, echo, reply_topics=allowed) as server:
        ask(broker, reply_to=["other", REPLY, "__x", REQUEST])
        ask(broker, reply_to=["other"])
        assert await outcomes(broker, 1) == [b"value"]
        await until(lambda: server.status().in_flight == 0)
        assert server.status().counters.refused_topics == 4
        assert no_replies(broker, "other")
        assert no_replies(broker, "__x")


async def test_an_allow_list_that_raises_refuses(caplog: pytest.LogCaptureFixture) -> None:
    broker = new_broker()
    async with serving(broker, echo, reply_topics=lambda topic: 1 / 0) as server:
        ask(broker)
        await finished(broker, server, 1)
        assert server.status().counters.refused_topics == 1
    assert "reply_topics raised" in caplog.text


async def test_10_000_reply_topics() -> None:
    broker = new_broker()
    names = [f"topic-{number}" for number in range(10_000)]
    for name in names[:3]:
        broker.create_topic(name)
    async with serving(broker, echo, most_reply_topics=2) as server:
        ask(broker, reply_to=names)
        assert (await reply(broker, names[0])).value == b"value"
        assert (await reply(broker, names[1])).value == b"value"
        await until(lambda: server.status().in_flight == 0)
        assert no_replies(broker, names[2])
        counters = server.status().counters
        assert (counters.refused_topics, counters.replies) == (9_998, 2)


async def test_many_other_topics_are_not_remembered_for_ever() -> None:
    broker = new_broker()
    async with serving(broker, echo, reply_topics=[REPLY]) as server:
        for number in range(3000):
            ask(broker, reply_to=[f"topic-{number}", REPLY])
        await until(lambda: server.status().counters.replies == 3000)
        assert len(server._reception.admission._known) <= 1000


# -- headers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [("x-timeout-ms", b"\xff")],
        [("x-timeout-ms", b"-5")],
        [("x-timeout-ms", b"9" * 400)],
        [("x-timeout-ms", b"")],
        [("x-reply-partition", b"-1")],
        [("x-reply-partition", b"nan")],
        [("x-status", b"internal"), ("x-end", b"1"), ("x-sequence", b"7")],
        [("", b""), ("\x00", b"\x00"), ("\u00e4" * 1000, b"x" * 10_000)],
        [("junk", b"x")] * 10_000,
    ],
)
async def test_headers_that_make_no_sense(headers: list[tuple[str, bytes]]) -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, headers=headers)
        record = await reply(broker)
        assert (record.value, header(record, "request_id")) == (b"value", b"1")


async def test_headers_without_a_value() -> None:
    broker = new_broker()
    names = ("request_id", "x-reply-topic", "x-timeout-ms", "x-cancel", "x-reply-partition")
    empty: Any = [(name, None) for name in names]
    async with serving(broker, echo):
        ask(broker, id_=None, headers=empty)
        assert await outcomes(broker, 1) == [b"value"]


async def test_a_tombstone() -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker, None)
        assert await outcomes(broker, 1) == [b""]


async def test_a_cancel_record_for_a_handler_that_does_not_stream() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        ask(broker, headers=[("x-cancel", b"1")])
        ask(broker, id_=None, headers=[("x-cancel", b"1")])
        ask(broker, b"next")
        assert await outcomes(broker, 1) == [b"next"]
        counters = server.status().counters
        assert (counters.requests, counters.unknown_cancels) == (1, 2)


async def test_the_same_key_on_100_concurrent_calls() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        await anyio.sleep(1)
        return value

    async with serving(broker, handle, dedupe=Dedupe()):
        for number in range(100):
            ask(broker, b"%d" % number, f"id-{number}", key=b"key")
        for record in await replies(broker, 100):
            assert header(record, "request_id") == b"id-" + (record.value or b"")
            assert record.key == b"key"


# -- programs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"drain_timeout": -1}, "drain_timeout"),
        ({"drain_timeout": float("nan")}, "drain_timeout"),
        ({"start_timeout": 0}, "start_timeout"),
        ({"stop_timeout": float("inf")}, "stop_timeout"),
        ({"most_reply_topics": 0}, "from 1 to 16"),
        ({"most_reply_topics": 17}, "from 1 to 16"),
        ({"reply_topics": "reply"}, "list of names"),
        ({"corr_header_keys": [""]}, "corr_header_keys"),
        ({"corr_header_keys": ["x-reply-topic"]}, "corr_header_keys"),
        ({"corr_header_keys": [3]}, "corr_header_keys"),
    ],
)
async def test_options_that_cannot_work(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        server_on(new_broker(), **options)


@pytest.mark.parametrize(
    "options",
    [{"most": 0}, {"keep_s": 0}, {"keep_s": float("inf")}, {"most_bytes": 0}],
)
async def test_a_dedupe_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="dedupe"):
        Dedupe(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "group_id"),
        ({"group_id": "g"}, "bootstrap_servers"),
        ({"bootstrap_servers": "localhost:9092"}, "group_id"),
        ({"group_id": "g", "consumer_factory": object}, "set it on the consumer"),
        ({"group_id": "g", "bootstrap_servers": "x", "no_such_option": "secret"}, "no_such_option"),
    ],
)
async def test_how_to_connect(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        KafkaRPCServer(**options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("topics", "text"),
    [
        ((), "needs a topic"),
        (("",), "cannot be the topic"),
        (("a b",), "cannot be the topic"),
        (("__x",), "cannot be the topic"),
        ((".",), "cannot be the topic"),
        (("..",), "cannot be the topic"),
        ((["a"],), "cannot be the topic"),
        ((echo,), "cannot be the topic"),
        (("taken",), "has a handler already"),
    ],
)
async def test_topics_that_cannot_have_a_handler(topics: tuple[Any, ...], text: str) -> None:
    server = server_on(new_broker())
    server.handler("taken")(echo)
    with pytest.raises(ConfigurationError, match=text):
        server.handler(*topics)


def generator(value: bytes, call: Call) -> Any:
    yield value


def takes_one(value: bytes) -> bytes:
    return value


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (None, "cannot be called"),
        ("text", "cannot be called"),
        (generator, "async generator"),
        (takes_one, r"takes_one\(value, call\)"),
    ],
)
async def test_what_cannot_be_a_handler(function: Callable[..., Any] | Any, text: str) -> None:
    server = server_on(new_broker())
    with pytest.raises(ConfigurationError, match=text):
        server.handler("topic")(function)


@pytest.mark.parametrize("options", [{"parser": 3}, {"serializer": 3}, {"concurrency": 0}])
async def test_what_a_handler_cannot_have(options: dict[str, Any]) -> None:
    server = server_on(new_broker())
    with pytest.raises(ConfigurationError):
        server.handler("topic", **options)(echo)


async def test_a_handler_after_entering() -> None:
    async with serving(new_broker(), echo) as server:
        with pytest.raises(ConfigurationError, match="before the server is entered"):
            server.handler("topic")


async def test_a_server_without_handlers() -> None:
    with pytest.raises(ConfigurationError, match="no handler"):
        async with server_on(new_broker()):
            pytest.fail("entered")


async def test_a_group_shared_with_a_listener_of_another_topic() -> None:
    """Kafka gives each member partitions of what it reads itself."""
    broker = new_broker()
    transport = Transport(broker.connect(GROUP), broker.connect_producer())
    other = KafkaRPCServer(transport=transport)
    other.handler(REPLY)(echo)
    async with serving(broker, echo) as server, other:
        await until(lambda: server.status().counters.rebalances > 1)
        assert set(server.status().partitions) == {P0}
        ask(broker, reply_to=[])
        await until(lambda: server.status().counters.one_way == 1)
