# pyright: basic
# aiokafka is not typed.
"""Say in words why a connection failed, and what to do. No secret is ever part of it."""

import asyncio
import errno
import ssl
from collections.abc import Mapping
from socket import gaierror
from typing import Any

from aiokafka import errors as kafka
from attrs import frozen

from sdml_kafka.errors import (
    AdvertisedAddressUnreachable,
    AuthenticationFailed,
    BrokerUnreachable,
    SdmlKafkaError,
)

HINT = "Check the address, the network and that Kafka runs; security_protocol has to fit too."
MAX_TEXT_CHARS = 300
TLS_ALERT = 0x15
MAX_ANSWER_BYTES = 100_000_000
"""The bytes that an answer may have; librdkafka takes as many (`receive.message.max.bytes`)."""
Address = tuple[str, int]


@frozen
class Failure:
    """An attempt to connect to a broker that failed, or that goes on without an answer."""

    address: Address
    error: BaseException


def rounded(seconds: float) -> str:
    """Return a duration for people: what is left of 10 s would be 9.99975 s."""
    digits = 0 if seconds >= 2 else 1
    return f"{round(seconds, digits) or seconds:g} s"


def place(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason_of(error: BaseException, protocol: str) -> str:
    """Return why a connection failed that was made with this `security_protocol`."""
    has_tls = protocol.endswith("SSL")
    if isinstance(error, gaierror | UnicodeError):  # UnicodeError: no name can be like that
        return "its name does not resolve"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses connections, so nothing listens there"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "there is no way to it in the network"
    if isinstance(error, kafka.IllegalSaslStateError):
        return f"it takes no login, and security_protocol is {protocol!r}"
    if isinstance(error, kafka.KafkaConnectionError) and error.__cause__ is not None:
        return _reason_of_end(error.__cause__, protocol)
    if has_tls and isinstance(error, ssl.SSLError | ConnectionError):
        return f"it does not speak TLS as security_protocol {protocol!r} needs it ({error!r:.200})"
    if isinstance(error, OSError | kafka.KafkaError):
        return f"{error!r:.{MAX_TEXT_CHARS}}"
    return type(error).__name__


def _reason_of_end(error: BaseException, protocol: str) -> str:
    """Return why a connection was ended while an answer was waited for."""
    if isinstance(error, ssl.SSLError):
        asks = "CERTIFICATE" in str(error.reason)
        hint = ": it asks for a client's certificate, see ssl_context" if asks else ""
        return f"it broke off TLS{hint} ({error!r:.200})"
    if isinstance(error, asyncio.IncompleteReadError) and error.expected is not None:
        # Whatever came first was taken for the size of an answer.
        head = error.expected.to_bytes(4, "big") if error.expected < 1 << 32 else b""
        if head == b"HTTP":
            return "an HTTP server answers there, not Kafka"
        if head[:1] == bytes([TLS_ALERT]):
            return f"it speaks TLS, and security_protocol is {protocol!r}"
        if error.expected > 4 and head.isascii() and head.decode().isprintable():
            return f"something answers there that is not Kafka ({head.decode()!r} ...)"
        if error.expected > MAX_ANSWER_BYTES:
            return "something answers there that is not Kafka"
    if isinstance(error, ValueError | AssertionError | UnicodeDecodeError):
        return "something answers there that is not Kafka"
    needs = "a login (SASL)" if protocol.endswith("SSL") else "TLS or a login (SASL)"
    return f"it ends the connection; it may ask for {needs}, and security_protocol is {protocol!r}"


def refused_credentials(error: BaseException) -> AuthenticationFailed | None:
    """Return the package's error if the broker or the client refused to trust the other."""
    if isinstance(error, kafka.SaslAuthenticationFailed):
        found = AuthenticationFailed(f"The broker refused the credentials: {error!r:.300}")
    elif isinstance(error, kafka.UnsupportedSaslMechanismError):
        found = AuthenticationFailed(f"The broker has no such sasl_mechanism: {error!r:.300}")
    elif isinstance(error, ssl.SSLCertVerificationError):
        found = AuthenticationFailed(f"The broker's certificate was not accepted: {error!s:.300}")
    else:
        return None
    found.__cause__ = error
    return found


def no_broker(
    asked: Mapping[Address, BaseException | None], protocol: str, timeout_s: float | None
) -> SdmlKafkaError:
    """Return the error of a start for which none of `bootstrap_servers` has answered in time.

    Without a timeout all of them have failed already.
    """
    errors = {address: error or TimeoutError() for address, error in asked.items()}
    for error in errors.values():
        if (refused := refused_credentials(error)) is not None:
            return refused
    reasons = "; ".join(
        f"{place(address)}: {reason_of(error, protocol)}" for address, error in errors.items()
    )
    within = "" if timeout_s is None else f" within {rounded(timeout_s)}"
    unreachable = BrokerUnreachable(f"No broker answered{within} ({reasons}). {HINT}")
    unreachable.__cause__ = next(iter(errors.values()), None)
    return unreachable


def failed_addresses(asked: Mapping[Address, BaseException | None], protocol: str) -> str:
    """Return which addresses have failed and why, empty if none has."""
    return "; ".join(
        f"{place(address)}: {reason_of(error, protocol)}"
        for address, error in asked.items()
        if error is not None
    )


def advertised(
    failures: Mapping[Any, Failure], asked: Mapping[Address, object], protocol: str
) -> SdmlKafkaError:
    """Return the error of brokers that cannot be reached where another broker says they are."""
    for failure in failures.values():
        if (refused := refused_credentials(failure.error)) is not None:
            return refused
    reasons = "; ".join(
        f"broker {node} at {place(failure.address)}: {reason_of(failure.error, protocol)}"
        for node, failure in failures.items()
    )
    error: BrokerUnreachable
    if all(failure.address in asked for failure in failures.values()):
        error = BrokerUnreachable(f"No broker can be reached ({reasons}). {HINT}")
    else:
        error = AdvertisedAddressUnreachable(
            f"A broker answered, and the address that it gives cannot be reached ({reasons}). "
            "Clients connect to a broker's advertised.listeners, not to bootstrap_servers: set "
            "it on the broker to an address that can be reached from here, or make this one "
            "reachable (network, name, firewall)."
        )
    error.__cause__ = next(iter(failures.values())).error
    return error
