"""The serializer of values by a schema: called for each value, it never waits."""

from collections.abc import Callable
from typing import Any, Self, get_args

from attrs import frozen

from sdml_kafka.errors import ConfigurationError, SchemaRefused
from sdml_kafka.parsing.not_yet import NotYet
from sdml_kafka.parsing.plain_data import plain_of
from sdml_kafka.producing.serializers import Encoded
from sdml_kafka.schemas.answers import Answers
from sdml_kafka.schemas.formats import avro, json_schema, protobuf
from sdml_kafka.schemas.formats.codec import Written
from sdml_kafka.schemas.source import Kind, Registered, SchemaText
from sdml_kafka.schemas.wire import HEADERS, guid_prefix, number_prefix


@frozen
class Subject:
    """A question about a subject: for its latest schema, or for the number of this one."""

    name: str
    schema: SchemaText | None
    register: bool

    @classmethod
    def of(cls, name: object, schema: object, kind: object, register: bool) -> Self:
        """Check what a program gave.

        Raises:
            ConfigurationError: It cannot work.
        """
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"subject is a text such as 'orders-value', not {name!r:.300}")
        if kind not in get_args(Kind):
            raise ConfigurationError(f"kind is 'AVRO', 'PROTOBUF' or 'JSON', not {kind!r:.300}")
        if schema is None:
            if register:
                raise ConfigurationError("register=True needs a schema to register")
            return cls(name, None, False)
        if protobuf.is_message(schema):
            return cls(name, protobuf.schema_of(schema), register)
        if not isinstance(schema, str) or kind == "PROTOBUF":
            raise ConfigurationError(
                "schema is the text of a schema, or a class that Protobuf's compiler has generated"
            )
        return cls(name, SchemaText(str(kind), schema), register)

    def unless_known(self) -> str:
        """Return what to do about a registry that does not have it."""
        if self.schema is None:
            return "register one under this subject, or give a schema and register=True"
        return "register this one under the subject, or give register=True"

    def shown(self) -> str:
        """Return how statuses and errors name it."""
        return f"the schema of {self.name!r:.250}"


class SchemaSerializer[E: bytes | Encoded]:
    """Writes values by the schema of a subject; made by `SchemaRegistry.serializer`."""

    def __init__(
        self,
        subjects: Answers[Subject, Registered],
        subject: Subject,
        *,
        validate: bool,
        in_header: bool,
    ) -> None:
        """Use `SchemaRegistry.serializer`, which makes these."""
        self._subjects, self._subject = subjects, subject
        self._validate, self._in_header = validate, in_header
        self._registered: Registered | None = None
        self._writers: dict[object, Callable[[Any], Any]] = {}

    def __call__(self, value: Any) -> E:
        """Return the bytes of a value.

        Args:
            value: Plain data, a model, or a message of Protobuf.

        Returns:
            The bytes, which begin with the schema's id; or with a header that has it.

        Raises:
            NotYet: The schema is not known yet.
            SchemaUnknown: The registry does not have the schema.
            SchemaRefused: The schema cannot be used for the value.
        """
        kind: Any = value.__class__
        write = self._writers.get(kind)
        if write is None:
            write = self._writers[kind] = self._writer(kind)
        encoded: Any = write(value)
        return encoded  # type: ignore[no-any-return]  # what `id_in` says

    async def prepare(self) -> None:
        """Wait until the schema is known, so that no value has to wait for it.

        Raises:
            SchemaUnknown: The registry does not have it.
            SchemaRefused: The registry refuses it.
        """
        while self._registered is None:
            try:
                self._registered = self._subjects.get(self._subject)
            except NotYet as not_yet:
                await not_yet.prepare()

    def _writer(self, kind: type) -> Callable[[Any], bytes | Encoded]:
        registered = self._registered
        if registered is None:
            registered = self._registered = self._subjects.get(self._subject)
        write, is_message = self._written(registered.schema, kind), protobuf.is_message(kind)
        plain: Callable[[Any], Any] = _same if is_message else plain_of
        if not self._in_header:
            prefix = number_prefix(registered.id) + write.path
            return lambda value: prefix + write(plain(value))
        if registered.guid is None:
            raise ConfigurationError(
                "The registry gives schemas no GUID, which id_in='header' needs: write the id into "
                "the value, or use a newer registry"
            )
        headers = ((HEADERS["value"], guid_prefix(registered.guid) + write.path),)
        return lambda value: Encoded(write(plain(value)), headers)

    def _written(self, schema: SchemaText, kind: type) -> Written[Any]:
        if schema.kind == "PROTOBUF":
            if not protobuf.is_message(kind):
                raise SchemaRefused("the schema is Protobuf: give messages of a generated class")
            return protobuf.writer(schema, kind)
        if protobuf.is_message(kind):
            raise SchemaRefused("the value is a Protobuf, and the schema is of another format")
        if schema.kind == "AVRO":
            return avro.writer(schema)
        if schema.kind == "JSON":
            return json_schema.writer(schema, validate=self._validate)
        raise SchemaRefused("the schema is none of Avro, Protobuf and JSON")


def _same(value: Any) -> Any:
    return value
