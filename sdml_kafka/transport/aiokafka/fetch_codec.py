# pyright: basic
# aiokafka is not typed.
"""Write fetch requests and read their answers without aiokafka's schemas.

aiokafka walks a schema for each field: 360 of the 1,140 calls of functions that a poll for a
few records costs a consumer, with four partitions.
"""

from functools import cache
from io import BytesIO
from logging import getLogger
from struct import Struct
from typing import Any

from aiokafka.protocol.fetch import FetchRequest

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.quick_headers import (
    Encoded,
    ResponseHeader,
    request_header,
    response_header,
)

_log = getLogger("sdml_kafka.transport")

VERSION = 11
"""The version of the API that is written here, aiokafka's latest. Every broker since Kafka 2.3
knows it; for others aiokafka does the work."""

_BEGIN = Struct(">iiiibiii")
"""No replica, how long to wait, the least and the most bytes, the isolation level, no session
(a number and an epoch), the topic count."""
_LENGTH = Struct(">h")
_COUNT = Struct(">i")
_WANTED = Struct(">iiqqi")
"""A partition, no leader epoch, the offset, no log start, the most bytes."""
_ANSWER = Struct(">ihii")
"""How long the broker throttles, an error, the session, the topic count."""
_PARTITION = Struct(">ihqqqi")
"""A partition, the code of its error, the high watermark, the last stable offset, where the log
starts, the number of aborted transactions."""
_ABORTED = Struct(">qq")
_RECORDS = Struct(">ii")
"""The replica to read from, and the bytes of the records."""


class Response:
    """The answer to a fetch request."""

    API_VERSION = VERSION

    def __init__(self, session_id: int, error_code: int, topics: list[Any]) -> None:
        self.session_id = session_id
        self.error_code = error_code
        self.topics = topics

    @classmethod
    def decode(cls, frame: BytesIO) -> "Response":
        answer, at = frame.getvalue(), frame.tell()  # `getbuffer` would copy all of it
        _, error_code, session_id, count = _ANSWER.unpack_from(answer, at)
        at += _ANSWER.size
        topics: list[Any] = []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(answer, at)
            at += 2 + length
            topic = answer[at - length : at].decode()
            (partitions,) = _COUNT.unpack_from(answer, at)
            at += 4
            fetched: list[Any] = []
            for _ in range(partitions):
                partition, at = _read_partition(answer, at)
                fetched.append(partition)
            topics.append((topic, fetched))
        return cls(session_id, error_code, topics)


def _read_partition(answer: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    *known, count = _PARTITION.unpack_from(answer, at)
    at += _PARTITION.size
    aborted = None
    if count >= 0:
        end = at + count * _ABORTED.size
        aborted = list(_ABORTED.iter_unpack(answer[at:end])) if count else []
        at = end
    replica, size = _RECORDS.unpack_from(answer, at)
    at += _RECORDS.size
    records = None
    if size >= 0:
        records = answer[at : at + size]
        at += size
        if at > len(answer):
            raise ValueError("the answer to a fetch ends too early")
    return (*known, aborted, replica, records), at


class _QuickFetchRequest(FetchRequest):  # type: ignore[misc]  # aiokafka is not typed
    """A fetch request outside of sessions, which encodes itself."""

    RESPONSE_TYPE = Response

    def __init__(self, given: Any) -> None:
        own: Any = self.__dict__
        own.update(given.__dict__)

    @property
    def max_wait_time(self) -> int:
        """The milliseconds that the answer may take, under its name in what is sent otherwise."""
        return int(self._max_wait_ms)

    def prepare(self, versions: Any) -> Any:
        lowest, highest = versions.get(self.API_KEY, (0, 0))
        return self if lowest <= VERSION <= highest else super().prepare(versions)

    def build_request_header(self, correlation_id: int, client_id: str) -> Encoded:
        return request_header(self.API_KEY, VERSION, correlation_id, client_id)

    def encode(self) -> bytes:
        wait_ms, least, most = self._max_wait_ms, self._min_bytes, self._max_bytes
        isolation, topics, rack = self._isolation_level, self._topics, self._rack_id.encode()
        parts: list[bytes] = [_BEGIN.pack(-1, wait_ms, least, most, isolation, 0, -1, len(topics))]
        for topic, partitions in topics:
            name = topic.encode()
            parts += (_LENGTH.pack(len(name)), name, _COUNT.pack(len(partitions)))
            parts += [
                _WANTED.pack(partition, -1, offset, -1, max_bytes)
                for partition, offset, max_bytes in partitions
            ]
        parts += (_COUNT.pack(0), _LENGTH.pack(len(rack)), rack)  # no partitions to forget
        return b"".join(parts)

    def parse_response_header(self, frame: BytesIO) -> ResponseHeader:
        return response_header(frame)


QuickFetchRequest: Any = _QuickFetchRequest
"""The class, of whose base type checkers know nothing."""


@cache
def is_supported() -> bool:
    """Return whether aiokafka writes and reads the same."""
    try:
        from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
    except ImportError:
        return False  # an older aiokafka
    try:
        given = FetchRequest(1, 2, 3, 1, [("topic", [(4, 5, 6)])], "rack")
        theirs, quick = given.build(FetchRequest_v11), QuickFetchRequest(given)
        topics = [("topic", [(1, 0, 2, 3, 4, [(5, 6)], 7, b"records")])]
        frame = BytesIO(FetchResponse_v11(0, 0, 0, topics).encode())
        if quick.encode() != theirs.encode() or Response.decode(frame).topics != topics:
            raise ValueError("other bytes")
        return FetchRequest._CLASSES[-1] is FetchRequest_v11
    except Exception as error:
        _log.warning(
            "aiokafka's fetch requests are not as expected, so it encodes them itself, which is "
            "slower: %r. Is there a newer version of this package?",
            error,
            extra=fields(error=error),
        )
        return False
