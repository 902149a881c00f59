# pyright: basic
# aiokafka is not typed.
"""The clients that are built when there are addresses and options instead of a factory."""

import inspect
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.interfaces import ConsumerFactory, ProducerFactory

DEFAULTS: Mapping[str, Any] = {
    # A partition that was left out for a while waits behind a long poll of the others; at 100 ms
    # an idle client takes 1 % of a core for its long polls alone.
    "fetch_max_wait_ms": 250,
    # Bounds how long a frozen broker holds a call; the default is 40 s.
    "request_timeout_ms": 15_000,
    "session_timeout_ms": 10_000,
    # How long a hand-over may take; the default is the session's time-out.
    "rebalance_timeout_ms": 30_000,
    # Topics and partitions that appear later are noticed at a refresh.
    "metadata_max_age_ms": 30_000,
}


def default_consumer_factory(
    bootstrap_servers: str, group_id: str, options: Mapping[str, Any]
) -> ConsumerFactory:
    """`options` are aiokafka's own, TLS and SASL among them, and win over ours."""
    settings = {**DEFAULTS, **options}

    def consumer_factory() -> object:
        try:
            return AIOKafkaConsumer(
                bootstrap_servers=bootstrap_servers, group_id=group_id, **settings
            )
        except (TypeError, ValueError) as error:
            # The error names what is wrong, never what was given for it: that may be a secret.
            raise ConfigurationError(
                f"aiokafka does not take {', '.join(['bootstrap_servers', *options])}: "
                f"{error}. bootstrap_servers is 'host:port', several with commas."
            ) from error

    return consumer_factory


PRODUCER_DEFAULTS: Mapping[str, Any] = {
    # No duplicates by the client's own retries, and an outage is waited out: the deadline of the
    # caller decides.
    "enable_idempotence": True,
    "acks": "all",
    "linger_ms": 0,
    # With the default of 16 KB a burst is many requests, one after the other.
    "max_batch_size": 1 << 20,
    "request_timeout_ms": 15_000,
    "metadata_max_age_ms": 30_000,
}

_OURS = {"self", "topics", "loop", "bootstrap_servers", "group_id", "api_version"}


def default_producer_factory(bootstrap_servers: str, options: Mapping[str, Any]) -> ProducerFactory:
    """`options` are aiokafka's own, TLS and SASL among them, and win over ours."""
    settings = {**PRODUCER_DEFAULTS, **options}
    if "enable_idempotence" not in options and settings["acks"] not in ("all", -1):
        settings["enable_idempotence"] = False  # it needs all of them

    def producer_factory() -> object:
        try:
            return AIOKafkaProducer(bootstrap_servers=bootstrap_servers, **settings)
        except (TypeError, ValueError, RuntimeError) as error:
            # The error names what is wrong, never what was given for it: that may be a secret.
            raise ConfigurationError(
                f"aiokafka does not take {', '.join(['bootstrap_servers', *options])}: "
                f"{error}. bootstrap_servers is 'host:port', several with commas."
            ) from error

    return producer_factory


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of aiokafka's consumer and those of its producer; what both take goes to both.

    Raises ConfigurationError for one that neither takes, by its name: its value may be a secret.
    """
    consumer = _options_of(AIOKafkaConsumer)
    producer = _options_of(AIOKafkaProducer)
    if unknown := sorted(set(options) - consumer - producer):
        raise ConfigurationError(
            f"Neither aiokafka's consumer nor its producer has an option {', '.join(unknown)}."
        )
    return (
        {name: value for name, value in options.items() if name in consumer},
        {name: value for name, value in options.items() if name in producer},
    )


def _options_of(client: type[Any]) -> set[str]:
    return set(inspect.signature(client.__init__).parameters) - _OURS
