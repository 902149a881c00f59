"""Clients that are given addresses get the in-memory twin, after their options were checked."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from attrs import field, frozen

from sdml_kafka.testing import MemoryBroker
from sdml_kafka.transport import connect
from sdml_kafka.transport.client_choice import ClientArguments
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions
from sdml_kafka.transport.interfaces.transports import ListenerTransport, Transport


def lead_to(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let listeners, producers, RPC clients and servers that are made from now on use the twin."""
    twin = Twin(broker)
    for module, name, lead in [
        ("listener.listener", "listener_transport", twin.listener_transport),
        ("rpc.client.client", "rpc_transport", twin.rpc_transport),
        ("rpc.server.server", "rpc_server_transport", twin.rpc_server_transport),
        ("producer.connecting", "producer_connect", twin.producer_connect),
        ("producer.connecting", "transactional_connect", twin.transactional_connect),
    ]:
        monkeypatch.setattr(f"sdml_kafka.{module}.{name}", lead)


@frozen
class Twin:
    """The functions of `transport/connect.py` that choose a client, with its checks."""

    broker: MemoryBroker
    _numbers: Callable[[], int] = field(factory=lambda: count(1).__next__)

    def listener_transport(
        self, given: ClientArguments, *more: Any, **options: Any
    ) -> ListenerTransport:
        """Return the twin's consumer, its producer, and its transactions if the client has some."""
        made = connect.listener_transport(given, *more, **options)
        consumer = self.broker.connect(given.group_id or "group", **reset_of(given))
        producer = self.broker.connect_producer()
        transactions = self.broker.connect_transactions() if made.transactions else None
        return ListenerTransport(
            consumer, producer, made.client, transactions, made.reads_committed
        )

    def rpc_transport(self, given: ClientArguments, *more: Any, **options: Any) -> Transport:
        """Return the twin's consumer, in a group of its own if none is given, and its producer."""
        made = connect.rpc_transport(given, *more, **options)
        group = given.group_id or f"calls-{self._numbers()}"
        consumer = self.broker.connect(group, **reset_of(given))
        return Transport(consumer, self.broker.connect_producer(), made.client)

    def rpc_server_transport(self, given: ClientArguments, *more: Any, **options: Any) -> Transport:
        """Return the twin's consumer, which begins at the earliest request, and its producer."""
        made = connect.rpc_server_transport(given, *more, **options)
        consumer = self.broker.connect(given.group_id or "group", auto_offset_reset="earliest")
        return Transport(consumer, self.broker.connect_producer(), made.client)

    def producer_connect(self, *given: Any) -> ConnectProducer:
        """Return the twin's producer."""
        connect.producer_connect(*given)
        return self.broker.connect_producer()

    def transactional_connect(self, *given: Any) -> ConnectTransactions:
        """Return the twin's producer of transactions."""
        connect.transactional_connect(*given)
        return self.broker.connect_transactions(transactional_id=given[1])


def reset_of(given: ClientArguments) -> Mapping[str, Any]:
    """Return where a group begins, by aiokafka's options."""
    options = given.aiokafka_options
    return {key: options[key] for key in ("auto_offset_reset",) if key in options}
