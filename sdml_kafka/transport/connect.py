"""Choose the Kafka client behind the port, from what a user gave.

A user gives either factories of their own, or addresses and options. The functions here check
that the arguments go together, and return the functions that open a client. The driver is imported
when it is chosen, so that an import of this module loads no Kafka client.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from typing import Any, Literal, get_args

from attrs import evolve

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.client_choice import AIOKAFKA, Client, ClientArguments, ClientChoice
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.inspection import Inspector
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions
from sdml_kafka.transport.interfaces.transports import ListenerTransport, Transport
from sdml_kafka.transport.transactions import Transactions

OnCorrupt = Literal["hold", "skip"]
"""The choice for a batch that does not decode: hold its partition, or go on behind it."""

LIBRDKAFKAS_RESET = "auto.offset.reset"
"""librdkafka's option that says where a group begins."""

DEFAULT_ADDRESS = "127.0.0.1:9092"
"""The address that a producer connects to when only a `consumer_factory` is given."""


def listener_transport(given: ClientArguments, max_bytes: int) -> ListenerTransport:
    """Return the functions that open a listener's consumer and its producer.

    The consumer may hold `max_bytes`. The producer takes those of the options that a producer has,
    so with a `consumer_factory` alone there is none.

    Raises:
        ConfigurationError: The arguments do not go together.
    """
    from sdml_kafka.transport.aiokafka import factory as defaults
    from sdml_kafka.transport.aiokafka.consumer.adapter import connect
    from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer

    servers, group_id, choice = given.bootstrap_servers, given.group_id, given.choice
    consumer_factory, producer_factory = given.consumer_factory, given.producer_factory
    aiokafka_options, own_names = given.aiokafka_options, given.own_names
    _check_group_id(group_id)
    if _is_librdkafka(choice):
        if not group_id:
            raise ConfigurationError("Give group_id: listeners with the same one share partitions")
        consumer, producer, transactions = _librdkafkas(given)
        isolation = (choice.options or {}).get("isolation.level")
        return ListenerTransport(
            consumer,
            producer,
            choice.name,
            transactions,
            reads_committed=str(isolation).lower() == "read_committed",
        )
    _check_callable("consumer_factory", consumer_factory)
    _check_callable("producer_factory", producer_factory)
    if consumer_factory is not None:
        beside = {"bootstrap_servers": servers, "group_id": group_id}
        extra = [name for name, value in beside.items() if value is not None]
        _refuse_options([*extra, *aiokafka_options], "consumer")
    elif not servers or not group_id:
        defaults.split_options(aiokafka_options, own_names)  # which may have one of them, misspelt
        raise ConfigurationError(
            "Give either consumer_factory, or bootstrap_servers and group_id. Listeners with "
            "the same group_id share the partitions of their topics."
        )
    else:
        consumer_factory = defaults.default_consumer_factory(
            servers, group_id, aiokafka_options, max_bytes, own_names
        )
        producer_factory = producer_factory or defaults.default_producer_factory(
            servers, defaults.options_of_producer(aiokafka_options)
        )
    return ListenerTransport(
        connect(consumer_factory),
        producer_factory and connect_producer(producer_factory),
        choice.name,
    )


def rpc_server_transport(given: ClientArguments, max_bytes: int | None = None) -> Transport:
    """Return the functions that open an RPC server's consumer and producer.

    With `max_bytes` the consumer fetches no more than suits a program that holds so many.

    Raises:
        ConfigurationError: The arguments do not go together.
    """
    if given.consumer_factory is not None:
        if given.group_id is not None:
            _refuse_options(["group_id"], "consumer")
    elif not given.group_id:
        raise ConfigurationError(
            "Give group_id: servers with the same one share the requests of their topics"
        )
    else:
        # A request that came before the first start is served, if its deadline allows it.
        options = given.choice.options
        if not (isinstance(options, Mapping) and LIBRDKAFKAS_RESET in options):
            earliest = {"auto_offset_reset": "earliest", **given.aiokafka_options}
            given = evolve(given, aiokafka_options=earliest)
    return rpc_transport(given, max_bytes)


def rpc_transport(given: ClientArguments, max_bytes: int | None = None) -> Transport:
    """Return the functions that open the consumer and the producer that calls travel over.

    Without a `group_id` the consumer is in no group, and commits nothing. With `max_bytes` the
    consumer fetches no more than suits a program that holds so many.

    Raises:
        ConfigurationError: The arguments do not go together.
    """
    from sdml_kafka.transport.aiokafka import factory as defaults
    from sdml_kafka.transport.aiokafka.consumer.adapter import connect
    from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer

    servers, group_id = given.bootstrap_servers, given.group_id
    consumer_factory, producer_factory = given.consumer_factory, given.producer_factory
    _check_group_id(group_id)
    if group_id == "":
        raise ConfigurationError("group_id is empty: give the name of a group, or none at all")
    if _is_librdkafka(given.choice):
        consumer, producer, _ = _librdkafkas(given)
        return Transport(consumer, producer, given.choice.name)
    _check_callable("consumer_factory", consumer_factory)
    _check_callable("producer_factory", producer_factory)
    options = defaults.split_options(given.aiokafka_options, given.own_names)
    consumer_options, producer_options = options
    if consumer_factory is None and servers is None:
        raise ConfigurationError(
            "Give bootstrap_servers ('host:port'), or consumer_factory and producer_factory"
        )
    in_group = consumer_factory is not None or group_id is not None
    if consumer_factory is None:
        consumer_factory = defaults.default_consumer_factory(
            servers or "", group_id, consumer_options, max_bytes
        )
    else:
        _refuse_options(consumer_options, "consumer")
    if producer_factory is None:
        producer_factory = defaults.default_producer_factory(
            servers or DEFAULT_ADDRESS, producer_options
        )
    else:
        _refuse_options(sorted(producer_options.keys() - consumer_options), "producer")
    return Transport(
        connect(consumer_factory, in_group=in_group),
        connect_producer(producer_factory),
        given.choice.name,
    )


def _librdkafkas(
    given: ClientArguments,
) -> tuple[Connect, ConnectProducer, ConnectTransactions]:
    """Return what opens librdkafka's consumer, its producer, and its producer of transactions."""
    from sdml_kafka.transport.librdkafka.factory import clients_of

    return clients_of(given)


def producer_connect(given: ClientArguments) -> ConnectProducer:
    """Return the function that opens a producer.

    Raises:
        ConfigurationError: The arguments do not go together.
    """
    if _is_librdkafka(given.choice):
        from sdml_kafka.transport.librdkafka.factory import producer_of

        return producer_of(given)
    from sdml_kafka.transport.aiokafka import factory as defaults
    from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer

    servers, options = given.bootstrap_servers, given.aiokafka_options
    _check_callable("producer_factory", given.producer_factory)
    if given.producer_factory is not None:
        beside = [] if servers is None else ["bootstrap_servers"]
        _refuse_options([*beside, *options], "producer")
        return connect_producer(given.producer_factory)
    defaults.check_producer_names(options, given.own_names)
    if not servers:
        raise ConfigurationError("Give bootstrap_servers ('host:port'), or a producer_factory")
    return connect_producer(defaults.default_producer_factory(servers, options))


def transactional_connect(given: ClientArguments, transactional_id: str) -> ConnectTransactions:
    """Return the function that opens a producer of transactions with this id.

    Raises:
        ConfigurationError: The arguments do not go together, or the client has no transactions.
    """
    if not _is_librdkafka(given.choice):
        raise ConfigurationError("transactional_id needs client='librdkafka'")
    from sdml_kafka.transport.librdkafka.factory import transactions_of

    return transactions_of(given, transactional_id)


def transactions(
    bootstrap_servers: str,
    aiokafka_options: Mapping[str, Any],
    id_: str,
    start_timeout_s: float,
    choice: ClientChoice = AIOKAFKA,
) -> AbstractAsyncContextManager[Transactions]:
    """Return the context that opens a producer of transactions, which commits for the group `id_`.

    It takes the place of the one before with the same id, whose open transaction is aborted.

    Raises:
        ConfigurationError: An option cannot work.
        NoTransactions: The broker does not let this client make transactions.
        BrokerUnreachable: No broker answers.
    """
    if _is_librdkafka(choice):
        from sdml_kafka.transport.librdkafka.factory import group_transactions_of

        return group_transactions_of(bootstrap_servers, choice.options or {}, id_, start_timeout_s)
    from sdml_kafka.transport.aiokafka import factory as defaults
    from sdml_kafka.transport.aiokafka.producer.transactions import open_transactions

    factory = defaults.default_producer_factory(bootstrap_servers, aiokafka_options, id_)
    return open_transactions(factory, start_timeout_s)


def inspector(options: Mapping[str, Any]) -> AbstractAsyncContextManager[Inspector]:
    """Return the context that opens an inspector, which logs in with aiokafka's options.

    It has no use for time-outs of a consumer, so these may contradict each other.

    Raises:
        ConfigurationError: An option cannot work.
    """
    from sdml_kafka.transport.aiokafka.inspector import open_inspector
    from sdml_kafka.transport.aiokafka.option_values import check_values

    check_values(options, needs_fitting_times=False)
    return open_inspector(options)


def effective_options(
    for_consumer: Mapping[str, Any], for_producer: Mapping[str, Any]
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return what holds in a listener and in a producer over aiokafka that get these options."""
    from sdml_kafka.transport.aiokafka import factory

    consumer, producer = aiokafka_defaults()
    return (
        {**consumer, **factory.DEFAULTS, **for_consumer},
        {**producer, **factory.PRODUCER_DEFAULTS, **for_producer},
    )


def group_offsets(
    bootstrap_servers: str,
    aiokafka_options: Mapping[str, Any],
    group_id: str,
    topic: str,
    timeout_s: float,
    choice: ClientChoice = AIOKAFKA,
) -> Awaitable[Mapping[TopicPartition, Commit | None]]:
    """Look up what a group has committed for each partition of a topic.

    Raises:
        ConfigurationError: An option cannot work.
        SdmlKafkaError: The offsets cannot be known; raised by the call that is awaited.
    """
    if _is_librdkafka(choice):
        from sdml_kafka.transport.librdkafka.factory import group_offsets_of

        return group_offsets_of(bootstrap_servers, choice.options or {}, group_id, topic, timeout_s)
    from sdml_kafka.transport.aiokafka import factory as defaults
    from sdml_kafka.transport.aiokafka.producer.group_offsets import group_offsets

    plain = {**aiokafka_options, "enable_idempotence": False}  # for which a user may have no right
    factory = defaults.default_producer_factory(bootstrap_servers, plain)
    return group_offsets(factory, group_id, topic, timeout_s)


def aiokafka_defaults() -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the options that aiokafka's consumer and its producer take, with their defaults."""
    from sdml_kafka.transport.aiokafka.factory import option_defaults

    return option_defaults()


def split_aiokafka_options(
    options: Mapping[str, Any],
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return those of aiokafka's options that a consumer takes, and those that a producer takes."""
    from sdml_kafka.transport.aiokafka.factory import split_options

    return split_options(options)


def split_librdkafka_options(
    options: Mapping[str, Any],
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return those of librdkafka's options that a consumer takes, and those that a producer takes.

    Raises:
        ConfigurationError: librdkafka is not installed, or refuses an option.
    """
    _is_librdkafka(ClientChoice("librdkafka", options))
    from sdml_kafka.transport.librdkafka.options import split_options

    return split_options(options)


def clock_of(transport: Transport | ListenerTransport) -> Callable[[], float]:
    """Return the clock of the records' timestamps: a broker in memory brings its own along."""
    clock: Callable[[], float] = getattr(transport.consumer, "clock", time.time)
    return clock


def skips_corrupt(on_corrupt: OnCorrupt) -> bool:
    """Return whether batches that do not decode are skipped.

    Raises:
        ConfigurationError: This says something else than what to do about them.
    """
    if on_corrupt not in get_args(OnCorrupt):
        raise ConfigurationError(f"on_corrupt is 'hold' or 'skip', not {on_corrupt!r:.300}")
    return on_corrupt == "skip"


def check_create_topics(create_topics: object) -> None:
    """Raise ConfigurationError if that is not a bool."""
    if not isinstance(create_topics, bool):
        raise ConfigurationError(f"create_topics is True or False, not {create_topics!r}")


def _is_librdkafka(choice: ClientChoice) -> bool:
    """Return whether a program has chosen librdkafka.

    Raises:
        ConfigurationError: There is no such client, it is not installed, or `client_options` are
            given for the other one.
    """
    if choice.name not in get_args(Client):
        raise ConfigurationError(f"client is 'aiokafka' or 'librdkafka', not {choice.name!r:.100}")
    if choice.name == "aiokafka":
        if choice.options is not None:
            raise ConfigurationError(
                "client_options are librdkafka's: set client='librdkafka', or give aiokafka's "
                "options as keyword arguments"
            )
        return False
    if find_spec("confluent_kafka") is None:
        raise ConfigurationError(
            "client='librdkafka' needs an extra: pip install 'sdml-kafka-client[librdkafka]'"
        )
    return True


def _check_callable(name: str, factory: object) -> None:
    if factory is not None and not callable(factory):
        raise ConfigurationError(
            f"{name} is called for each start and restart: pass a function, lambda: ..."
        )


def _check_group_id(group_id: object) -> None:
    if not isinstance(group_id, str | None):
        raise ConfigurationError(f"group_id is the name of a group, a str, not {group_id!r:.100}")
    try:
        (group_id or "").encode()
    except UnicodeEncodeError:  # as of an environment variable whose bytes are no UTF-8
        raise ConfigurationError(f"group_id is UTF-8, not {group_id!r:.100}") from None


def _refuse_options(names: Iterable[str], client: str) -> None:
    """Raise a ConfigurationError if an option is given beside the factory that decides it."""
    if text := ", ".join(names):
        raise ConfigurationError(f"{text}: set it on the {client} that {client}_factory builds")
