"""Bounds for Avro's binary data that its size does not give. Pure.

How this works. Most schemas have a byte at least in each item, so the size of a record bounds the
work. Two kinds do not. Of items without a byte (nulls, records without fields) an array has
millions in a few bytes. And a type that holds itself is as deep as its data says, where fastavro's
compiled reader calls itself until the process has no stack left. Data of such a schema is walked
through here before it is read, in plain Python, which takes as long as to read it; others' is not.

A decimal is bounded by a name of its own: what Python makes of one has a cost that grows with the
square of its size.
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

MAX_DEPTH = 150
"""How deep records may be nested in one another, if a type holds itself."""
MAX_EMPTY_ITEMS = 100_000
"""The items without a byte that one piece of data may have."""
MAX_DECIMAL_BYTES = 1_000
"""The bytes of a decimal, which is some 2,400 digits."""
DECIMAL = "sdml-kafka-decimal"
"""The logical type of decimals that are bounded, which fastavro takes for one of the program's."""

_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_RECORDS = ("record", "error")


class OutOfBounds(ValueError):
    """The data is cut short, or asks for more work than its size is worth."""


@define
class _Walk:
    """A place in some data."""

    data: bytes
    at: int
    empty_left: int
    depth: int = 0

    def pass_over(self, size: int) -> None:
        self.at += size
        if size < 0 or self.at > len(self.data):
            raise OutOfBounds("the data is cut short")

    def number(self) -> int:
        value = shift = 0
        while True:
            at = self.at
            self.pass_over(1)
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
            if shift > 63:
                raise OutOfBounds("a number of the data has too many bytes")


_Step = Callable[[_Walk], None]


def check_of(schema: Any) -> Callable[[bytes, int], None] | None:
    """Return what raises `OutOfBounds` for data from a place on, None if no data has to be checked.

    Args:
        schema: The schema of the data, as fastavro has parsed it.
    """
    steps = _Steps(schema)
    if not steps.are_needed():
        return None
    step = steps.of(schema)

    def check(data: bytes, at: int) -> None:
        step(_Walk(data, at, MAX_EMPTY_ITEMS))

    return check


@define
class _Steps:
    """Makes the functions that pass over data of a schema."""

    schema: Any
    _named: dict[str, Mapping[str, Any]] = field(factory=dict[str, Mapping[str, Any]])
    _made: dict[str, _Step] = field(factory=dict[str, _Step])
    _empty: dict[str, bool] = field(factory=dict[str, bool])

    def __attrs_post_init__(self) -> None:
        self._collect(self.schema)

    def _collect(self, schema: Any) -> None:
        if isinstance(schema, dict) and "name" in schema:
            name: str = schema["name"]  # pyright: ignore[reportUnknownVariableType]
            if name in self._named:
                return
            self._named[name] = schema
        for part in _parts(schema):
            self._collect(part)

    def are_needed(self) -> bool:
        """Return whether a type holds itself, or an array may have items without a byte."""
        schemas = [self.schema, *self._named.values()]
        return any(map(self._has_empty_items, schemas)) or any(map(self._holds_itself, self._named))

    def _has_empty_items(self, schema: Any) -> bool:
        if (
            isinstance(schema, dict)
            and schema["type"] == "array"
            and self.is_empty(schema["items"])
        ):
            return True
        return any(map(self._has_empty_items, _parts(schema)))

    def _holds_itself(self, name: str) -> bool:
        seen, left = set[str](), [*_parts(self._named[name])]
        while left:
            part = left.pop()
            if isinstance(part, dict) and "name" in part:
                part = part["name"]  # pyright: ignore[reportUnknownVariableType]
            if part == name:
                return True
            if isinstance(part, str):
                if part in seen or part not in self._named:
                    continue
                seen.add(part)
                part = self._named[part]
            left += _parts(part)
        return False

    def is_empty(self, schema: Any) -> bool:
        """Return whether data of a schema has no byte, whatever it is."""
        found: Any = self._named.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(found, str | list):
            return bool(found == "null")
        kind = found["type"]
        if kind in _RECORDS:
            name: str = found["name"]
            if name not in self._empty:
                self._empty[name] = True  # of one that holds itself without end, there is no data
                self._empty[name] = all(map(self.is_empty, _parts(found)))
            return self._empty[name]
        return bool(found["size"] == 0) if kind == "fixed" else self.is_empty(kind)

    def of(self, schema: Any) -> _Step:
        """Return what passes over data of a schema."""
        if isinstance(schema, list):
            return _union([self.of(each) for each in schema])  # pyright: ignore[reportUnknownVariableType]
        if isinstance(schema, str):
            return self._of_name(schema)
        kind = schema["type"]
        if kind in _RECORDS:
            return self._record(schema)
        if kind == "array":
            item = schema["items"]
            return _blocks(_count_empty) if self.is_empty(item) else _blocks(_each(self.of(item)))
        if kind == "map":
            return _blocks(_each(_entry(self.of(schema["values"]))))
        if kind == "fixed":
            return _fixed(schema["size"])
        return self.of(kind)

    def _of_name(self, name: str) -> _Step:
        if name in self._named:
            return self._made.get(name) or self.of(self._named[name])
        if name in _SIZES:
            return _fixed(_SIZES[name])
        return _text if name in ("bytes", "string") else _number

    def _record(self, schema: Mapping[str, Any]) -> _Step:
        fields = list[_Step]()

        def step(walk: _Walk) -> None:
            walk.depth += 1
            if walk.depth > MAX_DEPTH:
                raise OutOfBounds(f"the data is nested deeper than {MAX_DEPTH} records")
            for each in fields:
                each(walk)
            walk.depth -= 1

        self._made[schema["name"]] = step  # before its fields, which may hold the same type
        fields += map(self.of, _parts(schema))
        return step


def _parts(schema: Any) -> list[Any]:
    """Return the schemas that a schema is made of."""
    if isinstance(schema, list):
        return schema  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(schema, dict):
        return []
    kind = schema["type"]  # pyright: ignore[reportUnknownVariableType]
    if kind in _RECORDS:
        return [each["type"] for each in schema["fields"]]  # pyright: ignore[reportUnknownVariableType]
    if kind in ("array", "map"):
        return [schema["items" if kind == "array" else "values"]]
    return [kind] if isinstance(kind, dict | list) else []


def _fixed(size: int) -> _Step:
    return lambda walk: walk.pass_over(size)


def _number(walk: _Walk) -> None:
    walk.number()


def _text(walk: _Walk) -> None:
    walk.pass_over(walk.number())


def _union(branches: list[_Step]) -> _Step:
    def step(walk: _Walk) -> None:
        index = walk.number()
        if not 0 <= index < len(branches):
            raise OutOfBounds("the data names a branch of a union that there is not")
        branches[index](walk)

    return step


def _entry(value: _Step) -> _Step:
    def step(walk: _Walk) -> None:
        _text(walk)
        value(walk)

    return step


def _blocks(items: Callable[[_Walk, int], None]) -> _Step:
    """Return what passes over the blocks of an array or a map, each with a number of items."""

    def step(walk: _Walk) -> None:
        while count := walk.number():
            if count < 0:  # its size in bytes follows
                count = -count
                walk.number()
            items(walk, count)

    return step


def _each(item: _Step) -> Callable[[_Walk, int], None]:
    def items(walk: _Walk, count: int) -> None:
        for _ in range(count):
            item(walk)

    return items


def _count_empty(walk: _Walk, count: int) -> None:
    walk.empty_left -= count
    if walk.empty_left < 0:
        raise OutOfBounds(f"the data has more than {MAX_EMPTY_ITEMS} items without a byte")


def with_bounded_decimals(schema: Any, logical_readers: dict[str, Any]) -> Any:
    """Change the decimals of a parsed schema into bounded ones, and return the schema.

    Args:
        schema: The schema as fastavro has parsed it, for reading alone.
        logical_readers: Fastavro's readers of logical types, which this adds one to.
    """
    for kind in ("bytes", "fixed"):
        logical_readers.setdefault(
            f"{kind}-{DECIMAL}", _bounded(logical_readers[f"{kind}-decimal"])
        )
    _rename(schema)
    return schema


def _bounded(read: Callable[..., Any]) -> Callable[..., Any]:
    def bounded(data: bytes, writer_schema: Any, reader_schema: Any) -> Any:
        if len(data) > MAX_DECIMAL_BYTES:
            raise OutOfBounds(f"a decimal has more than {MAX_DECIMAL_BYTES} bytes")
        return read(data, writer_schema, reader_schema)

    return bounded


def _rename(schema: Any) -> None:
    left, seen = [schema], set[int]()
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if part.get("type") in ("bytes", "fixed") and part.get("logicalType") == "decimal":  # pyright: ignore[reportUnknownMemberType]
                part["logicalType"] = DECIMAL
            left += part.values()  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        elif isinstance(part, list):
            left += part  # pyright: ignore[reportUnknownArgumentType]
