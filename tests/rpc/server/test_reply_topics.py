"""The topics that a server replies to, and those that it refuses."""

from typing import Any

import pytest

from tests.support.client_by_hand import (
    P0,
    REPLY,
    REQUEST,
    ask,
    echo,
    finished,
    new_broker,
    no_replies,
    outcomes,
    reply,
    server_on,
    serving,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


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
        assert len(server._actors.request_intake.reply_topic_policy._known) <= 1000
