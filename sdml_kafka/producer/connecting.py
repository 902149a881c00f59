"""The client that a producer sends with, and the check of its options."""

from collections.abc import Mapping
from typing import Any

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.producer.transactions import check_transactional_id
from sdml_kafka.transport.client_choice import ClientArguments
from sdml_kafka.transport.connect import producer_connect, transactional_connect
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions
from sdml_kafka.transport.interfaces.transports import Transport, check_transport


def connects(
    transport: ConnectProducer | Transport | None,
    transactional_id: str | None,
    given: ClientArguments,
) -> tuple[ConnectProducer | None, ConnectTransactions | None]:
    """Return what opens a producer, or else one of transactions.

    Args:
        transport: Another client than those that come along, None for one of these.
        transactional_id: The id of a producer of transactions, None for another one.
        given: The client that was chosen.

    Raises:
        ConfigurationError: Something of this cannot work.
    """
    check_transport(transport, "broker.connect_producer() alone")
    if transactional_id is None:
        connect = transport.producer if isinstance(transport, Transport) else transport
        if connect is None:
            connect = producer_connect(given)
            _check_acknowledged(given.aiokafka_options, given.choice.options or {})
        return connect, None
    check_transactional_id(transactional_id)
    if transport is None:
        return None, transactional_connect(given, transactional_id)
    if not isinstance(transport, Transport) or transport.transactions is None:
        raise ConfigurationError("transactional_id needs a Transport that has `transactions`")
    return None, transport.transactions


def _check_acknowledged(*options: Mapping[str, Any]) -> None:
    names = "acks", "request.required.acks"
    if any(str(each.get(name)) == "0" for each in options for name in names):
        raise ConfigurationError(
            "acks=0: the broker would say nothing of any record, so that losses went unnoticed, "
            "and each send returns what the broker has said. Leave acks out."
        )
