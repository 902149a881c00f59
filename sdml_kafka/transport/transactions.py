"""Transactions as a program needs them: records and commits that happen together, or not at all."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit


class NoTransactions(Exception):
    """The broker does not let this client make transactions; the text says why."""


class RecordsFailed(Exception):
    """Records were not taken, so nothing of their transaction has happened.

    Attributes:
        error: Why. The broker refuses whole batches, so it may be about another one of the records.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Transactions(Protocol):
    """Makes one transaction after another."""

    async def send(
        self, messages: Sequence[Message], offsets: Mapping[TopicPartition, Commit], group: str
    ) -> None:
        """Send records, and commit offsets for a group, in one transaction.

        Raises:
            RecordsFailed: A record was not taken. Nothing was sent or committed. Another producer
                may have had the id meanwhile, which this one has taken back by now.
            ProducerFailed: The broker takes no more transactions of this producer.
        """
