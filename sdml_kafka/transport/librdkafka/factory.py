"""Open clients for a program that gives addresses and librdkafka's options."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.librdkafka.options import producer_settings, refuse_keywords
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer

Servers = str | Sequence[str] | None


def producer_of(
    producer_factory: object,
    bootstrap_servers: Servers,
    aiokafka_options: Mapping[str, Any],
    own_names: Collection[str] | None,
    options: Mapping[str, Any],
) -> ConnectProducer:
    """Return the function that opens a producer.

    Raises:
        ConfigurationError: The arguments do not go together, or cannot work.
    """
    _refuse_factory("producer_factory", producer_factory)
    refuse_keywords(aiokafka_options, own_names)
    if not bootstrap_servers:
        raise ConfigurationError("Give bootstrap_servers ('host:port')")
    return connect_producer(producer_settings(bootstrap_servers, options))


def _refuse_factory(name: str, factory: object) -> None:
    if factory is not None:
        raise ConfigurationError(
            f"{name} makes clients of aiokafka: give bootstrap_servers and client_options with "
            "client='librdkafka'"
        )
