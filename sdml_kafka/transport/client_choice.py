"""The Kafka client that a program has chosen, and the arguments by which it did."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from attrs import field, frozen

from sdml_kafka.transport.interfaces.consumer import ConsumerFactory
from sdml_kafka.transport.interfaces.producer import ProducerFactory

Client = Literal["aiokafka", "librdkafka"]
"""The Kafka clients that a program can choose."""


class ClientChoice(NamedTuple):
    """The Kafka client that a program has chosen."""

    name: Client
    options: Mapping[str, Any] | None
    """The `client_options` that were given: librdkafka's options by its own names."""

    def __repr__(self) -> str:  # without the options, of which some are secrets
        return f"{type(self).__name__}({self.name!r})"


AIOKAFKA = ClientChoice("aiokafka", None)


@frozen
class ClientArguments:
    """The arguments by which a program has chosen its client: factories, or addresses."""

    bootstrap_servers: str | Sequence[str] | None = None
    group_id: str | None = None
    consumer_factory: ConsumerFactory | None = None
    producer_factory: ProducerFactory | None = None
    # Some of these are secrets.
    aiokafka_options: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    choice: ClientChoice = AIOKAFKA
    own_names: Collection[str] | None = field(default=None, repr=False)
    """The options of the object itself, to suggest for one that is misspelt."""
