# pyright: basic
# aiokafka is not typed.
"""The consumer that a listener builds when it is given two strings instead of a factory."""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.kafka.aiokafka_adapter import ConsumerFactory

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
