"""Bytes of real services of Spring and NestJS, replayed in both directions."""

from collections.abc import Mapping, Sequence
from json import loads

import pytest

from sdml_kafka.rpc.dialects.foreign import ForeignDialect, reply_to_headers
from sdml_kafka.rpc.dialects.messages import Reply, Request
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.rpc.dialects.nestjs import NestCodec
from sdml_kafka.rpc.dialects.spring import SENT_AN_ERROR, SpringCodec
from sdml_kafka.rpc.dialects.union import Union, dialect_of
from tests.rpc.dialects.recordings import (
    NEST_REPLIES,
    NEST_REQUESTS,
    SPRING_REPLIES,
    SPRING_REQUESTS,
    Recorded,
)

UNION = Union(frozenset({"spring", "nestjs"}), (SENT_AN_ERROR,))
SPRING, NEST = SpringCodec((SENT_AN_ERROR,)), NestCodec()


def flat(record: Recorded) -> tuple[str | bytes, ...]:
    return tuple(each for header in record.headers for each in header)


def all_of(requests: Mapping[str, Sequence[Recorded]]) -> list[Recorded]:
    return [record for records in requests.values() for record in records]


@pytest.mark.parametrize("record", all_of(SPRING_REQUESTS), ids=lambda each: each.headers[-1][0])
def test_a_request_of_spring_is_read(record: Recorded) -> None:
    headers = dict(record.headers)
    partition = headers.get("kafka_replyPartition")
    assert dialect_of(flat(record), record.topic) == "spring"
    assert UNION.read_request(flat(record), record.topic) == Request(
        headers["kafka_correlationId"],
        "kafka_correlationId",
        ("interop-replies",),
        0,
        None if partition is None else int.from_bytes(partition, "big"),
    )


@pytest.mark.parametrize("record", all_of(NEST_REQUESTS), ids=lambda each: str(each.key))
def test_a_request_of_nest_is_read(record: Recorded) -> None:
    headers = dict(record.headers)
    assert dialect_of(flat(record), record.topic) == "nestjs"
    assert UNION.read_request(flat(record), record.topic) == Request(
        headers["kafka_correlationId"], "kafka_correlationId", (f"{record.topic}.reply",), 0, 0
    )


@pytest.mark.parametrize("record", [*all_of(SPRING_REQUESTS), *all_of(NEST_REQUESTS)], ids=str)
def test_in_our_own_dialect_it_asks_for_no_reply(record: Recorded) -> None:
    request = Wire().read_flat_request(flat(record), record.key)
    assert (request.reply_topics, request.refused_topics, request.is_cancel) == ((), 0, False)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("plain: hello", ["ok"]),
        ("plain: boom", []),
        ("plain: null", []),
        ("plain: list", ["no id"] * 3),
        ("plain: messages", ["ok"] * 3),
        ("errors: boom", ["unknown: boom from spring"]),
    ],
)
def test_replies_of_spring_are_read(name: str, read: list[str]) -> None:
    assert [shown(SPRING, record) for record in SPRING_REPLIES[name]] == read


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("one: hello", ["ok"]),
        ("one: null", ["ok"]),
        ("one: boom", ["error: boom"]),
        ("one: boom-object", ["not_found: no such thing"]),
        ("one: boom-plain", ["error: Internal server error"]),
        ("stream: three", ["more", "more", "ok"]),
        ("stream: late", ["more", "more", "more", "ok"]),
        ("stream: boom", ["more", "error: boom mid-stream"]),
    ],
)
def test_replies_of_nest_are_read(name: str, read: list[str]) -> None:
    assert [shown(NEST, record) for record in NEST_REPLIES[name]] == read


def test_every_recording_of_replies_is_replayed() -> None:
    assert set(SPRING_REPLIES) == {
        *("plain: hello", "plain: boom", "plain: null", "plain: list", "plain: messages"),
        "errors: boom",
    }
    assert set(NEST_REPLIES) == {
        *("one: hello", "one: null", "one: boom", "one: boom-object", "one: boom-plain"),
        *("stream: three", "stream: late", "stream: boom"),
    }


def shown(dialect: ForeignDialect, record: Recorded) -> str:
    """Return what a client reads in a reply, and check that both ways to read it agree."""
    headers = flat(record)
    reply, plain_id = dialect.read_flat_reply(headers), dialect.plain_id(headers)
    if plain_id is not None:
        assert reply == Reply(plain_id)
    if reply.id is None:
        return "no id"
    if reply.status != "ok":
        return f"{reply.status}: {reply.error}"
    return "more" if reply.more_follow else "ok"


# -- what we write, in their form --------------------------------------------------------


def test_our_requests_have_the_headers_of_theirs() -> None:
    """With a timeout and in another order, neither of which they mind."""
    (pinned,), (text,) = SPRING_REQUESTS["a pinned partition"], NEST_REQUESTS["text"]
    of_spring = reply_to_headers(SPRING, "interop-replies", 1)
    of_nest = reply_to_headers(NEST, "interop-one.reply", 0)
    assert set(of_spring) < set(pinned.headers)
    assert set(of_nest) < set(text.headers)


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("one: hello", "ok", ""),
        ("one: null", "ok", ""),
        ("one: boom", "error", "boom"),
        ("one: boom-object", "not_found", "no such thing"),
    ],
)
def test_our_replies_have_the_headers_of_nests(name: str, status: str, error: str) -> None:
    (theirs,) = NEST_REPLIES[name]
    ours = UNION.reply_headers(Reply(theirs.headers[0][1], status, error), "kafka_correlationId")
    assert ours[0] == theirs.headers[0]
    both = dict(ours), dict(theirs.headers)
    assert both[0].keys() >= both[1].keys()
    assert both[0]["kafka_nest-is-disposed"] == both[1]["kafka_nest-is-disposed"]
    if status != "ok":
        assert loads(both[0]["kafka_nest-err"]) == loads(both[1]["kafka_nest-err"])


def test_our_errors_have_the_headers_of_springs() -> None:
    (theirs,) = SPRING_REPLIES["errors: boom"]
    error = Reply(theirs.headers[0][1], "internal", "boom from spring")
    assert set(theirs.headers) < set(UNION.reply_headers(error, "kafka_correlationId"))
