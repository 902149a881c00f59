"""Make librdkafka's configuration of what a program gives, and refuse what cannot work.

librdkafka knows its options itself: a client without addresses, which connects to nothing, is made
and dropped to see whether it takes them. No error here shows the value of an option, since it may
be a secret.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaException, Producer

from sdml_kafka.errors import AuthenticationFailed, ConfigurationError, SdmlKafkaError
from sdml_kafka.transport.librdkafka.logs import without_secrets
from sdml_kafka.transport.librdkafka.option_names import (
    ALIASES,
    CLASSIC_GROUPS,
    DURATIONS,
    KNOWN,
    OF_AIOKAFKA,
    REFUSED,
    SECRET_ENDINGS,
    WORDS,
)
from sdml_kafka.transport.option_checks import check_addresses, check_names

Kind = Literal["consumer", "producer"]
Settings = dict[str, Any]

CONNECTIONS_MAX_IDLE_MS = 180_000
"""Load balancers forget idle connections without a word, the common ones after 4 minutes."""

ID = "transactional.id"
TOKEN_FUNCTION = "oauth_cb"
TRANSACTION_TIMEOUT = "transaction.timeout.ms"
TRANSACTION_TIMEOUT_MS = 10_000
"""The time for which readers of committed records wait for a transaction whose producer is gone,
and so do the next owners of the partitions whose offsets it commits. librdkafka's is 60 s."""
SESSION_MS = 45_000
"""librdkafka's default of a classic group. It must not be longer than `max.poll.interval.ms`."""

NO_GROUP = "sdml-kafka-without-group"
"""The name for a consumer that joins no group, since librdkafka makes none without a name."""

AUTO_COMMIT, COMMIT_INTERVAL = "enable.auto.commit", "auto.commit.interval.ms"
"""The first may be given as False. The second is 0 then, which shows it to the package."""

COMMON_DEFAULTS: Mapping[str, Any] = {
    "connections.max.idle.ms": CONNECTIONS_MAX_IDLE_MS,
    # Topics and partitions that appear later are noticed at a refresh.
    "topic.metadata.refresh.interval.ms": 30_000,
    # A frozen broker holds up a request for this long; librdkafka's default is 60 s.
    "socket.timeout.ms": 15_000,
    "socket.keepalive.enable": True,
    # A broker that takes a connection and does not answer is found out within a start.
    "socket.connection.setup.timeout.ms": 8000,
    # A broker that comes back is found within a second; librdkafka's default is 10 s.
    "reconnect.backoff.max.ms": 1000,
    "log.connection.close": False,  # idle connections are closed all the time
    # Where no broker was reached for a while, librdkafka forgets them all and begins anew. But as a
    # group's coordinator it goes on to wait for one that it has forgotten, without an end.
    "metadata.recovery.strategy": "none",
}

CONSUMER_DEFAULTS: Mapping[str, Any] = {
    **COMMON_DEFAULTS,
    "isolation.level": "read_uncommitted",  # as Kafka's own client, and aiokafka
    "auto.offset.reset": "latest",
    # What waits in librdkafka has left the processor's caches, and its memory is new each time:
    # with librdkafka's 64 MB a record costs a fifth more. Where the queue is full, librdkafka looks
    # again after 1 s by default, in which a program has read many times what it holds.
    "queued.max.messages.kbytes": 4096,
    "fetch.queue.backoff.ms": 2,
}

PRODUCER_DEFAULTS: Mapping[str, Any] = {
    **COMMON_DEFAULTS,
    # The client's own retries make no duplicates, and it waits out an outage, so that the caller's
    # deadline decides.
    "enable.idempotence": True,
    "message.timeout.ms": 0,
    "linger.ms": 0,
    # A leader that learns of its partition just now may refuse a batch, and take the next one. If
    # that was on its way already, librdkafka takes the refused one for acknowledged as well
    # (findings/librdkafka-refused-batch.sh). Kafka answers the requests of a connection one after
    # another anyway.
    "max.in.flight.requests.per.connection": 1,
    # As large as with aiokafka, and within what Kafka takes by default; librdkafka's is smaller.
    "message.max.bytes": 1 << 20,
    # Every client of this package agrees on a key's partition, and so does Java's.
    "partitioner": "murmur2_random",
    # A missing topic is reported after this time, in which a broker may still create it.
    "topic.metadata.propagation.max.ms": 1000,
}

QUEUE_KBYTES = "queue.buffering.max.kbytes"
_MAX_QUEUE_BYTES = 64 << 20
"""The bytes of values that a client of librdkafka takes at most, which it keeps until a broker has
them, wanted or not. What has no room waits in this package, and is dropped once nobody waits for
it. librdkafka's own bound is 1 GiB, which a program that goes on to send fills in an outage."""
_MIN_QUEUE_RECORDS = 4
"""The number of records of the largest size for which there is room in any case."""

_NAMED = re.compile(r'configuration property:? "(?P<name>[^"]+)"')
_NUMBER = re.compile(r"0x[\da-f]+|\d+")
"""The part of a number that librdkafka reads; it leaves out what follows."""
_THREAD = re.compile(r"^\[thrd:[^\]]*\]: ")
_OF_THE_OTHER = re.compile(r"Configuration property (?P<name>\S+) is a (?P<kind>\w+) property and")
_SASL_BY_PASSWORD = ("PLAIN", "SCRAM")


def producer_settings(
    bootstrap_servers: str | Sequence[str], options: Mapping[str, Any], *, shared: bool = False
) -> Settings:
    """Return the configuration of a producer.

    Args:
        bootstrap_servers: The addresses of some brokers.
        options: librdkafka's options by its own names, which override `PRODUCER_DEFAULTS`.
        shared: Whether the options are a consumer's as well, so that some are not for a producer.

    Raises:
        ConfigurationError: Something cannot work.
    """
    check_addresses(bootstrap_servers)
    _check(options)
    settings = {**PRODUCER_DEFAULTS, **options}
    acks = str(options.get("acks", options.get("request.required.acks", -1)))
    if "enable.idempotence" not in options and acks.lower() not in ("-1", "all"):
        settings["enable.idempotence"] = False  # idempotence needs acks="all"
    _try("producer", settings, shared=shared)
    settings.setdefault(QUEUE_KBYTES, _queue_kbytes(str(settings["message.max.bytes"])))
    return {"bootstrap.servers": _joined(bootstrap_servers), **settings}


def _queue_kbytes(record_bytes: str) -> int:
    """Return the room of a producer for records of such a size, as librdkafka was given it."""
    digits = _NUMBER.match(record_bytes.strip().lower())
    size = 0 if digits is None else int(digits[0], 16 if digits[0].startswith("0x") else 10)
    return max(_MAX_QUEUE_BYTES, _MIN_QUEUE_RECORDS * size) >> 10


def transaction_settings(producer: Settings, transactional_id: str | None = None) -> Settings:
    """Return the configuration of a producer of transactions, from that of a producer.

    Without an id each one is given its own when it is made.
    """
    timeout_ms = int(producer.get(TRANSACTION_TIMEOUT, TRANSACTION_TIMEOUT_MS))
    settings = {**producer, TRANSACTION_TIMEOUT: timeout_ms}
    # A record that waits for the broker fails with its transaction, and not before.
    for name in ("message.timeout.ms", "delivery.timeout.ms"):
        if name in settings:
            settings[name] = min(int(settings[name]), timeout_ms)
    # librdkafka wants a request to end before the transaction does.
    socket_ms = int(settings.get("socket.timeout.ms", timeout_ms))
    settings["socket.timeout.ms"] = min(socket_ms, timeout_ms)
    return settings if transactional_id is None else {**settings, ID: transactional_id}


def consumer_settings(
    bootstrap_servers: str | Sequence[str],
    group_id: str | None,
    auto_offset_reset: str | None,
    options: Mapping[str, Any],
    *,
    shared: bool = True,
) -> Settings:
    """Return the configuration of a consumer.

    Args:
        bootstrap_servers: The addresses of some brokers.
        group_id: The name of its group, None for a consumer that joins none.
        auto_offset_reset: Where a group begins that has no commit, if that was given.
        options: librdkafka's options by its own names, which override `CONSUMER_DEFAULTS`.
        shared: Whether the options are a producer's as well, so that some are not for a consumer.

    Raises:
        ConfigurationError: Something cannot work.
    """
    check_addresses(bootstrap_servers)
    _check(options)
    if auto_offset_reset is not None:
        if options.get("auto.offset.reset", auto_offset_reset) != auto_offset_reset:
            raise ConfigurationError("auto_offset_reset and 'auto.offset.reset' differ: give one")
        if auto_offset_reset not in ("earliest", "latest", "none"):
            raise ConfigurationError("auto_offset_reset is 'earliest', 'latest' or 'none'")
        reset = "error" if auto_offset_reset == "none" else auto_offset_reset
        options = {**options, "auto.offset.reset": reset}
    settings = {**CONSUMER_DEFAULTS, **options, "group.id": group_id or NO_GROUP}
    if AUTO_COMMIT in options:
        settings[COMMIT_INTERVAL] = 0
    settings |= {AUTO_COMMIT: False, "enable.auto.offset.store": False}
    settings |= {name: str(settings[name]).lower() for name in WORDS}
    _try("consumer", {**_shortest_session(settings), **settings}, shared=shared)
    return {"bootstrap.servers": _joined(bootstrap_servers), **settings}


def split_options(options: Mapping[str, Any]) -> tuple[Settings, Settings]:
    """Return the options of a consumer and those of a producer; an option of both is in both.

    Raises:
        ConfigurationError: Something cannot work.
    """
    _check(options)
    of_producer = _try("consumer", {**options, "group.id": NO_GROUP}, shared=True)
    of_consumer = _try("producer", dict(options), shared=True)
    return (
        {name: value for name, value in options.items() if name not in of_producer},
        {name: value for name, value in options.items() if name not in of_consumer},
    )


def _shortest_session(settings: Settings) -> Settings:
    """Return the session that suits the other options, which `group_protocol.py` decides later."""
    if str(settings.get("group.protocol", "")).lower() == "consumer":
        return {}
    most_ms = int(settings.get("max.poll.interval.ms", SESSION_MS))
    return {"session.timeout.ms": min(SESSION_MS, most_ms)}


def refuse_keywords(given: Collection[str], own_names: Collection[str] | None) -> None:
    """Raise a ConfigurationError if options are given as aiokafka's are, by keyword arguments.

    `own_names` are parameters of the public class, which may have been meant.
    """
    for name in sorted(given):
        if (own := OF_AIOKAFKA.get(name)) is not None:
            raise ConfigurationError(
                f"{name} is an option of aiokafka: with client='librdkafka' give "
                f"client_options={{{own!r}: ...}}"
            )
    check_names(given, (), "client='librdkafka' takes its options in client_options; it", own_names)


def secrets_of(settings: Mapping[str, Any]) -> Collection[str]:
    """Return the values that no line and no error may show."""
    return [
        str(value)
        for name, value in settings.items()
        if name.endswith(SECRET_ENDINGS) and str(value)
    ]


def made[C](make: Callable[..., C], settings: Mapping[str, Any], log: object) -> C:
    """Return a client of librdkafka.

    Raises:
        ConfigurationError: librdkafka refuses the configuration.
        AuthenticationFailed: A function of the program was to give a token, and has given none.
    """
    try:
        return make(dict(settings), logger=log)
    except (KafkaException, TypeError, ValueError) as error:
        raise _refusal(error, settings) from None  # its text may show a value


def _check(options: Mapping[str, Any]) -> None:
    """Raise a ConfigurationError for what is wrong before librdkafka is asked."""
    if not isinstance(options, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            "client_options is a mapping of librdkafka's names to values, such as {'linger.ms': 5}"
        )
    for name, value in options.items():
        _check_option(name, value)
    for one, other in ALIASES.items():
        if one in options and other in options:
            raise ConfigurationError(f"{one!r} and {other!r} are one option: give one of them")
    classic = sorted(CLASSIC_GROUPS.intersection(options))
    if classic and str(options.get("group.protocol", "")).lower() == "consumer":
        raise ConfigurationError(
            f"{', '.join(map(repr, classic))}: not with 'group.protocol': 'consumer', where the "
            "broker decides it"
        )


def _check_option(name: object, value: object) -> None:
    if not isinstance(name, str):
        raise ConfigurationError(f"client_options: an option has a name, not {name!r:.100}")
    if name == AUTO_COMMIT and value is False:
        return  # then the program commits, and so it does by the option's own meaning
    if (why := REFUSED.get(name)) is not None:
        raise ConfigurationError(f"client_options: {name!r} cannot be given: {why}")
    if name == TOKEN_FUNCTION:
        if not callable(value):
            raise ConfigurationError("client_options: 'oauth_cb' is a function")
    elif not isinstance(value, str | int | float):
        raise ConfigurationError(
            f"client_options: {name!r} is a text, a number or a bool, not {type(value).__name__}"
        )
    elif name in DURATIONS and not (str(value).isascii() and str(value).isdecimal()):
        raise ConfigurationError(f"client_options: {name!r} is a whole number of milliseconds")


class _Warnings:
    """Takes the place of a logger, to see what librdkafka says of options."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def log(self, level: int, _: str, facility: str, name: str, text: str) -> None:
        if facility == "CONFWARN":
            self.texts.append(_THREAD.sub("", text))


def _try(kind: Kind, settings: Settings, *, shared: bool) -> Collection[str]:
    """Return the names of options that are for the other kind of client, if these may be `shared`.

    Raises:
        ConfigurationError: librdkafka does not take the options.
    """
    foreign: list[str] = []
    warnings = _Warnings()
    client: Consumer | Producer = (
        made(Consumer, _without_login(settings), warnings)
        if kind == "consumer"
        else made(Producer, _without_login(settings), warnings)
    )
    client.poll(0)  # which hands over the lines
    if isinstance(client, Consumer):
        client.close()
    for text in warnings.texts:
        if (other := _OF_THE_OTHER.match(text)) is not None:
            name = _as_given(other["name"], settings)
            foreign.append(name)
            if not shared:
                raise ConfigurationError(
                    f"client_options: {name!r} is an option of a {other['kind']}, and this is a "
                    f"{kind}"
                )
        elif text.startswith(("Configuration `", "Configuration property `")):
            raise ConfigurationError(f"client_options: {text}")
    return foreign


def _without_login(settings: Settings) -> Settings:
    """Return the options with which a client can be made that asks no other server for a login."""
    mechanism = str(settings.get("sasl.mechanism", settings.get("sasl.mechanisms", "GSSAPI")))
    protocol = str(settings.get("security.protocol", "plaintext"))
    if mechanism.upper().startswith(_SASL_BY_PASSWORD) or not protocol.lower().startswith("sasl"):
        return settings
    own = {name: value for name, value in settings.items() if not name.startswith("sasl.")}
    own.pop(TOKEN_FUNCTION, None)
    return {**own, "security.protocol": protocol.lower().removeprefix("sasl_")}


def _refusal(error: Exception, settings: Mapping[str, Any]) -> SdmlKafkaError:
    """Return the error for options that librdkafka refuses."""
    text = _text_of(error)
    if text.startswith("OAuth token not set"):
        return AuthenticationFailed(
            "client_options: 'oauth_cb' has given no token within 10 s. It is called with the text "
            "of 'sasl.oauthbearer.config', and returns a token and the time at which that expires, "
            "in seconds since the epoch. Nobody sees what it raises: log that in the function."
        )
    if (match := _NAMED.search(text)) is None:
        return ConfigurationError(
            f"client_options: librdkafka refuses them: {_safe(text, settings)}"
        )
    name = _as_given(match["name"], settings)
    if text.startswith("No such"):
        near = [OF_AIOKAFKA[name]] if name in OF_AIOKAFKA else get_close_matches(name, KNOWN, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return ConfigurationError(f"client_options: librdkafka has no option {name!r}.{hint}")
    if "outside allowed range" in text:
        return ConfigurationError(f"client_options: {_safe(text.strip(), settings)}")
    return ConfigurationError(f"client_options: {name!r} cannot have this value")


def _as_given(name: str, settings: Mapping[str, Any]) -> str:
    """Return the name that was given for an option, which librdkafka calls by its first one."""
    return next(
        (alias for alias, own in ALIASES.items() if own == name and alias in settings), name
    )


def _text_of(error: Exception) -> str:
    if isinstance(error, KafkaException) and error.args:
        return str(error.args[0].str())
    return str(error)


def _safe(text: str, settings: Mapping[str, Any]) -> str:
    return f"{without_secrets(text, secrets_of(settings)):.300}"


def _joined(bootstrap_servers: str | Sequence[str]) -> str:
    if isinstance(bootstrap_servers, str):
        return bootstrap_servers
    return ",".join(bootstrap_servers)
