# pyright: basic
# aiokafka is not typed.
"""Build the clients of a user who gives addresses and options instead of factories."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.aiokafka.option_values import check_producer_options, check_values
from sdml_kafka.transport.interfaces.consumer import ConsumerFactory
from sdml_kafka.transport.interfaces.producer import ProducerFactory
from sdml_kafka.transport.option_checks import check_addresses, check_names

CONNECTIONS_MAX_IDLE_MS = 180_000
"""Load balancers forget idle connections without a word, the common ones after 4 minutes or more.
The next request would wait for its answer in vain; aiokafka's default is 9 minutes."""

HEARTBEAT_INTERVAL_MS = 3000
"""aiokafka's default."""


class OwnWait(int):
    """The milliseconds that a fetch waits if the user has not said, so that it may change."""


DEFAULTS: Mapping[str, Any] = {
    # A partition that was left out for a while waits behind a long poll of the others. At 100 ms
    # an idle client would take 1 % of a core for its long polls alone.
    "fetch_max_wait_ms": OwnWait(250),
    # A frozen broker holds up a call for this long; aiokafka's default is 40 s.
    "request_timeout_ms": 15_000,
    "session_timeout_ms": 10_000,
    # Draining may take this long in a rebalance; aiokafka's default is the session's timeout.
    "rebalance_timeout_ms": 30_000,
    # Topics and partitions that appear later are noticed at a refresh.
    "metadata_max_age_ms": 30_000,
    "connections_max_idle_ms": CONNECTIONS_MAX_IDLE_MS,
}


MAX_FETCH_BYTES = 50 << 20
MAX_PARTITION_FETCH_BYTES = 1 << 20
MIN_FETCH_BYTES = 1 << 16
FETCHES = 16
"""The number of partitions whose fetches, which aiokafka keeps beside what was taken of it, add up
to the bytes that may be held."""


def _fetch_limits(max_bytes: int) -> Mapping[str, int]:
    """Return aiokafka's options for a program that holds so many bytes: its defaults, or less.

    A batch that is larger is fetched all the same.
    """
    most = max(MIN_FETCH_BYTES, max_bytes)
    each = max(MIN_FETCH_BYTES, max_bytes // FETCHES)
    return {
        "fetch_max_bytes": min(MAX_FETCH_BYTES, most),
        "max_partition_fetch_bytes": min(MAX_PARTITION_FETCH_BYTES, each),
    }


def default_consumer_factory(
    bootstrap_servers: str | Sequence[str],
    group_id: str | None,
    options: Mapping[str, Any],
    max_bytes: int | None = None,
    own_names: Collection[str] | None = None,
) -> ConsumerFactory:
    """Return a factory of consumers. Without a `group_id` they are in no group.

    `options` are aiokafka's own, TLS and SASL among them, and override `DEFAULTS`, and what is
    fetched at once for a program that holds `max_bytes`. `own_names` are what else an option that
    is misspelt may have meant.
    """
    check_addresses(bootstrap_servers)
    known = _options_of(AIOKafkaConsumer) | {"api_version"}
    check_names(options, known, "aiokafka's consumer", own_names)
    check_values(options, {"heartbeat_interval_ms": HEARTBEAT_INTERVAL_MS, **DEFAULTS})
    limits = {} if max_bytes is None else _fetch_limits(max_bytes)
    settings = {**DEFAULTS, **limits, **options}

    def consumer_factory() -> object:
        try:
            return AIOKafkaConsumer(
                bootstrap_servers=bootstrap_servers,  # pyright: ignore[reportArgumentType]  # lists too
                group_id=group_id,
                **settings,
            )
        except (TypeError, ValueError) as error:
            raise _refused(options, error) from error

    return consumer_factory


PRODUCER_DEFAULTS: Mapping[str, Any] = {
    # The client's own retries make no duplicates, and it waits out an outage, so that the
    # caller's deadline decides.
    "enable_idempotence": True,
    "acks": "all",
    "linger_ms": 0,
    # With aiokafka's default of 16 KB a burst becomes many requests, one after the other.
    "max_batch_size": 1 << 20,
    "request_timeout_ms": 15_000,
    "metadata_max_age_ms": 30_000,
    "connections_max_idle_ms": CONNECTIONS_MAX_IDLE_MS,
}

_SET_HERE = {"self", "topics", "loop", "bootstrap_servers", "group_id", "api_version"}


def default_producer_factory(
    bootstrap_servers: str | Sequence[str],
    options: Mapping[str, Any],
    transactional_id: str | None = None,
) -> ProducerFactory:
    """Return a factory of producers.

    `options` are aiokafka's own, TLS and SASL among them, and override `PRODUCER_DEFAULTS`. With a
    `transactional_id` the producers make transactions.
    """
    check_addresses(bootstrap_servers)
    check_values(options)
    check_producer_options(options)
    settings = {**PRODUCER_DEFAULTS, **options}
    if "enable_idempotence" not in options and settings["acks"] not in ("all", -1):
        settings["enable_idempotence"] = False  # idempotence needs acks="all"
    if transactional_id is not None:
        settings |= {"transactional_id": transactional_id, "acks": "all"}
        settings["enable_idempotence"] = True

    def producer_factory() -> object:
        try:
            return AIOKafkaProducer(
                bootstrap_servers=bootstrap_servers,  # pyright: ignore[reportArgumentType]  # lists too
                **settings,
            )
        except (TypeError, ValueError, RuntimeError) as error:
            raise _refused(options, error) from error

    return producer_factory


def _refused(options: Collection[str], error: Exception) -> ConfigurationError:
    """Return the error of a client that aiokafka does not make of these options.

    It names what is wrong, never what was given for an option: that may be a secret.
    """
    return ConfigurationError(
        f"aiokafka refuses one of {', '.join(['bootstrap_servers', *options])}: {error}. "
        "bootstrap_servers is 'host:port', several with commas or in a list."
    )


def split_options(
    options: Mapping[str, Any], own_names: Collection[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of aiokafka's consumer and those of its producer.

    An option that both take is in both. `own_names` are what else an option that is misspelt may
    have meant.

    Raises:
        ConfigurationError: Neither takes an option. Only its name is given, since its value may
            be a secret.
    """
    consumer = _options_of(AIOKafkaConsumer)
    producer = _options_of(AIOKafkaProducer)
    check_names(options, consumer | producer, "aiokafka", own_names)
    return (
        {name: value for name, value in options.items() if name in consumer},
        {name: value for name, value in options.items() if name in producer},
    )


def check_producer_names(
    options: Mapping[str, Any], own_names: Collection[str] | None = None
) -> None:
    """Raise a ConfigurationError for an option that aiokafka's producer does not have."""
    check_names(options, _options_of(AIOKafkaProducer), "aiokafka's producer", own_names)


def options_of_producer(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a consumer's options that a producer has, such as TLS and SASL."""
    producer = _options_of(AIOKafkaProducer)
    return {name: value for name, value in options.items() if name in producer}


def option_defaults() -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the options that aiokafka's consumer and its producer take, with their defaults."""
    return _defaults_of(AIOKafkaConsumer), _defaults_of(AIOKafkaProducer)


def _options_of(client: type[Any]) -> set[str]:
    return set(_defaults_of(client))


def _defaults_of(client: type[Any]) -> Mapping[str, object]:
    parameters = inspect.signature(client.__init__).parameters.items()
    return {name: each.default for name, each in parameters if name not in _SET_HERE}
