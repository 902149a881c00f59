# pyright: basic
# aiokafka is not typed.
"""Check the values of aiokafka's options, of those given to us and of those of a user's factory.

aiokafka itself takes almost anything, and fails later or never. No text is shown of what was given
for an option, since it may be a secret; a number is. The suggestions are taken from what is right.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Real
from ssl import SSLContext
from typing import Any

from aiokafka import codec

from sdml_kafka.errors import ConfigurationError

_CHOICES: Mapping[str, Sequence[object]] = {
    "auto_offset_reset": ("earliest", "latest", "none"),
    "isolation_level": ("read_uncommitted", "read_committed"),
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": ("PLAIN", "GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
    "compression_type": (None, "gzip", "snappy", "lz4", "zstd"),
    "acks": ("all", 0, 1, -1),
}
"""The options whose values are few."""

_SENT = {
    "session_timeout_ms": 1,
    "rebalance_timeout_ms": 1,
    "fetch_max_wait_ms": 0,
    "fetch_min_bytes": 0,
    "fetch_max_bytes": 1,
    "max_partition_fetch_bytes": 1,
    "transaction_timeout_ms": 1,
}
"""Whole numbers that the broker is sent, in 32 bits, each with the least that it may be."""

_NUMBERS = {
    "heartbeat_interval_ms": 1,
    "request_timeout_ms": 1,
    "metadata_max_age_ms": 1,
    "max_poll_interval_ms": 1,
    "auto_commit_interval_ms": 1,
    "consumer_timeout_ms": 0,
    "retry_backoff_ms": 0,
    "linger_ms": 0,
    "max_batch_size": 1,
    "max_request_size": 1,
}
"""Numbers, each with the least that it may be."""

_OPTIONAL_NUMBERS = {"connections_max_idle_ms": 1, "max_poll_records": 1}
"""Numbers that may be None as well."""

_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(
        ("check_crcs", "enable_auto_commit", "enable_idempotence", "exclude_internal_topics"),
        (bool, "True or False"),
    ),
    "client_id": (str, "a str"),
    **dict.fromkeys(
        ("client_rack", "group_instance_id", "sasl_plain_username", "sasl_plain_password"),
        ((str, type(None)), "a str"),
    ),
    "ssl_context": ((SSLContext, type(None)), "an ssl.SSLContext (aiokafka.helpers makes one)"),
    "partition_assignment_strategy": ((list, tuple), "a tuple of assignors"),
}
"""The options of certain types, and how an error names them."""

_HAS_CODEC = {
    "snappy": codec.has_snappy,
    "lz4": codec.has_lz4,
    "zstd": codec.has_zstd,
}


def check_values(
    options: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    *,
    needs_fitting_times: bool = True,
) -> None:
    """Raise a ConfigurationError if an option has a value that it cannot have.

    `defaults` hold where an option is not given; options that do not go together are found, too,
    time-outs that contradict each other only with `needs_fitting_times`.
    """
    for name, value in options.items():
        if name in _CHOICES:
            _check_choice(name, value, _CHOICES[name])
        elif name in _SENT:
            _check_number(name, value, _SENT[name], (1 << 31) - 1)
        elif name in _NUMBERS:
            _check_number(name, value, _NUMBERS[name], None)
        elif name in _OPTIONAL_NUMBERS and value is not None:
            _check_number(name, value, _OPTIONAL_NUMBERS[name], None)
        elif name in _TYPES and not isinstance(value, _TYPES[name][0]):
            raise ConfigurationError(f"{name} is {_TYPES[name][1]}, not {_shown(value)}")
    settings = {**(defaults or {}), **options}
    if needs_fitting_times:
        _check_times(settings)
    _check_together(settings)


def made_by(factory: Callable[[], object], name: str) -> object:
    """Return what a user's factory makes.

    Raises:
        ConfigurationError: The factory raised what aiokafka raises for options that it refuses.
    """
    try:
        return factory()
    except ConfigurationError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} raised {type(error).__name__}: {error}") from error


def check_producer_options(options: Mapping[str, Any]) -> None:
    """Raise a ConfigurationError for what aiokafka's producer has and calls have no use for."""
    if options.get("transactional_id") is not None:
        raise ConfigurationError("transactional_id: calls make no transactions, leave it out")
    for name in ("key_serializer", "value_serializer"):
        if options.get(name) is not None:
            raise ConfigurationError(f"{name}: what is sent is bytes already, leave it out")
    if not callable(options.get("partitioner", callable)):
        raise ConfigurationError("partitioner is a function of (key, all partitions, available)")


def _check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return
    texts = [choice for choice in choices if isinstance(choice, str)]
    # Some are written in capitals, and some in small letters.
    by_small = {text.lower(): text for text in texts}
    near = get_close_matches(str(value).lower(), by_small, n=1)
    hint = f". Did you mean {by_small[near[0]]!r}?" if near else ""
    raise ConfigurationError(
        f"{name} is {', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}{hint}"
    )


def _check_number(name: str, value: object, least: int, most: int | None) -> None:
    kind = "a number" if most is None else "a whole number"
    unit = " of milliseconds" if name.endswith("_ms") else ""
    is_number = isinstance(value, Real if most is None else int) and not isinstance(value, bool)
    if not is_number or not least <= value or (most is not None and value > most):  # type: ignore[operator]  # numbers
        up_to = f"{least} or more" if most is None else f"{least} to {most}"
        raise ConfigurationError(f"{name} is {kind}{unit}, {up_to}, not {_shown(value)}")


def _shown(value: object) -> str:
    """Return a number as it is, and of anything else its type alone."""
    return repr(value) if isinstance(value, Real | None) else f"a {type(value).__name__}"


def _check_times(settings: Mapping[str, Any]) -> None:
    for lower, upper, why in (
        ("heartbeat_interval_ms", "session_timeout_ms", "the group would expel each member"),
        ("fetch_max_wait_ms", "request_timeout_ms", "each idle fetch would time out"),
    ):
        if settings.get(lower, 0) >= settings.get(upper, float("inf")):
            raise ConfigurationError(
                f"{lower} ({settings[lower]}) has to be less than {upper} "
                f"({settings[upper]}): {why}"
            )


def _check_together(settings: Mapping[str, Any]) -> None:
    _check_security(settings)
    kind = settings.get("compression_type")
    if kind in _HAS_CODEC and not _HAS_CODEC[kind]():
        raise ConfigurationError(
            f"compression_type {kind!r} needs a library: install aiokafka[{kind}]"
        )
    acks = settings.get("acks", "all")
    if settings.get("enable_idempotence") and acks not in ("all", -1):
        raise ConfigurationError(
            f"enable_idempotence=True needs acks='all', not acks={acks!r}: leave one of them out"
        )


def _check_security(settings: Mapping[str, Any]) -> None:
    protocol = settings.get("security_protocol", "PLAINTEXT")
    has_context = settings.get("ssl_context") is not None
    if protocol.endswith("SSL") and not has_context:
        raise ConfigurationError(
            f"security_protocol {protocol!r} needs ssl_context: "
            "aiokafka.helpers.create_ssl_context() makes one"
        )
    if has_context and not protocol.endswith("SSL"):
        raise ConfigurationError(
            f"ssl_context is not used with security_protocol {protocol!r}: set that to 'SSL' or "
            "'SASL_SSL'"
        )
    user, password = (settings.get(f"sasl_plain_{name}") for name in ("username", "password"))
    mechanism = settings.get("sasl_mechanism", "PLAIN")
    if not protocol.startswith("SASL"):
        if user is not None or password is not None:
            raise ConfigurationError(
                f"sasl_plain_username and sasl_plain_password are not used with security_protocol "
                f"{protocol!r}: set that to 'SASL_SSL' or 'SASL_PLAINTEXT'"
            )
    elif mechanism == "OAUTHBEARER":
        if settings.get("sasl_oauth_token_provider") is None:
            raise ConfigurationError("sasl_mechanism 'OAUTHBEARER' needs sasl_oauth_token_provider")
    elif mechanism != "GSSAPI" and (user is None or password is None):
        raise ConfigurationError(
            f"security_protocol {protocol!r} with sasl_mechanism {mechanism!r} needs "
            "sasl_plain_username and sasl_plain_password"
        )
