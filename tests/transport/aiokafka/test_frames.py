"""Answers as they are read from a socket, however they come in pieces."""

import asyncio
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.aiokafka import frames
from sdml_kafka.transport.aiokafka.client import moved_bytes
from sdml_kafka.transport.aiokafka.frames import FrameReader, read_frames


class Protocol(asyncio.Protocol):
    """What aiokafka has there."""

    def __init__(self) -> None:
        self.ended: list[object] = []

    def eof_received(self) -> bool | None:
        self.ended.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.append(exc)


class Connection:
    """A connection of aiokafka's, as far as it is used."""

    def __init__(self, transport: Any = None) -> None:
        self._reader: Any = type("Reader", (), {"_buffer": bytearray()})()
        self._writer: Any = type("Writer", (), {"transport": transport})()
        self._protocol = Protocol()
        self._requests = deque[object]()
        self.answers: list[bytes] = []
        self.closed_with: Exception | None = None
        self.error_at = -1

    def _handle_frame(self, answer: bytes) -> None:
        if len(self.answers) == self.error_at:
            raise RuntimeError("bad answer")
        self.answers.append(answer)

    def close(self, reason: object, error: Exception) -> None:
        self._reader, self.closed_with = None, error


def framed(*answers: bytes) -> bytes:
    return b"".join(len(answer).to_bytes(4, "big") + answer for answer in answers)


def feed(reader: FrameReader, data: bytes, pieces: list[int]) -> None:
    """Hand bytes over in pieces of these sizes in turn, as far as there is room for them."""
    turn = 0
    while data:
        room = reader.get_buffer(-1)
        count = min(len(room), len(data), pieces[turn % len(pieces)])
        assert count > 0
        room[:count] = data[:count]
        reader.buffer_updated(count)
        data, turn = data[count:], turn + 1


@given(
    st.lists(st.integers(0, 50) | st.sampled_from([70_000, 200_000]), max_size=6),
    st.lists(st.sampled_from([1, 3, 4, 5, 40, 60_000, 1 << 20]), min_size=1, max_size=4),
)
def test_answers_are_whole_however_they_come(sizes: list[int], pieces: list[int]) -> None:
    if max(sizes, default=0) > 50:
        pieces = [*pieces, 60_000]
    answers = [bytes([number]) * size for number, size in enumerate(sizes)]
    connection = Connection()
    reader = FrameReader(connection)
    feed(reader, framed(*answers), pieces)
    assert connection.answers == answers
    assert reader.received == len(framed(*answers))


def test_freed_memory_is_kept_once_answers_are_large() -> None:
    frames.keep_freed_memory.cache_clear()
    connection = Connection()
    reader = FrameReader(connection)
    for size, calls in (100_000, 0), (frames.MANY_BYTES, 1), (frames.MANY_BYTES, 1):
        feed(reader, framed(bytes(size)), [1 << 20])
        assert frames.keep_freed_memory.cache_info().misses == calls
    assert len(connection.answers) == 3


def test_an_answer_that_cannot_be_handled_closes_the_connection() -> None:
    connection = Connection()
    connection.error_at = 1
    reader = FrameReader(connection)
    feed(reader, framed(b"good", b"bad", b"later"), [1000])
    feed(reader, framed(b"later still"), [1000])
    assert connection.answers == [b"good"]
    assert isinstance(connection.closed_with, RuntimeError)


def test_a_size_that_cannot_be_closes_the_connection() -> None:
    connection = Connection()
    feed(FrameReader(connection), b"\xff\xff\xff\xff1234", [1000])
    assert connection.answers == []
    assert isinstance(connection.closed_with, ValueError)


def test_the_end_of_a_connection_is_aiokafkas_business() -> None:
    connection = Connection()
    reader, error = FrameReader(connection), OSError()
    reader.eof_received()
    reader.connection_lost(error)
    assert connection._protocol.ended == ["eof", error]


def test_a_connection_that_is_gone_takes_no_answer() -> None:
    reader = FrameReader(Connection())
    feed(reader, framed(b"late"), [1000])


class Transport:
    """Counts what is done with a transport."""

    def __init__(self) -> None:
        self.protocol: Any = None

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_extra_info(self, name: str) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 5


def test_what_moves_on_a_connection_is_seen() -> None:
    connection = Connection(Transport())
    assert moved_bytes(connection) == (0, 5, 0)
    read_frames(connection)
    feed(connection._writer.transport.protocol, b"\0\0", [1000])
    assert moved_bytes(connection) == (2, 5, 0)


def test_a_connection_that_is_not_as_expected_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = Connection(Transport())
    connection._requests.append("a request")
    read_frames(connection)
    assert connection._writer.transport.protocol is None
    assert "aiokafka's connections are not as expected" in caplog.text


def test_the_switch_leaves_reading_to_aiokafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(frames.SWITCH, "off")
    connection = Connection(Transport())
    read_frames(connection)
    assert connection._writer.transport.protocol is None
