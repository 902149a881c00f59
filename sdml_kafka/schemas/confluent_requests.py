"""Requests of confluent-kafka's registry client, one after another, in a thread.

Its answers are a stranger's, so what they are made of is bounded: their size, the schemas that one
refers to, and the time that all of it may take.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any
from uuid import UUID

from attrs import frozen

from sdml_kafka.errors import SchemaRefused
from sdml_kafka.schemas.formats.protobuf import imports_of
from sdml_kafka.schemas.source import Registered, RegistryAway, SchemaId, SchemaText

MAX_REFERENCES = 100
"""Schemas that one may refer to, directly and through others."""
_UNKNOWN_CODES = range(40400, 40500)
"""The registry's error codes for what it does not have; a proxy's 404 has none of them."""


@frozen
class Asked:
    """A question to a registry, by a client that nobody else uses meanwhile."""

    client: Any
    module: Any
    """`confluent_kafka.schema_registry`."""
    max_bytes: int
    """The bytes that a schema may have with all that it refers to."""
    due: float
    """When nobody waits for the answer any more, on the machine's monotonic clock."""

    def fetch(self, schema_id: SchemaId) -> SchemaText:
        """Return a schema by its number or GUID."""

        def get(format: str | None) -> Any:
            if isinstance(schema_id, UUID):
                return self.client.get_schema_by_guid(str(schema_id), fmt=format)
            return self.client.get_schema(schema_id, fmt=format)

        try:
            return self._text(get)
        except self.module.SchemaRegistryError as error:
            if isinstance(schema_id, UUID) and is_no_such_page(error):
                raise RegistryAway(
                    "it answers HTTP 404 for a schema's GUID: is the url right, and does the "
                    "registry know GUIDs? If not, the sender has to write numbers into the value"
                ) from None
            raise

    def registered(self, subject: str, schema: SchemaText | None, *, register: bool) -> Registered:
        """Return the schema of a subject; see `RegistryClient`."""
        client = self.client
        if schema is None:
            latest = client.get_latest_version(subject)
            found = self._text(
                lambda format: (
                    latest.schema
                    if format is None
                    else client.get_schema(latest.schema_id, fmt=format)  # no later one
                )
            )
            return Registered(_number(latest.schema_id), _guid(latest.guid), found)
        wanted = self._with_imports(schema, register=register)
        ask = client.register_schema_full_response if register else client.lookup_schema
        known = ask(subject, wanted)
        return Registered(_number(known.schema_id), _guid(known.guid), schema)

    def _with_imports(self, schema: SchemaText, *, register: bool) -> Any:
        """Return a schema as the client takes it, after the files that a Protobuf imports.

        Each has its name as its subject, as with Confluent's own serializers.
        """
        known = dict[str, Any]()

        def make(text: str) -> Any:
            imported = imports_of(text) if schema.references else ()
            references = [known[name] for name in imported if name in known]
            return self.module.Schema(text, schema.kind, references)

        for name, text in schema.references.items():
            if register:
                self.client.register_schema_full_response(name, make(text))
            version = self.client.lookup_schema(name, make(text)).version
            known[name] = self.module.SchemaReference(name, name, version)
        return make(schema.text)

    def _text(self, get: Callable[[str | None], Any]) -> SchemaText:
        schema = get(None)
        kind = schema.schema_type or "AVRO"
        if kind == "PROTOBUF":
            self.client.clear_caches()
            schema = get("serialized")
        text = schema.schema_str
        if not isinstance(kind, str) or not isinstance(text, str):
            raise RegistryAway("it answers what is no schema")
        left = self._take(text, self.max_bytes)
        # Of a Protobuf the names of its own messages are all that is looked at.
        references = {} if kind == "PROTOBUF" else self._references(schema, left)
        return SchemaText(kind, text, references)

    def _references(self, schema: Any, left: int) -> dict[str, str]:
        """Return the schemas that this one refers to, each behind those that it needs."""
        found, seen = dict[str, str](), set[tuple[str, str, int]]()

        def add(schema: Any) -> None:
            nonlocal left
            for each in schema.references or ():
                place = each.name, each.subject, each.version
                if place in seen:
                    continue
                if len(seen) >= MAX_REFERENCES:
                    raise SchemaRefused(f"the schema refers to more than {MAX_REFERENCES} others")
                seen.add(place)
                if monotonic() > self.due:
                    raise RegistryAway("its answers take too long")
                other = self.client.get_version(each.subject, each.version, True).schema
                if not isinstance(other.schema_str, str) or not isinstance(each.name, str):
                    raise RegistryAway("it answers what is no schema")
                left = self._take(other.schema_str, left)
                add(other)
                found[each.name] = other.schema_str

        add(schema)
        return found

    def _take(self, text: str, left: int) -> int:
        if len(text) > left:
            raise SchemaRefused(
                f"the schema has more than {self.max_bytes} bytes, with all that it refers to"
            )
        return left - len(text)


def is_unknown(error: Any) -> bool:
    """Return whether the registry says that it has no such schema or subject."""
    return bool(error.http_status_code == 404 and error.error_code in _UNKNOWN_CODES)


def is_no_such_page(error: Any) -> bool:
    """Return whether a server says that it has no such page, which a registry has."""
    return bool(error.http_status_code == 404 and error.error_code not in _UNKNOWN_CODES)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise RegistryAway("it answers with an impossible number of a schema")
    return value


def _guid(value: object) -> UUID | None:
    return UUID(value) if isinstance(value, str) else None
