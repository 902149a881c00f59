"""Dead letters over HTTP, on a real Kafka: listed, shown, and sent anew, each once."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import psutil
import pytest

from sdml_kafka import KafkaListener
from sdml_kafka.dead_letters import replay
from sdml_kafka.observability import app
from sdml_kafka.observability.dead_letters import desk
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.transactions import NoTransactions
from tests.support.dead_letter_topics import DeadTopic
from tests.support.processing_on_broker import records_of
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(120)]

TOKEN = "a-token-of-16-characters"
CLIENTS = ["aiokafka", pytest.param("librdkafka", marks=pytest.mark.one_loop)]


def asking(listener: KafkaListener) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app(listener, dead_letter_token=TOKEN)),
        base_url="http://service",
        headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
    )


async def values_in(topic: DeadTopic) -> list[bytes]:
    """Return what readers of committed records see."""
    read = records_of(topic.servers, topic.first, isolation="read_committed")
    return sorted(each.value or b"" for each in await read)


@pytest.mark.parametrize("kafka_client", CLIENTS)
async def test_one_is_sent_and_then_the_others(
    kafka_client: str, embedded_kafka: EmbeddedKafka
) -> None:
    """Each is sent once, whether alone or with all; the listener itself gets them."""
    topic = await DeadTopic.create(embedded_kafka)
    await topic.fill([b"%d" % number for number in range(6)], error="<b>no stock</b>")
    async with topic.listener(client=kafka_client) as listener, asking(listener) as client:
        (listed,) = (await client.post("/dead-letters", json={})).json()["topics"]
        assert (listed["topic"], listed["error"]) == (topic.dead, None)
        assert len(listed["letters"]) == 6
        letter = next(each for each in listed["letters"] if each["from"]["offset"] == 3)
        assert (letter["partition"], letter["offset"], letter["sent"]) == (1, 1, False)
        assert letter["exception"].endswith("ValueError")
        assert letter["message"] == "<b>no stock</b>"
        assert 0 <= letter["age_s"] < 60
        assert "value" not in letter

        place = {"topic": topic.dead, "partition": 1, "offset": 1}
        shown = await client.post("/dead-letters/show", json=place)
        assert shown.json()["text"].endswith("value:\n  3\n")
        gone = await client.post("/dead-letters/show", json={**place, "offset": 99})
        assert gone.status_code == 404

        one = await client.post("/dead-letters/replay", json=place)
        assert one.json()["sent"] == {topic.first: 1}
        again = await client.post("/dead-letters/replay", json=place)
        assert (again.status_code, again.json()) == (409, {"error": "it was sent before"})
        assert await values_in(topic) == [b"3"]
        (listed,) = (await client.post("/dead-letters", json={})).json()["topics"]
        assert [each["from"]["offset"] for each in listed["letters"] if each["sent"]] == [3]

        rest = await client.post("/dead-letters/replay", json={"topic": topic.dead})
        assert (rest.json()["sent"], rest.json()["ended"]) == ({topic.first: 5}, True)
        nothing = await client.post("/dead-letters/replay", json={"topic": topic.dead})
        assert (nothing.json()["sent"], nothing.json()["error"]) == ({}, None)
        assert await values_in(topic) == [b"%d" % number for number in range(6)]
        await until(lambda: listener.status().counters.finished == 6)


@pytest.mark.one_loop
@asynccontextmanager
async def no_transactions(*_: object) -> AsyncGenerator[None]:
    raise NoTransactions("it has none")
    yield


@pytest.mark.one_loop
async def test_without_transactions_all_are_sent_over_librdkafka(
    embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "open_transactions", no_transactions)
    topic = await DeadTopic.create(embedded_kafka)
    await topic.fill([b"%d" % number for number in range(6)])
    async with asking(topic.listener(client="librdkafka")) as client:
        for sent in ({topic.first: 6}, {}):
            answer = await client.post("/dead-letters/replay", json={"topic": topic.dead})
            assert (answer.json()["sent"], answer.json()["error"]) == (sent, None)
    assert await values_in(topic) == [b"%d" % number for number in range(6)]


async def test_rounds_and_a_second_one_at_once(
    embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that takes long goes on in the next round; two at once are refused."""
    monkeypatch.setattr(desk, "ROUND_S", 0.0)
    topic, count = await DeadTopic.create(embedded_kafka), 2000
    await topic.fill([b"%d" % number for number in range(count)])
    asked, answers, sent = {"topic": topic.dead}, list[httpx.Response](), 0

    async with topic.listener() as listener, asking(listener) as client:

        async def ask() -> None:
            answers.append(await client.post("/dead-letters/replay", json=asked))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert sorted(each.status_code for each in answers) == [200, 409]
        rounds = [each.json() for each in answers if each.status_code == 200]
        assert not rounds[0]["ended"]
        monkeypatch.setattr(desk, "ROUND_S", 5.0)
        while not rounds[-1]["ended"]:
            rounds.append((await client.post("/dead-letters/replay", json=asked)).json())
        sent = sum(each["sent"].get(topic.first, 0) for each in rounds)
    values = await values_in(topic)
    assert (sent, len(values), len(set(values))) == (count, count, count)


@pytest.mark.parametrize("kafka_client", CLIENTS)
async def test_a_replay_that_is_cut_off_has_not_half_happened(
    kafka_client: str, embedded_kafka: EmbeddedKafka
) -> None:
    """As by a server that shuts down: the next replay sends each that was not sent, once."""
    topic, count = await DeadTopic.create(embedded_kafka), 1000
    connections = psutil.Process().net_connections
    before = len(connections())
    await topic.fill([b"%d" % number for number in range(count)])
    asked: dict[str, Any] = {"topic": topic.dead}
    async with topic.listener(client=kafka_client) as listener, asking(listener) as client:
        with anyio.move_on_after(20):
            async with anyio.create_task_group() as tasks:

                async def cut_off() -> None:
                    await until(lambda: listener.status().counters.delivered > 0)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(cut_off)
                await client.post("/dead-letters/replay", json=asked)
                tasks.cancel_scope.cancel()
        ended = False
        while not ended:
            answer = (await client.post("/dead-letters/replay", json=asked)).json()
            assert answer["error"] is None, json.dumps(answer)
            ended = answer["ended"]
    await until(lambda: len(connections()) <= before, within_s=10)
    values = await values_in(topic)
    assert (len(values), len(set(values))) == (count, count)


@pytest.mark.one_loop
async def test_a_broker_that_is_away_is_an_answer(
    mortal_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asking disturbs neither the listener nor what else is asked."""
    monkeypatch.setattr(desk, "TIMEOUT_S", 1.0)
    topic = await DeadTopic.create(mortal_kafka)
    place = {"topic": topic.dead, "partition": 0, "offset": 0}
    async with topic.listener() as listener, asking(listener) as client:
        await anyio.to_thread.run_sync(mortal_kafka.kill)
        listed = await client.post("/dead-letters", json={})
        (each,) = listed.json()["topics"]
        assert (listed.status_code, each["letters"]) == (200, [])
        assert each["error"]
        for path in ("show", "replay"):
            answer = await client.post(f"/dead-letters/{path}", json=place)
            assert (answer.status_code, bool(answer.json()["error"])) == (503, True)
        assert (await client.get("/live")).status_code == 200
        await anyio.to_thread.run_sync(mortal_kafka.restart)
