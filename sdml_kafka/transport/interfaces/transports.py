"""The port as listeners, clients and servers get it, and the rules that its drivers keep.

A driver implements `Consumer` and `Producer` and offers a `Connect` and a `ConnectProducer`,
functions that open one each. It may implement `TransactionalProducer` as well.

Rules for a driver:

- The methods are called in the task and thread of the program, on asyncio or on trio, and so are
  the callbacks that a driver gets. Where the client itself runs is the driver's affair.
- Each awaited call ends within its `timeout_s` (a `close` a little later) and may be cancelled.
  Then it leaves no task behind, though a request that has gone out may still be carried out.
- Only errors of `sdml_kafka.errors` come out, with a text that says what to do. An outage is no
  error where waiting may mend it: a broker comes back.
- Leaving the context that `Connect` or `ConnectProducer` gave closes what is still open.
"""

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions


@frozen
class Transport:
    """The functions that open the consumer and the producer of an RPC client or server."""

    consumer: Connect
    producer: ConnectProducer
    client: str = "other"
    """The name of the Kafka client that they open, for `status()`."""
    transactions: ConnectTransactions | None = None
    """The function that opens a producer of transactions, for a listener's processors."""
    reads_committed: bool = True
    """True if the consumer sees no record of a transaction before its commit, and none after an
    abort."""


@frozen
class ListenerTransport:
    """The functions that open the consumer of a listener, and its producer if there is one."""

    consumer: Connect
    producer: ConnectProducer | None
    client: str = "other"
    """The name of the Kafka client that they open, for `status()`."""
    transactions: ConnectTransactions | None = None
    """The function that opens a producer of transactions, with an id of its own each time; None for
    a client without transactions that commit offsets in the name of a member."""
    reads_committed: bool = True
    """True if the consumer sees no record of a transaction before its commit, and none after an
    abort."""


def check_transport(given: object, else_takes: str = "") -> None:
    """Raise ConfigurationError unless what was given as `transport` is one.

    Args:
        given: What the program gave, None for no transport.
        else_takes: How to get the function that is taken as well, for the error's text; without it
            no function is.
    """
    if given is None or isinstance(given, Transport) or (else_takes and callable(given)):
        return
    alone = f", or {else_takes}" if else_takes else ""
    raise ConfigurationError(
        f"transport is not a {type(given).__name__}: in a test give Transport("
        f"broker.connect('a-group'), broker.connect_producer()){alone}. Transport and the "
        "MemoryBroker come from sdml_kafka.testing"
    )


def transport_for_calls(given: Transport | None) -> Transport | None:
    """Return what was given as it is.

    Raises:
        ConfigurationError: It is no transport.
    """
    check_transport(given)
    return given


def transport_of(given: Connect | Transport | None) -> ListenerTransport | None:
    """Return the given client as a listener's, None if aiokafka or librdkafka is to be made.

    Raises:
        ConfigurationError: It is no client.
    """
    check_transport(given, "broker.connect('a-group') alone for a listener that sends nothing")
    if given is None:
        return None
    if isinstance(given, Transport):
        open_consumer, open_producer = given.consumer, given.producer
        return ListenerTransport(
            open_consumer,
            open_producer,
            transactions=given.transactions,
            reads_committed=given.reads_committed,
        )
    return ListenerTransport(given, None)
