"""AsyncAPI 3 documents of a program: what its listeners, servers and clients declare.

Programs and `sdml-kafka asyncapi` use it. It reads declarations and the types in them, and connects
to nothing: `declared.py` reads objects, `payloads.py` types, and `description.py` puts all
together.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdml_kafka.asyncapi.declared import Sends
    from sdml_kafka.asyncapi.description import document

__all__ = ["Sends", "document"]


def __getattr__(name: str) -> Any:
    if name == "Sends":
        from sdml_kafka.asyncapi.declared import Sends

        return Sends
    if name == "document":
        from sdml_kafka.asyncapi.description import document

        return document
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
