"""Declarations of public objects before they are entered: topics, types, functions and addresses.

Each public class has a function `declaration_of` in its module, for whoever describes a program,
as `asyncapi/` does. Nothing is connected for it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from attrs import frozen

from sdml_kafka.client_config import ClientConfig


@frozen
class Reading:
    """Records of some topics that become values of a type."""

    topics: tuple[str, ...]
    type: Any
    parser: Callable[..., Any]


@frozen
class Processing:
    """A handler of the records of a type, and the topics that failed ones are written to."""

    name: str
    topics: tuple[str, ...]
    type: Any
    function: Callable[..., Any]
    retry_topics: tuple[str, ...] = ()
    dead_letter_topics: tuple[str, ...] = ()


@frozen
class Answering:
    """A handler of requests."""

    name: str
    topics: tuple[str, ...]
    function: Callable[..., Any]
    parser: Callable[..., Any] | None
    serializer: Callable[..., Any] | None
    is_stream: bool


@frozen
class Declaration:
    """All that one object declares."""

    kind: Literal["listener", "client", "server", "producer"]
    group_id: str = ""
    """The consumer group, empty if there is none or a factory alone knows it."""
    client: ClientConfig | None = None
    """The client and its addresses, None if something else makes the client."""
    reads: Sequence[Reading] = ()
    processes: Sequence[Processing] = ()
    answers: Sequence[Answering] = ()
    dead_letter_topics: Sequence[str] = ()
    """The topics that records go to which cannot be parsed."""
    id_header: str = ""
    """The header that carries the id of a call."""
