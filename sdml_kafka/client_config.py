"""The Kafka client that a command uses, and the options that were given for it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:  # `--help` needs none of it
    from sdml_kafka.transport.client_choice import Client, ClientArguments, ClientChoice

_RESET = {"aiokafka": "auto_offset_reset", "librdkafka": "auto.offset.reset"}
"""The option that says where a group begins which has no commit."""


@frozen
class ClientConfig:
    """The client, and its options by its own names, of `--config` and of `-o`."""

    bootstrap: str | None = None
    """The addresses; None if the file has none."""
    for_consumer: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    """The options that the client's consumer takes."""
    for_both: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    """The options that the client's consumer or its producer takes."""
    for_producer: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    """The options that the client's producer takes."""
    client: "Client" = "aiokafka"

    @property
    def reset(self) -> Any:
        """The place where a group begins that has no commit, None if the options do not say."""
        return self.for_consumer.get(_RESET[self.client])

    def consumer_options(self, client_id: str, reset: str | None = None) -> dict[str, Any]:
        """Return a listener's arguments, with this client id unless the options have another.

        A `reset` takes the place of what the options say of it.
        """
        own = {} if reset is None else {_RESET[self.client]: reset}
        return self._arguments(client_id, {**self.for_consumer, **own})

    def producer_options(self, client_id: str) -> dict[str, Any]:
        """Return a producer's arguments, with this client id unless the options have another."""
        return self._arguments(client_id, self.for_producer)

    def options(self, client_id: str) -> dict[str, Any]:
        """Return the arguments for calls, with this client id unless the options have another."""
        return self._arguments(client_id, self.for_both)

    def _arguments(self, client_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
        if self.client == "aiokafka":
            return {"client_id": client_id, **options}
        return {"client": self.client, "client_options": {"client.id": client_id, **options}}

    def consumer_choice(
        self, client_id: str, reset: str | None = None
    ) -> "tuple[Mapping[str, Any], ClientChoice]":
        """Return a consumer's options and its client, as `sdml_kafka.transport.connect` has them.

        The client id counts unless the options have another. A `reset` takes the place of what the
        options say of it.
        """
        own = {} if reset is None else {_RESET[self.client]: reset}
        return self._choice(client_id, {**self.for_consumer, **own})

    def producer_choice(self, client_id: str) -> "tuple[Mapping[str, Any], ClientChoice]":
        """Return a producer's options and its client, as `consumer_choice` does a consumer's."""
        return self._choice(client_id, self.for_producer)

    def choice_for_transactions(self, client_id: str) -> "tuple[Mapping[str, Any], ClientChoice]":
        """Return the options and the client of a producer that also commits for a group.

        Over librdkafka a consumer belongs to it, so that the options of both count.
        """
        both = self.client != "aiokafka"
        return self._choice(client_id, self.for_both if both else self.for_producer)

    def _choice(
        self, client_id: str, options: Mapping[str, Any]
    ) -> "tuple[Mapping[str, Any], ClientChoice]":
        from sdml_kafka.transport.client_choice import AIOKAFKA, ClientChoice

        if self.client == "aiokafka":
            return {"client_id": client_id, **options}, AIOKAFKA
        return {}, ClientChoice(self.client, {"client.id": client_id, **options})


NO_CONFIG = ClientConfig()

_OF_MEMBERS = frozenset({"group_instance_id", "group.instance.id"})
"""The options that say which member of its group a consumer is."""


def client_given(arguments: "ClientArguments") -> ClientConfig | None:
    """Return the client that a listener's arguments describe, None if they have no addresses.

    It is for consumers and producers beside the listener, which are no members of its group.
    """
    from sdml_kafka.transport.connect import split_aiokafka_options, split_librdkafka_options

    servers, choice = arguments.bootstrap_servers, arguments.choice
    if not servers:
        return None
    joined = servers if isinstance(servers, str) else ",".join(servers)
    is_aiokafka = choice.name == "aiokafka"
    given = arguments.aiokafka_options if is_aiokafka else choice.options or {}
    options = {name: each for name, each in given.items() if name not in _OF_MEMBERS}
    split = split_aiokafka_options if is_aiokafka else split_librdkafka_options
    for_consumer, for_producer = split(options)
    return ClientConfig(joined, for_consumer, options, for_producer, choice.name)
