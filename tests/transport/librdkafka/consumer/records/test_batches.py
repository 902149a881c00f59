"""Messages of librdkafka become columns, in the order in which they came."""

from collections.abc import Sequence
from operator import methodcaller
from typing import Any

import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    Message,
)

from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.consumer.records import batches
from sdml_kafka.transport.librdkafka.consumer.records.batches import Undecodable, in_order


def message(
    offset: int,
    partition: int = 0,
    topic: str = "orders",
    *,
    key: bytes | None = None,
    headers: list[tuple[str, str | bytes | None]] | None = None,
    kind: int = TIMESTAMP_CREATE_TIME,
    error: KafkaError | None = None,
) -> Message:
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=key,
        value=b"%d" % offset,
        headers=headers,
        timestamp=(kind, 1000 + offset),
        error=error,
    )


def shown(messages: Sequence[Message]) -> list[tuple[TopicPartition, list[int]] | str]:
    """Return the partition and the offsets of each run, and the names of errors."""
    parts: list[tuple[TopicPartition, list[int]] | str] = []
    for each in in_order(messages):
        if isinstance(each, Message):
            error = each.error()
            assert error is not None
            parts.append(error.name())
        else:
            assert isinstance(each[1], RecordColumns)
            parts.append((each[0], list(each[1].offsets)))
    return parts


def test_runs_of_a_partition_stay_together_and_in_order() -> None:
    p0, p1 = TopicPartition("orders", 0), TopicPartition("orders", 1)
    q0 = TopicPartition("bills", 0)
    runs = [message(3), message(4), message(9, 1), message(5), message(0, topic="bills")]
    assert shown(runs) == [(p0, [3, 4]), (p1, [9]), (p0, [5]), (q0, [0])]


def test_what_is_no_record_keeps_its_place() -> None:
    p0 = TopicPartition("orders", 0)
    end = message(2, error=KafkaError(KafkaError._PARTITION_EOF))
    assert shown([message(0), end, message(2)]) == [(p0, [0]), "_PARTITION_EOF", (p0, [2])]
    assert shown([end]) == ["_PARTITION_EOF"]
    assert shown([]) == []


def test_a_log_that_was_created_anew_is_a_part_of_its_own() -> None:
    p0 = TopicPartition("orders", 0)
    assert shown([message(7), message(9), message(0), message(1)]) == [(p0, [7, 9]), (p0, [0, 1])]


def test_a_record_has_all_its_parts() -> None:
    plain = message(0)
    rich = message(1, key=b"k", headers=[("a", b"1")], kind=TIMESTAMP_LOG_APPEND_TIME)
    ((place, columns),) = in_order([plain, rich])  # type: ignore[misc]  # no message among them
    assert isinstance(columns, RecordColumns)
    first, second = columns
    assert (first.topic, first.partition) == place
    assert (first.offset, first.timestamp, first.timestamp_type) == (0, 1000, 0)
    assert (first.key, first.value, first.headers) == (None, b"0", ())
    assert (second.offset, second.timestamp, second.timestamp_type) == (1, 1001, 1)
    assert (second.key, second.value, second.headers) == (b"k", b"1", (("a", b"1"),))
    assert columns.sizes == [1, 4]


class Hostile:
    """Stands in for a message whose headers confluent-kafka cannot show."""

    asked: int = 0

    def __init__(self, like: Message) -> None:
        self._like = like

    def __getattr__(self, name: str) -> Any:
        return getattr(self._like, name)

    def headers(self) -> object:
        self.asked += 1
        raise SystemError("returned a result with an exception set") from UnicodeDecodeError(
            "utf-8", b"\xff", 0, 1, "invalid start byte"
        )


@pytest.mark.parametrize("bad", [{0}, {2}, {4}, {1, 2}, {0, 1, 2, 3, 4}])
def test_headers_that_do_not_decode_spoil_no_other_record(
    bad: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("error", "topic", "partition", "offset", "timestamp", "key", "value", "headers"):
        monkeypatch.setattr(batches, f"_{name}_of", methodcaller(name))
    headers: list[tuple[str, str | bytes | None]] = [("name", b"x")]
    messages: list[Any] = [message(number, headers=headers) for number in range(5)]
    for number in bad:
        messages[number] = Hostile(messages[number])
    found = dict[int, bool]()
    for run in in_order(messages):
        assert not isinstance(run, Message)
        if isinstance(run[1], Undecodable):
            assert "UnicodeDecodeError" in run[1].reason
            found[run[1].offset] = False
        else:
            found.update((record.offset, True) for record in run[1])
            assert all(record.headers == (("name", b"x"),) for record in run[1])
    assert list(found) == list(range(5))
    assert {offset for offset, is_whole in found.items() if not is_whole} == bad
    assert all(messages[number].asked == 1 for number in bad), "to ask again may crash"
