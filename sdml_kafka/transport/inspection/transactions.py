"""Ask a broker about a transactional id, which shows whether this client may use it. Pure."""

from sdml_kafka.transport.inspection import wire
from sdml_kafka.transport.inspection.wire import Answer
from sdml_kafka.transport.interfaces.inspection import Request

DESCRIBE_TRANSACTIONS = 65
FORBIDDEN = 53
"""The code of the error of a transactional id that this client may not even see."""


def transaction_request(id_: str) -> Request:
    """Ask any broker; rights come first, so it need not be the coordinator, and creates nothing."""
    return Request(DESCRIBE_TRANSACTIONS, 0, wire.struct(wire.array([id_], wire.text)))


def read_transaction_error(data: bytes) -> int:
    """Return Kafka's error, 0 for an id that this broker knows."""
    answer = wire.behind_header(data)
    answer.int32()
    errors = answer.array(_transaction)
    if len(errors) != 1:
        raise wire.MalformedAnswer("it is not about one transactional id")
    return errors[0]


def _transaction(answer: Answer) -> int:
    error, _, _ = answer.int16(), answer.text(), answer.text()
    answer.int32()
    answer.int64()
    answer.int64()
    answer.int16()
    answer.array(_topic)
    return answer.end(error)


def _topic(answer: Answer) -> None:
    answer.text()
    answer.end(wire.int32s(answer))
