"""Every commit that a group has ever made, as the broker's own topic of commits has them."""

import struct

from attrs import frozen

from sdml_kafka.consuming.offsets.offset_map import Interval, decode
from sdml_kafka.transport.interfaces.records import Record
from tests.support.processing_on_broker import records_of


@frozen
class LoggedCommit:
    """A commit of a partition, in the order of their times."""

    partition: int
    offset: int
    metadata: str
    time_ms: int
    """The time of the broker's clock."""

    def finished_beyond(self) -> list[Interval]:
        """Return what the offset map says."""
        return decode(self.offset, self.metadata)


async def logged_commits(bootstrap: str, group: str, topic: str) -> list[LoggedCommit]:
    """Return the commits of a group for a topic."""
    found = await records_of(bootstrap, "__consumer_offsets")
    read = (_read(record, group, topic) for record in found)
    return sorted((each for each in read if each is not None), key=lambda each: each.time_ms)


def _read(record: Record, group: str, topic: str) -> LoggedCommit | None:
    key, value = record.key, record.value
    if key is None or value is None or key[:2] not in (b"\0\0", b"\0\1"):
        return None
    whose, at = _text(key, 2)
    what, at = _text(key, at)
    if (whose, what) != (group, topic):
        return None
    (partition,) = struct.unpack_from(">i", key, at)
    version, offset = struct.unpack_from(">hq", value)
    assert version in (3, 4), "this version of a commit cannot be read"
    metadata = _text(value, 14)[0] if version == 3 else _compact_text(value, 14)
    return LoggedCommit(partition, offset, metadata, record.timestamp)


def _compact_text(data: bytes, at: int) -> str:
    length = shift = 0
    while True:
        byte = data[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return data[at : at + length - 1].decode()


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    end = at + 2 + length
    return data[at + 2 : end].decode(), end
