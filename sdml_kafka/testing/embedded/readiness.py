"""Asks a broker whether clients can use it, in a few bytes of the Kafka protocol.

A client library would log an error for each answer that a starting broker gives.
"""

import socket
import struct
from collections.abc import Set

_METADATA, _FIND_COORDINATOR, _DESCRIBE_GROUPS = 3, 10, 15
_TIMEOUT_S = 1.0
_NO_ERROR, _GROUP_AUTHORIZATION_FAILED = 0, 30

type Address = tuple[str, int]


def missing_brokers(address: Address, expected: Set[int]) -> Set[int]:
    """Return which of the `expected` brokers the broker at `address` does not know as alive."""
    # In version 1 an empty list of topics asks for the brokers alone.
    answer = _Reader(_ask(address, _METADATA, 1, struct.pack(">i", 0)))
    alive: set[int] = set()
    for _ in range(answer.number(">i")):
        alive.add(answer.number(">i"))
        answer.text()  # host
        answer.number(">i")  # port
        answer.text()  # rack
    return expected - alive


def group_is_served(address: Address, group: str) -> bool:
    """Return whether the group's coordinator is elected and has read its partition.

    The question also makes the broker create the internal topic of the groups.
    """
    name = _text(group)
    answer = _Reader(_ask(address, _FIND_COORDINATOR, 0, name))
    error = answer.number(">h")
    if error == _GROUP_AUTHORIZATION_FAILED:
        return True  # a broker that checks rights is a broker that works
    if error != _NO_ERROR:
        return False
    answer.number(">i")  # node
    coordinator = (answer.text(), answer.number(">i"))
    described = _Reader(_ask(coordinator, _DESCRIBE_GROUPS, 0, struct.pack(">i", 1) + name))
    described.number(">i")  # one group
    return described.number(">h") in {_NO_ERROR, _GROUP_AUTHORIZATION_FAILED}


def accepts(address: Address) -> bool:
    """Return whether something listens at the address."""
    try:
        socket.create_connection(address, _TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _ask(address: Address, api: int, version: int, body: bytes) -> bytes:
    correlation = 1
    request = struct.pack(">hhi", api, version, correlation) + _text("embedded") + body
    with socket.create_connection(address, _TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack(">i", _exactly(stream.read(4), 4))
            return _exactly(stream.read(length), length)[4:]


def _exactly(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise ConnectionError("the broker closed the connection")
    return data


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">h", len(data)) + data


class _Reader:
    """Reads an answer from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, form: str) -> int:
        value: int = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def text(self) -> str:
        length = max(0, self.number(">h"))  # -1 is null
        value = self._data[self._at : self._at + length].decode()
        self._at += length
        return value
