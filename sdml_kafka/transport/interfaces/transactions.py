"""The part of the port that sends records and commits offsets together, or not at all."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit

GroupMetadata = object
"""A member of a group, as of a moment ago, for a transaction that commits in its name; only the
driver that it is of looks into it."""


class GroupOffsets(NamedTuple):
    """Offsets that a transaction commits for a consumer group."""

    group_metadata: GroupMetadata
    """The member that commits: the group refuses one that it has replaced since."""
    commits: Mapping[TopicPartition, Commit]


class TransactionalProducer(Protocol):
    """Sends records in transactions, one after another, under one transactional id."""

    @property
    def unreachable(self) -> Mapping[str, str]:
        """The brokers that the client has failed to connect to lately; see `Producer`."""
        ...

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        """Connect, and take the place of the producer before with the same id.

        That one's open transaction is aborted, and it is fenced.

        Args:
            timeout_s: Seconds within which a broker has to answer.
            creates_topics: Whether a broker that creates topics by itself may create the topics
                that records are sent to.

        Raises:
            BrokerUnreachable: No broker answered in time. A new producer may be tried.
            AuthenticationFailed: The broker refused the credentials, or its certificate.
            AuthorizationFailed: The broker does not let this client use the id.
            ConfigurationError: A setting cannot work.
            ProducerFailed: The client did not start for any other reason.
        """

    def send(self, message: Message, on_failed: Callable[[Exception], None]) -> None:
        """Send a record in the open transaction, which begins with its first record.

        Never waits and never raises. A record that fails spoils its transaction: `commit` raises
        then. None may be sent while a commit or an abort is under way, or in doubt.

        Args:
            message: The record. Its receipt takes its place once the broker has the record, which
                nobody reads before the commit.
            on_failed: Called in the program's thread, never from within `send`, if the record was
                not taken, with an error that `Producer.send` names. One that is a `SendFailed` and
                no kind of it is not the record's fault: the record fails with its transaction.
        """
        ...

    async def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has each record, or has refused one; return whether so in time."""
        ...

    async def commit(self, offsets: GroupOffsets | None, timeout_s: float) -> None:
        """Commit the open transaction, once all of its records are acknowledged.

        From then on it is sure to happen. Readers of committed records see it a moment later, and
        so does whoever looks up the group's offsets, but for the next owner of a partition.

        Args:
            offsets: What to commit for a group in it, if anything.
            timeout_s: Seconds within which the broker has to answer.

        Raises:
            TransactionFailed: Nothing of it has happened or will; `abort` has to follow. The group
                has refused the member, or a record was not taken.
            AuthorizationFailed: The broker does not let this client commit for the group. Nothing
                of it has happened or will; `abort` has to follow.
            TransactionInDoubt: No answer came in time. The same call once more goes on with it.
            ProducerFenced: Another producer has taken the id, or the broker has given up on this
                one, whose transaction it has aborted or will. A new producer is needed. That may
                show as a `TransactionFailed` first, and with the abort that follows.
            ProducerFailed: A new producer is needed for any other reason; in doubt as well.
        """

    async def abort(self, timeout_s: float) -> None:
        """Abort the open transaction, if there is one; what was sent in it is never read.

        Raises:
            TransactionInDoubt: No answer came in time, and the same call once more goes on with it.
                Or a commit is in doubt: nothing but the same commit can end the transaction.
            ProducerFenced: As with `commit`. The transaction is or will be aborted.
            ProducerFailed: A new producer is needed for any other reason.
        """

    async def close(self, timeout_s: float) -> None:
        """Close every socket and thread; may be called again.

        An open transaction is aborted if there is time for it, else by the broker later.
        """


ConnectTransactions = Callable[[], AbstractAsyncContextManager[TransactionalProducer]]
"""Opens a new producer of transactions, not started yet. Leaving the context closes it. Its id is
the one that the program has chosen, or else one that no other producer has."""
