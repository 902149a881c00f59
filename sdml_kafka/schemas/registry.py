"""A schema registry, as programs use it: it makes parsers and serializers."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self, overload
from urllib.parse import urlsplit

from sdml_kafka.errors import ConfigurationError, SchemaUnknown
from sdml_kafka.factories import called_as
from sdml_kafka.parsing.codec_notes import reads_value
from sdml_kafka.parsing.plain_data import builder_of
from sdml_kafka.producing.serializers import Encoded
from sdml_kafka.schemas.answers import Answers
from sdml_kafka.schemas.confluent_client import ConfluentClient, addresses_in
from sdml_kafka.schemas.formats.codec import Reading
from sdml_kafka.schemas.formats.protobuf import is_message
from sdml_kafka.schemas.reading import SchemaParser
from sdml_kafka.schemas.source import Kind, Registered, RegistryClient, SchemaId, SchemaText
from sdml_kafka.schemas.writing import SchemaSerializer, Subject
from sdml_kafka.transport.interfaces.records import Record

__all__ = ["SchemaRegistry"]


class SchemaRegistry:
    """A schema registry: makes parsers and serializers for Avro, Protobuf and JSON Schema.

    ```python
    registry = SchemaRegistry("http://localhost:8081")
    parsers = [{"topics": ["orders"], "type": Order, "parser": registry.parser(Order)}]
    ```

    A schema is fetched once. While the registry is away, records whose schema is not there are
    held, and none is skipped. An id that the registry does not know is a parse error. It takes the
    extra `registry`.

    Args:
        url: The registry's address, or several with commas; `mock://` is one in memory, for tests.
        options: What confluent-kafka's `SchemaRegistryClient` takes, by its own names:
            `{"basic.auth.user.info": "user:secret", "ssl.ca.location": "ca.pem"}`. They are not
            shown.
        timeout_s: Seconds that the registry may take for an answer, before it is asked again; each
            of several addresses gets its share.
        max_schemas: The number of schemas that are remembered, the oldest of which is dropped.
        max_schema_bytes: The bytes that a schema may have, with all that it refers to.
        retry_unknown_s: Seconds after which a schema is asked for again that the registry did not
            know, or that was of no use.
        client: What asks the registry instead of confluent-kafka; see `RegistryClient`.

    Raises:
        ConfigurationError: The extra is not installed, or something that was passed cannot work.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        timeout_s: float = 10.0,
        max_schemas: int = 1000,
        max_schema_bytes: int = 1_000_000,
        retry_unknown_s: float = 30.0,
        client: RegistryClient | None = None,
    ) -> None:
        if (url is None) == (client is None):
            raise ConfigurationError("SchemaRegistry takes a url, or else a client")
        given = ("timeout_s", timeout_s), ("retry_unknown_s", retry_unknown_s)
        for name, seconds in given:
            if not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"{name} is in seconds, above 0, not {seconds!r:.300}")
        for name, count in (("max_schemas", max_schemas), ("max_schema_bytes", max_schema_bytes)):
            if type(count) is not int or count < 1:
                raise ConfigurationError(f"{name} is 1 or more, not {count!r:.300}")
        self._shown = "client" if url is None else _shown(url)
        self._client: RegistryClient = client or ConfluentClient(
            url or "", options or {}, timeout_s, max_schema_bytes
        )
        self._max_schemas = max_schemas
        bounds = timeout_s, max_schemas, retry_unknown_s
        self._schemas = Answers[SchemaId, SchemaText](self._client.fetch, _name, *bounds)
        self._subjects = Answers[Subject, Registered](self._ask_subject, Subject.shown, *bounds)

    def parser[T](
        self,
        type_: type[T] | Any = dict,
        *,
        name: str | None = None,
        schema: str | None = None,
        validate: bool = True,
        part: Literal["value", "key"] = "value",
        id_in: Literal["value", "header or value"] = "header or value",
    ) -> Callable[[Record], T | Any]:
        """Make a parser of records that name their schema.

        Args:
            type_: What the parser returns: plain data (`dict`), a pydantic model, with msgspec a
                struct, a dataclass, an attrs class or a `TypedDict`, or a generated class of
                Protobuf.
            name: The full name of an Avro record or a Protobuf message, or the title of a JSON
                schema, for topics with several types: others are skipped (`SKIP`). Without it a
                Protobuf of another name is a parse error.
            schema: The Avro schema to read as; without it data has the fields of its writer's.
            validate: Whether JSON is checked against its schema.
            part: Whether to read the record's value or its key.
            id_in: Where the schema's id may stand. If no sender uses headers, "value" is faster.

        Returns:
            A parser for a `ParserSpec`, or for a handler of a server. It raises `NotYet` while the
            schema is not there, `SchemaUnknown`, `SchemaRefused`, and `DocumentInvalid` or what the
            format's library raises for data that does not fit.

        Raises:
            ConfigurationError: Nothing that is installed can make the type.
        """
        build = _same if is_message(type_) else builder_of(type_)
        reading = Reading(type_, build, name, schema, validate)
        parser = SchemaParser(self._schemas, reading, part, self._max_schemas)
        if id_in == "value" and part == "value":
            return reads_value(parser.parse_value, parser.read)
        return parser.parse_value if id_in == "value" else parser.parse

    @overload
    def serializer(
        self,
        subject: str,
        schema: str | type | None = None,
        *,
        kind: Kind = "AVRO",
        register: bool = False,
        validate: bool = True,
        id_in: Literal["value"] = "value",
    ) -> SchemaSerializer[bytes]: ...
    @overload
    def serializer(
        self,
        subject: str,
        schema: str | type | None = None,
        *,
        kind: Kind = "AVRO",
        register: bool = False,
        validate: bool = True,
        id_in: Literal["header"],
    ) -> SchemaSerializer[Encoded]: ...
    def serializer(
        self,
        subject: str,
        schema: str | type | None = None,
        *,
        kind: Kind = "AVRO",
        register: bool = False,
        validate: bool = True,
        id_in: Literal["value", "header"] = "value",
    ) -> SchemaSerializer[Any]:
        """Make a serializer for `serializers` of a producer or listener, or of a server's handler.

        Args:
            subject: The subject of the schema; of a topic's values that is usually `TOPIC-value`.
            schema: The schema, or the generated class of Protobuf. Without it values are written by
                the schema that is the subject's latest when the first is written.
            kind: The format of a schema that is a text: "AVRO" or "JSON".
            register: Whether to register the schema if the subject does not have it, and the files
                that a Protobuf imports, each under its name. Without it they have to be there.
            validate: Whether JSON is checked against its schema.
            id_in: Where to write the schema's id: in front of the value, or its GUID into a header.

        Returns:
            A serializer. It raises `NotYet` until it knows the schema, which producers, listeners
            and servers wait for; `await serializer.prepare()` does so by hand.

        Raises:
            ConfigurationError: Something that was passed cannot work.
        """
        wanted = Subject.of(subject, schema, kind, register)
        in_header = id_in == "header"
        return SchemaSerializer(self._subjects, wanted, validate=validate, in_header=in_header)

    async def _ask_subject(self, subject: Subject) -> Registered:
        asked = self._client.registered(subject.name, subject.schema, register=subject.register)
        try:
            registered = await asked
        except SchemaUnknown as unknown:
            raise SchemaUnknown(f"{unknown}; {subject.unless_known()}") from None
        for schema_id in (registered.id, registered.guid):
            if schema_id is not None:
                self._schemas.note_there(schema_id)
        return registered

    def close(self) -> None:
        """Close the connections to the registry."""
        self._client.close()

    def __enter__(self) -> Self:
        """Return the registry, which is closed at the end of the `with`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def __repr__(self) -> str:
        """Return the address, without credentials."""
        return f"SchemaRegistry({self._shown!r})"


def _name(schema_id: SchemaId) -> str:
    return f"schema {schema_id}"


def _same(data: object) -> object:
    return data


def _shown(url: str) -> str:
    """Return an address, or several, without credentials."""
    shown: list[str] = []
    for each in addresses_in(url):
        parts = urlsplit(each)
        shown.append(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
    return ",".join(shown)


called_as("registry.parser(Order)", SchemaRegistry.parser)
called_as("registry.serializer('orders-value')", SchemaRegistry.serializer)
