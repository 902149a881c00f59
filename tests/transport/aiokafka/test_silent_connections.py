"""Which connections count as silent, and how the patience with a broker grows and shrinks."""

from types import SimpleNamespace
from typing import Any

import pytest

from sdml_kafka.transport.aiokafka import silent_connections
from sdml_kafka.transport.aiokafka.silent_connections import (
    FORGIVE_LOOKS,
    MAX_PATIENCE_LOOKS,
    PATIENCE_LOOKS,
    SilentConnections,
)

METADATA, JOIN, HEARTBEAT = 3, 11, 12


class Connection:
    """A connection with the requests that wait for their answers."""

    host, port = "broker", 9092

    def __init__(self, api_key: int = METADATA, **fields: Any) -> None:
        self.requests = [(1, SimpleNamespace(API_KEY=api_key, **fields))]
        self.moved = 0
        self.is_open = True


class Client:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


@pytest.fixture(autouse=True)
def plain_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def connections_of(client: Client) -> list[tuple[str, Connection]]:
        return [("place", client.connection)] if client.connection.is_open else []

    def close(connection: Connection) -> None:
        connection.is_open = False

    def oldest(connection: Connection) -> tuple[Any, Any]:
        return connection.requests[0] if connection.requests else (None, None)

    monkeypatch.setattr(silent_connections, "connections_of", connections_of)
    monkeypatch.setattr(silent_connections, "close_silent", close)
    monkeypatch.setattr(silent_connections, "oldest_request", oldest)
    monkeypatch.setattr(silent_connections, "moved_bytes", lambda connection: connection.moved)


def watching(connection: Connection, *, repeats_produce: bool = False) -> SilentConnections:
    return SilentConnections(Client(connection), repeats_produce=repeats_produce)


def looks_until_closed(connections: SilentConnections, at_most: int = 1000) -> int:
    client = connections._client
    for count in range(at_most):
        if not client.connection.is_open:
            return count
        connections.look()
    return at_most


@pytest.mark.parametrize(
    ("connection", "repeats_produce", "looks"),
    [
        (Connection(METADATA), False, PATIENCE_LOOKS),
        (Connection(HEARTBEAT), False, PATIENCE_LOOKS),
        (Connection(1, max_wait_time=2000), False, PATIENCE_LOOKS + 4),
        (Connection(0), True, PATIENCE_LOOKS),
        (Connection(0), False, None),
        (Connection(JOIN), True, None),
    ],
)
def test_only_what_is_answered_soon_and_may_be_repeated_counts(
    connection: Connection, repeats_produce: bool, looks: int | None
) -> None:
    connections = watching(connection, repeats_produce=repeats_produce)
    assert looks_until_closed(connections) == (1000 if looks is None else looks + 1)


def test_an_idle_connection_and_one_with_progress_stay() -> None:
    idle, uploading, answered = Connection(), Connection(), Connection()
    idle.requests.clear()
    watched = [watching(each) for each in (idle, uploading, answered)]
    for number in range(100):
        uploading.moved = number
        answered.requests[0] = (number, answered.requests[0][1])
        for each in watched:
            each.look()
    assert all(each.is_open for each in (idle, uploading, answered))


def test_the_patience_with_a_slow_broker_doubles_and_is_halved_while_all_goes_well() -> None:
    connections = watching(Connection())
    client: Any = connections._client
    expected = PATIENCE_LOOKS
    for _ in range(5):
        assert looks_until_closed(connections) == expected + 1
        client.connection = Connection()
        expected = min(2 * expected, MAX_PATIENCE_LOOKS)
    client.connection.requests.clear()
    for _ in range(3 * FORGIVE_LOOKS):
        connections.look()
    client.connection = Connection()
    assert looks_until_closed(connections) == PATIENCE_LOOKS + 1
