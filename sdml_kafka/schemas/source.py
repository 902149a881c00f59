"""The questions to a registry, and its answers."""

from collections.abc import Mapping
from typing import Literal, Protocol
from uuid import UUID

from attrs import field, frozen

SchemaId = int | UUID
"""The number of a schema, or its GUID."""
Kind = Literal["AVRO", "PROTOBUF", "JSON"]


@frozen
class SchemaText:
    """A schema as the registry has it."""

    kind: str
    """"AVRO", "PROTOBUF" or "JSON"."""
    text: str = field(repr=False)
    """The schema; a Protobuf's is its file descriptor in base64, or the text of the .proto file."""
    references: Mapping[str, str] = field(factory=dict[str, str], repr=False, eq=False, hash=False)
    """The texts of the schemas that it refers to, by name, each behind those that it needs. Of a
    Protobuf it is empty, but for one that is to be registered: the files that it imports."""


@frozen
class Registered:
    """A schema that the registry has under a subject."""

    id: int
    guid: UUID | None
    """None if the registry gives none."""
    schema: SchemaText


class RegistryAway(Exception):
    """The registry did not answer, or not as a registry does: it is asked again."""


class RegistryClient(Protocol):
    """Asks a registry. Each call may be cancelled at any time.

    It raises `SchemaUnknown` if the registry says that it has no such schema, `SchemaRefused` if a
    schema is of no use, and `RegistryAway` with the reason if something else is in the way. What
    else it raises counts as being away, too, with the name of its class for the reason.
    """

    async def fetch(self, schema_id: SchemaId, /) -> SchemaText:
        """Return a schema by its number or GUID."""
        ...

    async def registered(
        self, subject: str, schema: SchemaText | None, /, *, register: bool
    ) -> Registered:
        """Return the schema of a subject.

        Args:
            subject: The subject's name.
            schema: The schema to look for, None for the latest of the subject.
            register: Whether to register the schema if the subject does not have it.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
