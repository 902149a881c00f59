"""Kafka's types on the wire, as the flexible versions of its APIs have them. Pure."""

from collections.abc import Callable, Collection
from struct import Struct
from struct import error as StructError

_INT8, _INT16, _INT32, _INT64 = (Struct(f">{code}") for code in "bhiq")
_UUID_BYTES = 16
_MAX_VARINT_BYTES = 5
NO_TAGS = b"\0"
"""The end of each structure: no further fields."""


class MalformedAnswer(ValueError):
    """An answer is not what Kafka's protocol says."""


def int8(value: int) -> bytes:
    return _INT8.pack(value)


def int32(value: int) -> bytes:
    return _INT32.pack(value)


def int64(value: int) -> bytes:
    return _INT64.pack(value)


def boolean(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def varint(value: int) -> bytes:
    """Return an unsigned number, seven bits a byte, the lowest first."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def text(value: str | None) -> bytes:
    if value is None:
        return varint(0)
    data = value.encode()
    return varint(len(data) + 1) + data


def array[T](items: Collection[T] | None, write: Callable[[T], bytes]) -> bytes:
    """Return an array, None for the null that many requests take for `all`."""
    if items is None:
        return varint(0)
    return varint(len(items) + 1) + b"".join(write(item) for item in items)


def struct(*parts: bytes) -> bytes:
    """Return a structure without further fields."""
    return b"".join((*parts, NO_TAGS))


class Answer:
    """Reads an answer from its beginning to its end.

    Every method raises MalformedAnswer where the bytes end too early.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _number(self, form: Struct) -> int:
        try:
            (value,) = form.unpack_from(self._data, self._at)
        except StructError:
            raise MalformedAnswer("it ends too early") from None
        self._at += form.size
        return int(value)

    def int8(self) -> int:
        return self._number(_INT8)

    def int16(self) -> int:
        return self._number(_INT16)

    def int32(self) -> int:
        return self._number(_INT32)

    def int64(self) -> int:
        return self._number(_INT64)

    def boolean(self) -> bool:
        return self._number(_INT8) != 0

    def varint(self) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self._number(_INT8)
            value |= (byte & 0x7F) << 7 * place
            if byte >= 0:
                return value
        raise MalformedAnswer("a number is too long")

    def _bytes(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise MalformedAnswer("it ends too early")
        found, self._at = self._data[self._at : end], end
        return found

    def data(self) -> bytes:
        """Return bytes, none for null."""
        return self._bytes(max(0, self.varint() - 1))

    def text(self) -> str:
        """Return a text, an empty one for null."""
        return self.data().decode(errors="replace")

    def nullable(self) -> str | None:
        size = self.varint()
        return None if size == 0 else self._bytes(size - 1).decode(errors="replace")

    def short_text(self) -> str:
        """Return a text of the older kind, whose length has two bytes."""
        return self._bytes(max(0, self.int16())).decode(errors="replace")

    def skip_uuid(self) -> None:
        self._bytes(_UUID_BYTES)

    def array[T](self, read: "Callable[[Answer], T]") -> tuple[T, ...]:
        """Return the items, each of them a structure with tags if `read` ends with `end`."""
        return self._items(self.varint() - 1, read)

    def short_array[T](self, read: "Callable[[Answer], T]") -> tuple[T, ...]:
        """Return the items of the older kind of array, whose length has four bytes."""
        return self._items(self.int32(), read)

    def _items[T](self, count: int, read: "Callable[[Answer], T]") -> tuple[T, ...]:
        if count > len(self._data) - self._at:  # an item has a byte at least
            raise MalformedAnswer("an array is longer than the answer")
        return tuple([read(self) for _ in range(count)])

    def tags(self) -> dict[int, bytes]:
        """Return the further fields at the end of a structure."""
        return {self.varint(): self._bytes(self.varint()) for _ in range(self.varint())}

    def end[T](self, item: T) -> T:
        """Return the item, behind the further fields of its structure."""
        self.tags()
        return item


def int32s(answer: Answer) -> tuple[int, ...]:
    return answer.array(Answer.int32)


def texts(answer: Answer) -> tuple[str, ...]:
    return answer.array(Answer.text)


def behind_header(data: bytes) -> Answer:
    """Return the answer behind the further fields of its header."""
    answer = Answer(data)
    answer.tags()
    return answer
