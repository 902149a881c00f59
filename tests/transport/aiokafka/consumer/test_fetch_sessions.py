"""What a fetch names while a broker remembers the partitions, and when all of them are named."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition as ClientPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.fetch import (
    FetchRequest,
    FetchRequest_v11,
    FetchResponse_v4,
    FetchResponse_v11,
)

from sdml_kafka.transport.aiokafka.consumer import fetch_sessions
from sdml_kafka.transport.aiokafka.consumer.fetch_sessions import (
    IDLE_REPEATS,
    IDLE_WAIT_MS,
    MAX_BUSY_WAIT_MS,
    MIN_BUSY_WAIT_MS,
    MIN_PARTITIONS,
    SWITCH,
    TICK_S,
    begin_sessions,
)
from sdml_kafka.transport.aiokafka.factory import OwnWait
from sdml_kafka.transport.aiokafka.fetch_codec import QuickFetchRequest
from tests.support.aiokafka_version import needs_newer_aiokafka

pytestmark = [pytest.mark.anyio, needs_newer_aiokafka]

NODE = 1
SESSION = 77


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Broker:
    """A fetcher of aiokafka's kind with its partitions, and a broker that answers it."""

    def __init__(self, partitions: int = MIN_PARTITIONS, wait_ms: int = 250) -> None:
        self.version = 11
        self.sent: list[Any] = []
        self.groups: list[Any] = []
        """The connection of each request that was sent."""
        self.is_frozen = False
        self.answer: Callable[[Any], Any] = lambda _: answered()
        self.chosen_anew = 0
        self.cluster = SimpleNamespace(_partitions={})
        self.fetcher: Any = SimpleNamespace(
            _records={},
            _in_flight=set(),
            _client=self,
            _client_rack=None,
            _fetch_max_wait_ms=wait_ms,
            _get_actions_per_node=self._choose_anew,
            close=self._close_fetcher,
        )
        self.is_closed = False
        connection = SimpleNamespace(connected=lambda: True)
        self._conns = {(NODE, ConnectionGroup.DEFAULT): connection}
        self.assign(partitions)
        begin_sessions(SimpleNamespace(_fetcher=self.fetcher, _client=self))

    def assign(self, partitions: int) -> None:
        keys = [ClientPartition("topic", number) for number in range(partitions)]
        states = {
            key: SimpleNamespace(
                _position=0, _paused=False, highwater=None, lso=None, timestamp=None
            )
            for key in keys
        }
        self.assignment = SimpleNamespace(tps=frozenset(keys), _tp_state=states)

    def state(self, number: int) -> Any:
        return self.assignment._tp_state["topic", number]

    def _choose_anew(self, assignment: Any) -> tuple[Any, ...]:
        self.chosen_anew += 1
        wanted = [
            (key.partition, state._position, 1 << 20)
            for key, state in sorted(assignment._tp_state.items())
            if not state._paused and key not in self.fetcher._records
        ]
        wait_ms = self.fetcher._fetch_max_wait_ms
        request = FetchRequest(wait_ms, 1, 50 << 20, 0, [("topic", wanted)])
        return [(NODE, request)], {}, 0.2, False, []

    async def _close_fetcher(self) -> None:
        self.is_closed = True

    async def send(self, node: int, request: Any, *, group: Any = ConnectionGroup.DEFAULT) -> Any:
        """Stand for the client's own `send`."""
        self.sent.append(request.prepare({FetchRequest.API_KEY: (4, self.version)}))
        self.groups.append(group)
        if self.is_frozen:
            await asyncio.Event().wait()
        return self.answer(self.sent[-1])

    async def fetch(self) -> Any:
        """Do what the fetcher does in one turn, and return the request with what was sent."""
        requests, *_ = self.fetcher._get_actions_per_node(self.assignment)
        ((node, request),) = requests
        await self.fetcher._client.send(node, request)
        return request

    async def names(self) -> tuple[list[int], list[int]]:
        """Return the partitions that the next fetch names, and those that are to be forgotten."""
        await self.fetch()
        sent = self.sent[-1]
        named = [each[0] for _, entries in sent.topics for each in entries]
        return sorted(named), [each for _, all_ in sent.forgotten_topics_data for each in all_]

    def epoch(self) -> tuple[int, int]:
        return self.sent[-1].session_id, self.sent[-1].session_epoch


def answered(*partitions: Any, session: int = SESSION, error: int = 0) -> Any:
    return FetchResponse_v11(0, error, session, [("topic", list(partitions))] if partitions else [])


def part(number: int, code: int = 0, end: int = 9, stable: int = 8) -> Any:
    return (number, code, end, stable, 0, [], -1, b"")


ALL = list(range(MIN_PARTITIONS))


async def test_a_fetch_names_what_has_changed_since_the_last_one() -> None:
    broker = Broker()
    assert await broker.names() == (ALL, [])
    assert broker.epoch() == (0, 0)
    assert await broker.names() == ([], [])
    assert broker.epoch() == (SESSION, 1)
    broker.state(3)._position = 5
    assert await broker.names() == ([3], [])
    assert broker.epoch() == (SESSION, 2)
    broker.fetcher._records["topic", 4] = object()
    assert await broker.names() == ([], [4])
    broker.fetcher._records.clear()
    broker.state(6)._paused = True
    assert await broker.names() == ([4], [6])
    broker.state(6)._paused = False
    assert await broker.names() == ([6], [])
    assert broker.epoch() == (SESSION, 5)


async def test_what_has_not_changed_is_not_looked_at_again() -> None:
    broker = Broker()
    for _ in range(5):
        await broker.fetch()
    assert broker.chosen_anew == 1
    broker.fetcher._in_flight = {NODE}
    assert broker.fetcher._get_actions_per_node(broker.assignment) == ([], {}, TICK_S, False, [])
    broker.fetcher._in_flight = set()
    broker.cluster._partitions = {}  # the brokers have answered where partitions are
    await broker.fetch()
    assert broker.chosen_anew == 2
    assert await broker.names() == ([], [])


async def test_with_a_rack_aiokafka_chooses_each_time() -> None:
    broker = Broker()
    broker.fetcher._client_rack = "here"
    await broker.fetch()
    assert await broker.names() == ([], [])
    assert broker.chosen_anew == 2


async def test_aiokafka_looks_up_what_the_answer_names() -> None:
    broker = Broker()
    broker.answer = lambda _: answered(part(3))
    request = await broker.fetch()
    assert request.topics == [("topic", [(3, 0, 1 << 20)])]
    broker.answer = lambda _: answered()
    assert (await broker.fetch()).topics == []


async def test_the_ends_are_noted_though_the_position_has_moved_and_the_rest_is_as_it_was() -> None:
    broker = Broker()
    broker.answer = lambda _: answered(*(part(number, end=2) for number in ALL))
    await broker.fetch()
    for number in ALL:
        broker.state(number).timestamp = 0

    def answer(_: object) -> Any:
        broker.state(3)._position = 5  # so that aiokafka ignores the answer
        return answered(part(3, end=7, stable=6), part(4, code=6, end=-1, stable=-1))

    broker.answer = answer
    await broker.fetch()
    ends = [(broker.state(each).highwater, broker.state(each).lso) for each in (2, 3, 4)]
    assert ends == [(2, 8), (7, 6), (2, 8)]
    assert all(broker.state(number).timestamp for number in ALL)


async def test_a_session_that_the_broker_has_dropped_begins_anew() -> None:
    broker = Broker()
    await broker.fetch()
    broker.answer = lambda _: answered(session=0, error=70)
    assert await broker.names() == ([], [])
    broker.answer = lambda _: answered(session=78)
    assert await broker.names() == (ALL, [])
    assert broker.epoch() == (SESSION, 0)
    assert await broker.names() == ([], [])
    assert broker.epoch() == (78, 1)


async def test_after_a_fetch_without_an_answer_all_is_named() -> None:
    broker = Broker()
    await broker.fetch()

    def answer(_: object) -> Any:
        raise KafkaConnectionError

    broker.answer = answer
    with pytest.raises(KafkaConnectionError):
        await broker.fetch()
    broker.answer = lambda _: answered()
    assert await broker.names() == (ALL, [])
    assert broker.epoch() == (SESSION, 0)


async def test_an_assignment_begins_a_session() -> None:
    broker = Broker()
    await broker.fetch()
    broker.assign(MIN_PARTITIONS)
    assert await broker.names() == (ALL, [])
    assert broker.epoch() == (SESSION, 0)


async def test_a_broker_without_room_for_sessions_is_told_all_each_time() -> None:
    broker = Broker()
    broker.answer = lambda _: answered(session=0)
    for _ in range(3):
        assert await broker.names() == (ALL, [])
        assert broker.epoch() == (0, 0)


async def test_a_broker_that_refuses_sessions_is_not_asked_for_one_again() -> None:
    broker = Broker()
    broker.answer = lambda _: answered(session=0, error=35)
    await broker.fetch()
    broker.answer = lambda _: answered(part(3), session=0)
    for _ in range(2):
        assert await broker.names() == (ALL, [])
        assert broker.epoch() == (0, -1)


async def test_an_old_broker_is_asked_as_aiokafka_does() -> None:
    broker = Broker()
    broker.version = 4
    broker.answer = lambda _: FetchResponse_v4(0, [])
    for _ in range(2):
        request = await broker.fetch()
        assert request.topics[0][1] == broker.sent[-1].topics[0][1]
        assert len(request.topics[0][1]) == MIN_PARTITIONS


async def test_an_answer_for_what_nobody_asked_for_is_an_error() -> None:
    broker = Broker()
    broker.answer = lambda _: answered(part(MIN_PARTITIONS))
    with pytest.raises(KafkaError, match="topic"):
        await broker.fetch()
    broker.answer = lambda _: answered()
    assert await broker.names() == (ALL, [])


async def test_a_session_ends_with_the_fetcher() -> None:
    broker = Broker()
    await broker.fetch()
    await broker.fetcher.close()
    assert broker.is_closed
    assert broker.epoch() == (SESSION, -1)
    assert broker.sent[-1].topics == []
    # A fetch that waits for records does not hold it up.
    assert broker.groups == [ConnectionGroup.DEFAULT, ConnectionGroup.COORDINATION]
    await broker.fetcher.close()
    assert len(broker.sent) == 2


async def test_without_a_session_there_is_none_to_end() -> None:
    broker = Broker()
    broker.answer = lambda _: answered(session=0)
    await broker.fetch()
    await broker.fetcher.close()
    assert len(broker.sent) == 1


async def test_a_broker_that_has_gone_is_not_asked_to_end_a_session() -> None:
    broker = Broker()
    await broker.fetch()
    broker._conns.clear()
    await broker.fetcher.close()
    assert len(broker.sent) == 1


async def test_a_broker_that_does_not_answer_holds_up_the_end_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch_sessions, "CLOSE_TIMEOUT_S", 0.01)
    broker = Broker()
    await broker.fetch()
    broker.is_frozen = True
    await asyncio.wait_for(broker.fetcher.close(), 10)
    assert broker.epoch() == (SESSION, -1)


async def test_an_end_that_is_refused_is_no_error() -> None:
    broker = Broker()
    await broker.fetch()

    def answer(_: object) -> Any:
        raise KafkaConnectionError

    broker.answer = answer
    await broker.fetcher.close()
    assert broker.epoch() == (SESSION, -1)


async def test_few_partitions_are_named_each_time() -> None:
    broker = Broker(MIN_PARTITIONS - 1)
    for _ in range(2):
        request = await broker.fetch()
        assert type(request) is FetchRequest
        assert type(broker.sent[-1]) is QuickFetchRequest
        assert broker.sent[-1].encode() == request.build(FetchRequest_v11).encode()


async def test_fetches_wait_longer_while_nothing_comes() -> None:
    broker = Broker(wait_ms=OwnWait(250))
    for _ in range(IDLE_REPEATS + 3):
        await broker.fetch()
    waits = [sent.max_wait_time for sent in broker.sent]
    assert waits == [250] * (1 + IDLE_REPEATS) + [IDLE_WAIT_MS] * 2
    broker.state(3)._position = 5
    await broker.fetch()
    await broker.fetch()
    assert [sent.max_wait_time for sent in broker.sent[-2:]] == [250, 250]


async def test_the_wait_that_the_user_has_chosen_stays() -> None:
    broker = Broker(wait_ms=250)
    for _ in range(IDLE_REPEATS + 3):
        await broker.fetch()
    assert {sent.max_wait_time for sent in broker.sent} == {250}


@pytest.mark.parametrize("partitions", [2, MIN_PARTITIONS])
@pytest.mark.parametrize(
    ("age_s", "wait_ms"), [(0.0, MIN_BUSY_WAIT_MS), (0.05, 50), (9.0, MAX_BUSY_WAIT_MS)]
)
async def test_a_fetch_waits_no_longer_than_records_at_hand_have_waited(
    partitions: int, age_s: float, wait_ms: int
) -> None:
    broker = Broker(partitions)
    at_hand = SimpleNamespace(_created=time.monotonic() - age_s)
    broker.fetcher._records[ClientPartition("topic", 1)] = at_hand
    await broker.fetch()
    assert wait_ms <= broker.sent[-1].max_wait_time <= wait_ms + 40
    broker.fetcher._records.clear()
    for _ in range(3):
        await broker.fetch()
        assert broker.sent[-1].max_wait_time == 250


async def test_a_wait_that_is_shorter_still_stays() -> None:
    broker = Broker(wait_ms=2)
    broker.fetcher._records[ClientPartition("topic", 1)] = SimpleNamespace(_created=0.0)
    await broker.fetch()
    assert broker.sent[-1].max_wait_time == 2


async def test_the_switch_leaves_the_fetches_to_aiokafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    assert type(await Broker().fetch()) is FetchRequest


async def test_another_aiokafka_is_left_alone_with_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    version = SimpleNamespace(API_VERSION=7, SCHEMA=SimpleNamespace(names=("topics",)))
    other = SimpleNamespace(_CLASSES=(version,))
    monkeypatch.setattr(fetch_sessions, "FetchRequest", other)
    assert type(await Broker().fetch()) is FetchRequest
    assert "session_id" in caplog.text
