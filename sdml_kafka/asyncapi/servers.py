"""Describe brokers: addresses, protocol, and how a client logs in, but no secret."""

from collections.abc import Sequence
from typing import Any

from sdml_kafka.asyncapi.payloads import Json
from sdml_kafka.client_config import ClientConfig

_PROTOCOLS = ("security_protocol", "security.protocol")
_MECHANISMS = ("sasl_mechanism", "sasl.mechanism", "sasl.mechanisms")
_SCHEMES: dict[str, Json] = {
    "PLAIN": {"type": "plain"},
    "SCRAM-SHA-256": {"type": "scramSha256"},
    "SCRAM-SHA-512": {"type": "scramSha512"},
    "GSSAPI": {"type": "gssapi"},
    "OAUTHBEARER": {"type": "http", "scheme": "bearer"},
}


class Servers:
    """The servers of a document, and their security schemes."""

    def __init__(self) -> None:
        self.servers: dict[str, Json] = {}
        self.schemes: dict[str, Json] = {}

    def add(self, client: ClientConfig | None) -> Sequence[str]:
        """Add the brokers that an object connects to, and return their keys."""
        if client is None or not client.bootstrap:
            return ()
        given = client.for_both
        protocol = str(_first(given, _PROTOCOLS) or "PLAINTEXT").upper()
        mechanism = str(_first(given, _MECHANISMS) or "PLAIN").upper()
        keys = list[str]()
        for address in client.bootstrap.split(","):
            server = self._server(address.strip(), protocol, mechanism)
            key = next((key for key, each in self.servers.items() if each == server), None)
            if key is None:
                key = "kafka" if not self.servers else f"kafka-{len(self.servers) + 1}"
                self.servers[key] = server
            keys.append(key)
        return list(dict.fromkeys(keys))

    def _server(self, address: str, protocol: str, mechanism: str) -> Json:
        server: Json = {
            "host": address.rpartition("://")[2],
            "protocol": "kafka-secure" if protocol.endswith("SSL") else "kafka",
        }
        scheme = _SCHEMES.get(mechanism) if protocol.startswith("SASL") else None
        if scheme is not None:
            key = f"sasl-{mechanism.lower()}"
            self.schemes[key] = {**scheme, "description": f"SASL with {mechanism}"}
            server["security"] = [{"$ref": f"#/components/securitySchemes/{key}"}]
        return server


def _first(options: Any, names: Sequence[str]) -> Any:
    return next((options[name] for name in names if name in options), None)
