"""Requests that came column by column: their calls show the records as they came."""

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve, frozen

from sdml_kafka import Call, SendFailed
from sdml_kafka.rpc.server.actor_tree import ServerActors
from sdml_kafka.rpc.server.call import Answer, ServerCall
from sdml_kafka.transport.aiokafka.producer.adapter import report
from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.fetched.record import FetchedRecord
from sdml_kafka.transport.interfaces.producer import Message, always
from sdml_kafka.transport.interfaces.reports import Assignment
from tests.support.client_by_hand import P0, REPLY, new_broker, server_on


@frozen
class Raw:
    """What a decoder makes of a record."""

    offset: int
    timestamp: int = 1000
    timestamp_type: int = 0
    key: bytes | None = None
    value: bytes | None = b"value"
    headers: tuple[tuple[str, bytes], ...] = ()
    checksum: int | None = None


HEADERS = (("request_id", b"7"), ("x-timeout-ms", b"500"), ("x-reply-topic", REPLY.encode()))
RAWS = [
    Raw(4, key=b"key", headers=HEADERS),
    Raw(6, value=None, headers=HEADERS[:1]),
    Raw(7, headers=(*HEADERS, ("mine", b"x"))),
]


def taken(raws: list[Raw], *, are_plain: bool = True) -> tuple[ServerActors, list[ServerCall]]:
    """Return a server that does not run, and the calls that it makes of records."""

    async def handle(value: bytes, call: Call) -> bytes:
        return value

    server = server_on(new_broker())
    server.handler(P0.topic)(handle)
    actors = server._build()
    columns = RecordColumns(P0)
    columns.add_raws(raws, are_plain=are_plain)
    actors.intake.open(Assignment(1, {P0: 0}, {}), {})
    actors.intake.accept({P0: columns}, {}, lambda records: [0] * len(records))
    actors.queue.refresh()
    lane = actors.queue.take(10.0)
    assert lane is not None
    return actors, lane.calls[::-1]


@pytest.fixture(autouse=True)
def _loop_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.client_by_hand.loop_time", lambda: 1.25)


@pytest.mark.parametrize("timestamp_type", [0, 1])
def test_a_call_shows_its_record(timestamp_type: int) -> None:
    raws = [evolve(raw, timestamp_type=timestamp_type) for raw in RAWS]
    _, calls = taken(raws, are_plain=not timestamp_type)
    for raw, call in zip(raws, calls, strict=True):
        assert (call.topic, call.key, call.headers) == (P0.topic, raw.key, raw.headers)
        assert type(call.record) is FetchedRecord
        assert call.record is call.record
        assert call.record == FetchedRecord(
            *P0, raw.offset, 1000, timestamp_type, raw.key, raw.value, None, call.flat_headers
        )
        assert call.record.headers == raw.headers


def test_a_call_has_what_its_headers_say() -> None:
    _, (first, second, third) = taken(RAWS)
    assert (first.id, first.reply_topics, first.deadline) == (b"7", (REPLY,), 10.25)
    assert (second.id, second.reply_topics, second.deadline) == (b"7", (), None)
    assert (third.id, third.reply_topics, third.deadline) == (b"7", (REPLY,), 10.25)
    assert [call.is_special for call in (first, second, third)] == [False, True, False]


def test_replies_that_are_acknowledged_together_finish_their_requests() -> None:
    actors, calls = taken([Raw(offset, headers=HEADERS) for offset in range(5)])
    report_sent = list[Any]()
    actors.outbox.send = lambda message, on_sent, is_wanted=always: report_sent.append(on_sent)
    for call in calls:
        actors.replies.finish(call, Answer(b"answer"))
    assert report_sent == calls
    report([(call.message, call, always) for call in (calls[0], *calls[2:])], None)
    (chunk,) = {call.chunk for call in calls}
    assert (chunk.unfinished, chunk.frontier(), actors._counts.replies) == (1, 1, 4)
    report([(calls[1].message, calls[1], always)], None)
    assert (chunk.unfinished, actors._counts.replies) == (0, 5)


def test_what_a_broker_has_acknowledged_is_reported_one_by_one_to_several_kinds() -> None:
    seen = list[object]()

    class Together:
        def __call__(self, error: Exception | None) -> None:
            seen.append(self)

        @staticmethod
        def all_acknowledged(callbacks: Sequence[object]) -> None:
            seen.append(list(callbacks))

    one, other, message = Together(), Together(), Message("topic", b"")
    report([(message, one, always), (message, other, always)], None)
    report([(message, one, always), (message, seen.append, always)], None)
    report([(message, one, always)], SendFailed("no"))
    assert seen == [[one, other], one, None, one]
