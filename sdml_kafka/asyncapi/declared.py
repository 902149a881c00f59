"""Read what a program's objects declare."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from sdml_kafka import KafkaListener, KafkaProducer, KafkaRPC, KafkaRPCServer
from sdml_kafka.declarations import Declaration
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener import listener
from sdml_kafka.producer import producer
from sdml_kafka.rpc.client import client
from sdml_kafka.rpc.server import server
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name

_DECLARATIONS: Mapping[type[Any], Callable[[Any], Declaration]] = {
    KafkaListener: listener.declaration_of,
    KafkaRPC: client.declaration_of,
    KafkaRPCServer: server.declaration_of,
    KafkaProducer: producer.declaration_of,
}


@frozen
class Sends:
    """Records that a program writes to a topic, which nothing else declares.

    ```python
    asyncapi.document(listener, Sends("invoices", Invoice))
    ```

    Raises:
        ConfigurationError: There cannot be such a topic.
    """

    topic: str
    """The topic."""
    type: Any
    """The type of the values before they are serialized."""
    description: str = ""
    """The meaning of the records, for whoever reads the document."""
    content_type: str = ""
    """The media type of the values; by default the type decides."""

    def __attrs_post_init__(self) -> None:
        if not is_topic_name(self.topic):
            raise ConfigurationError(f"{self.topic!r:.300} cannot be a topic: {TOPIC_RULE}")


Describable = KafkaListener | KafkaRPC | KafkaRPCServer | KafkaProducer | Sends


def is_describable(value: object) -> bool:
    """Return whether a document can describe this."""
    return isinstance(value, Describable)


def declarations_of(objects: Sequence[object]) -> tuple[Sequence[Declaration], Sequence[Sends]]:
    """Return what objects declare, in their order, and what is sent beside them.

    Raises:
        ConfigurationError: One of them declares nothing that a document could describe.
    """
    declarations, sends = list[Declaration](), list[Sends]()
    for each in objects:
        if isinstance(each, Sends):
            sends.append(each)
            continue
        read = next(
            (_DECLARATIONS[kind] for kind in type(each).__mro__ if kind in _DECLARATIONS), None
        )
        if read is None:
            raise ConfigurationError(
                "asyncapi describes KafkaListener, KafkaRPC, KafkaRPCServer, KafkaProducer and "
                f"Sends, not a {type(each).__name__}"
            )
        declarations.append(read(each))
    return declarations, sends
