"""Say in words why librdkafka reached no broker, and what to do. No secret is ever part of it."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

from confluent_kafka import KafkaError

from sdml_kafka.errors import AdvertisedAddressUnreachable, BrokerUnreachable, SdmlKafkaError
from sdml_kafka.log_fields import escaped
from sdml_kafka.transport.librdkafka.error_mapping import (
    BROKEN_OFF,
    MAX_TEXT_CHARS,
    NO_LOGIN,
    refused_credentials,
)

HINT = "Check the address, the network and that Kafka runs; security.protocol has to fit too."
BOOTSTRAP, COORDINATOR = "bootstrap", "GroupCoordinator"
HANDSHAKE = "in state SSL_HANDSHAKE"

_TEXT = re.compile(
    r"(?:(?:\w+://)?(?P<place>\S+)/(?P<node>bootstrap|\d+)|GroupCoordinator: (?P<coordinator>\S+))"
    r": (?P<what>.*?)(?: \(after \d+ms in state .*\))?$",
    re.DOTALL,
)
_REASONS = (
    ("Failed to resolve", "its name does not resolve"),
    ("Connection refused", "it refuses connections, so nothing listens there"),
    ("imed out", "it does not answer"),
    ("No route to host", "there is no way to it in the network"),
    ("Network is unreachable", "there is no way to it in the network"),
)

_ENDED = ("Disconnected", "Send failed: ", "Receive failed: ")
"""How the texts begin of connections that a broker has ended. Which one comes is a matter of time:
the broker may end it before a request, while it is sent, or after it."""
_SIZE = re.compile(r"Receive failed: Invalid response size (-?\d+) ")
"""The text of what is no answer of Kafka's: its first bytes were taken for a size."""
_HTTP, _TLS_ALERT = b"HTTP", b"\x15"


class Failure(NamedTuple):
    """A broker that librdkafka did not reach."""

    place: str
    """The address, as host and port."""
    node: str
    """The number of the broker; `BOOTSTRAP` if it is one of the addresses that were given,
    `COORDINATOR` of the connection to the group's coordinator."""
    error: KafkaError
    what: str

    @classmethod
    def of(cls, error: KafkaError) -> Self | None:
        """Return what an error says of a broker, None if it is about no single one."""
        match = _TEXT.match(error.str())
        if match is None:
            return None
        place, node = match["place"] or match["coordinator"], match["node"] or COORDINATOR
        return cls(place, node, error, escaped(match["what"], MAX_TEXT_CHARS))

    def by_broker(self, protocol: str) -> Mapping[str, str]:
        """Return the reason by the broker's number, or by its address if that is not known."""
        broker = self.node if self.node.isdecimal() else self.place
        return {broker: f"{self.place}: {self.reason(protocol)}"}

    @property
    def name(self) -> str:
        """The name of the broker in a text."""
        kind = "the group's coordinator" if self.node == COORDINATOR else f"broker {self.node}"
        return f"{kind} at {self.place}"

    def reason(self, protocol: str) -> str:
        """Return why, for a connection that was made with this `security.protocol`."""
        for piece, reason in _REASONS:
            if piece in self.what:
                return reason
        if NO_LOGIN in self.what:
            return f"it takes no login, and security.protocol is {protocol!r}"
        if self.node == BOOTSTRAP and (found := _SIZE.match(self.what)) is not None:
            return _reason_of_bytes(int(found[1]), protocol)
        # A broker may also close the connection before librdkafka has read what it is not.
        in_handshake = "SSL handshake failed" in self.what or HANDSHAKE in self.error.str()
        if self.error.code() == KafkaError._SSL or in_handshake:
            return (
                f"it does not speak TLS as security.protocol {protocol!r} needs it "
                f"({self.what:.200})"
            )
        # A broker that lets nobody in gives no address to another connection.
        if self.node == BOOTSTRAP and self._was_ended:
            return _ends_connections(protocol)
        return self.what

    @property
    def _was_ended(self) -> bool:
        """True if the broker has ended the connection, without a word on why."""
        if BROKEN_OFF in self.what:
            return True
        return self.error.code() == KafkaError._TRANSPORT and self.what.startswith(_ENDED)


def unreachable(
    failures: Mapping[str, Failure], servers: str, protocol: str, timeout_s: float | None
) -> SdmlKafkaError:
    """Return the error of a start for which no broker has answered.

    Args:
        failures: What failed, by the place of the broker.
        servers: The addresses that were given.
        protocol: The `security.protocol` of the client.
        timeout_s: Seconds that the start took, None if every broker has failed before.
    """
    for failure in failures.values():
        if (refused := refused_credentials(failure.error)) is not None:
            return refused
    given = [place.strip() for place in servers.split(",") if place.strip()]
    if advertised := [each for each in failures.values() if each.node != BOOTSTRAP]:
        reasons = "; ".join(f"{each.name}: {each.reason(protocol)}" for each in advertised)
        if all(each.place in given for each in advertised):
            return BrokerUnreachable(f"No broker can be reached ({reasons}). {HINT}")
        return AdvertisedAddressUnreachable(
            f"A broker answered, and the address that it gives cannot be reached ({reasons}). "
            "Clients connect to a broker's advertised.listeners, not to bootstrap_servers: set "
            "it on the broker to an address that can be reached from here, or make this one "
            "reachable (network, name, firewall)."
        )
    # Of a broker that ends connections librdkafka says no more than that it is down.
    other = "it does not answer" if timeout_s is not None else _ends_connections(protocol)
    reasons = "; ".join(
        f"{place}: {failures[place].reason(protocol) if place in failures else other}"
        for place in dict.fromkeys([*given, *failures])
    )
    within = "" if timeout_s is None else f" within {_rounded(timeout_s)}"
    return BrokerUnreachable(f"No broker answered{within} ({reasons}). {HINT}")


def _reason_of_bytes(size: int, protocol: str) -> str:
    """Return why a connection failed on which the first bytes of an answer say this size."""
    head = (size & 0xFFFFFFFF).to_bytes(4, "big")
    if head == _HTTP:
        return "an HTTP server answers there, not Kafka"
    if head.startswith(_TLS_ALERT):
        return f"it speaks TLS, and security.protocol is {protocol!r}"
    return "something answers there that is not Kafka"


def _ends_connections(protocol: str) -> str:
    may = "may ask for TLS or a login (SASL)"
    if "ssl" in protocol.lower():
        may = "may not speak TLS, or ask for a login (SASL) or a client's certificate"
    return f"it ends the connection; it {may}, and security.protocol is {protocol!r}"


def _rounded(seconds: float) -> str:
    """Return a duration for people: what is left of 10 s would be 9.99975 s."""
    digits = 0 if seconds >= 2 else 1
    return f"{round(seconds, digits) or seconds:g} s"
