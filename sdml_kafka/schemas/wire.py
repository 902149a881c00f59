"""Where a record says which schema its bytes have: the wire format of Confluent's registry. Pure.

In front of the data stands a magic byte, 0, and the schema's number in four bytes, big-endian. Or
the header `__value_schema_id` (of a key `__key_schema_id`) has a magic byte, 1, and the schema's
GUID in 16 bytes, and the data stands alone. Behind number or GUID a Protobuf has the path of its
message in the .proto file: the number of its indexes and the indexes, as zigzag varints; a single 0
stands for the first message. The source is Confluent's documentation, and confluent-kafka 2.16.
"""

from uuid import UUID

from sdml_kafka.schemas.source import SchemaId

HEADERS = {"value": "__value_schema_id", "key": "__key_schema_id"}
MAX_INDEXES = 32
"""How deep a Protobuf message may be nested."""
FIRST_MESSAGE = (0,)
_MAX_VARINT_BYTES = 5


def read_id(data: bytes) -> tuple[SchemaId, int]:
    """Return the schema's id at the beginning of some bytes, and where it ends.

    Raises:
        ValueError: They do not begin with an id.
    """
    if data[:1] == b"\0" and len(data) >= 5:
        return int.from_bytes(data[1:5], "big"), 5
    if data[:1] == b"\1" and len(data) >= 17:
        return UUID(bytes=data[1:17]), 17
    raise ValueError("it does not begin with a schema's id: was it written without a registry?")


def number_prefix(number: int) -> bytes:
    """Return the magic byte and the number of a schema."""
    return b"\0" + number.to_bytes(4, "big")


def guid_prefix(guid: UUID) -> bytes:
    """Return the magic byte and the GUID of a schema."""
    return b"\1" + guid.bytes


def read_indexes(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return the path of a Protobuf message, and where it ends.

    Raises:
        ValueError: It is cut short, or too long.
    """
    if data[at : at + 1] == b"\0":
        return FIRST_MESSAGE, at + 1
    count, at = _read_varint(data, at)
    if not 0 < count <= MAX_INDEXES:
        raise ValueError("the path of its Protobuf message has an impossible length")
    indexes: list[int] = []
    for _ in range(count):
        index, at = _read_varint(data, at)
        indexes.append(index)
    return tuple(indexes), at


def write_indexes(indexes: tuple[int, ...]) -> bytes:
    """Return the path of a Protobuf message as bytes."""
    if indexes == FIRST_MESSAGE:
        return b"\0"
    return b"".join(map(_write_varint, (len(indexes), *indexes)))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at + shift + 1
    raise ValueError("the path of its Protobuf message is cut short, or too long")


def _write_varint(value: int) -> bytes:
    rest, written = value << 1, bytearray()  # no index is negative
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)
