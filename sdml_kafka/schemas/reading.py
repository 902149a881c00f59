"""The parser of records that name their schema: called for each record, it never waits."""

from typing import Any, Literal

from sdml_kafka.errors import SchemaRefused
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.schemas.answers import Answers
from sdml_kafka.schemas.formats import avro, json_schema, protobuf
from sdml_kafka.schemas.formats.codec import Read, Reading
from sdml_kafka.schemas.remembered import remember
from sdml_kafka.schemas.source import SchemaId, SchemaText
from sdml_kafka.schemas.wire import HEADERS, read_id, read_indexes
from sdml_kafka.transport.interfaces.records import Record


class SchemaParser:
    """Parses records by their schemas, each of which is compiled once."""

    def __init__(
        self,
        schemas: Answers[SchemaId, SchemaText],
        reading: Reading,
        part: Literal["value", "key"],
        max_compiled: int,
    ) -> None:
        """Begin with no schema.

        Args:
            schemas: The schemas of the registry.
            reading: What the program wants.
            part: What of a record is parsed.
            max_compiled: The number of schemas that are kept compiled.
        """
        self._schemas, self._reading, self._max_compiled = schemas, reading, max_compiled
        self._of_key, self._header = part == "key", HEADERS[part]
        self._compiled: dict[SchemaId, Read] = {}

    def parse(self, record: Record) -> Any:
        """Return what a record holds, whose schema's id stands in a header or in front of it."""
        for name, content in reversed(record.headers):  # the last one counts, if it was copied
            if name == self._header and content is not None:  # pyright: ignore[reportUnnecessaryComparison]
                return self._with_header(record, bytes(content))
        return self.parse_value(record)

    def parse_value(self, record: Record) -> Any:
        """Return what a record holds, whose schema's id stands in front of it."""
        return self.read(self._data(record))

    def read(self, data: bytes) -> Any:
        """Return what some bytes hold, which begin with their schema's id."""
        read = self._compiled.get(int.from_bytes(data[1:5], "big"))
        if read is not None and data[0] == 0 and len(data) >= 5:
            value = read(data, 5, None)
        else:
            schema_id, at = read_id(data)
            value = self._reader(schema_id)(data, at, None)
        if value is SKIP:
            raise SKIP
        return value

    def _with_header(self, record: Record, content: bytes) -> Any:
        schema_id, at = read_id(content)
        read = self._reader(schema_id)
        path = read_indexes(content, at)[0] if at < len(content) else None
        value = read(self._data(record), 0, path)
        if value is SKIP:
            raise SKIP
        return value

    def _data(self, record: Record) -> bytes:
        data = record.key if self._of_key else record.value
        if data is None:
            what = "a record without a key" if self._of_key else "a tombstone"
            raise ValueError(f"{what} has no schema")
        return data

    def _reader(self, schema_id: SchemaId) -> Read:
        read = self._compiled.get(schema_id)
        if read is None:
            schema = self._schemas.get(schema_id)
            try:
                read = _compile(schema, self._reading)
            except SchemaRefused as refused:
                read = _refusing(str(refused))
            remember(self._compiled, schema_id, read, self._max_compiled)
        return read


def _compile(schema: SchemaText, reading: Reading) -> Read:
    if schema.kind == "PROTOBUF":
        return protobuf.reader(schema, reading)
    if protobuf.is_message(reading.type):
        raise SchemaRefused("the type is a class of Protobuf, and the schema is of another format")
    if schema.kind == "AVRO":
        return avro.reader(schema, reading)
    if schema.kind == "JSON":
        return json_schema.reader(schema, reading)
    raise SchemaRefused("the schema is none of Avro, Protobuf and JSON")


def _refusing(text: str) -> Read:
    def refuse(data: bytes, at: int, path: tuple[int, ...] | None) -> object:
        raise SchemaRefused(text)

    return refuse
