"""The half of the port that sends records, and looks after topics."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from sdml_kafka.errors import ProducerFailed


class Receipt(Protocol):
    """Takes the place of a record that the broker has acknowledged."""

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        """Take the place, just before `on_sent` is called, in the same thread.

        Args:
            partition: The number of the partition.
            offset: The offset there, -1 if the broker was not asked for it.
            timestamp_ms: The broker's time if it has set the record's timestamp, else None.
        """


class Message(NamedTuple):
    """A record to send.

    Without a `partition` the key decides on it. Records without a key take turns in all
    partitions, and so do records whose key does not decide (`by_key` False): it only names whom
    they are for.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None
    by_key: bool = True
    timestamp_ms: int | None = None
    """The record's time in milliseconds since the epoch, None for the time of sending."""
    receipt: Receipt | None = None
    """Takes the record's place, if somebody asks for it."""


OnSent = Callable[[Exception | None], None]
"""Called once with a record's outcome: None when the broker has acknowledged it, else the error.
The call comes in the program's thread, never from within `send`. An exception in it is logged. An
object with an attribute `waits_for_ack` that is False need not be called with None: to wake another
thread for an acknowledgement costs as much as a call of RPC. Objects of a class with a function
`all_acknowledged`, whose messages have no receipt, may be handed to it in a list instead."""


class ProducerSpent(ProducerFailed):
    """One partition takes no more records of this producer, for which all else is well."""


def always() -> bool:
    """Return True, for a message that is wanted whatever happens."""
    return True


class Producer(Protocol):
    """Sends records; in each partition in the order of the calls, as long as nothing fails."""

    @property
    def connected(self) -> bool:
        """True if a broker can be reached, as far as the client knows without asking."""
        ...

    @property
    def waiting(self) -> int:
        """The number of records that were given to `send` and have no outcome yet.

        Any thread may ask. What another thread has not taken over yet may be missing.
        """
        ...

    @property
    def unreachable(self) -> Mapping[str, str]:
        """The brokers that the client has failed to connect to lately, with the reason.

        Each by its number, or by its address if it was not known to be a broker yet. The reason
        begins with the address. While a broker can be reached they may be those of before.
        """
        ...

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        """Connect to a broker.

        Args:
            timeout_s: Seconds within which a broker has to answer.
            creates_topics: Whether a broker that creates topics by itself may create the topics
                that records are sent to.

        Raises:
            BrokerUnreachable: No broker answered in time. A new producer may be tried.
            AuthenticationFailed: The broker refused the credentials, or its certificate was not
                accepted.
            AuthorizationFailed: The broker does not let this client produce.
            ConfigurationError: A setting cannot work.
            ProducerFailed: The client did not start for any other reason.
        """

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        """Send a record. Never waits and never raises.

        An outage is no error: the record waits for the broker, as long as the client below waits.
        After `close` every record fails with a SendFailed, also once the context is left.
        The errors that `on_sent` may be called with:

        - TopicMissing: the broker neither has the topic nor creates it.
        - PayloadTooLarge: the client, the broker or the topic takes no record of that size.
        - RecordRefused: the broker refuses the record for another reason, and would do so again.
        - AuthorizationFailed: the broker does not let this client write to the topic.
        - ConfigurationError: no broker could take the record, or not in that partition.
        - SendFailed: anything else; with `in_doubt` the record may have arrived.

        Args:
            message: The record.
            on_sent: Called with the outcome, once, unless the record was dropped.
            is_wanted: Asked while the record waits and before it goes out. When the answer is
                False the record is dropped, and `on_sent` is not called. Any thread may ask, so
                this function must change nothing.
        """

    async def flush(self, timeout_s: float) -> bool:
        """Wait until every record given to `send` has its outcome or was dropped.

        Returns:
            Whether that was so within `timeout_s`.
        """
        ...

    async def watch(self) -> None:
        """Wait until this producer has to be replaced.

        Raises:
            ProducerSpent: One partition takes no more of its records. The others still do, so that
                this is no fault that a new producer could have as well.
            ProducerFailed: It has failed in any other way.
        """

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        """Create a topic, and wait until it can be written to.

        Args:
            topic: Its name.
            partitions: Its number of partitions.
            config: Kafka's settings of a topic, such as `retention.ms`.
            timeout_s: Seconds within which all of that has to be done.

        Returns:
            Whether the topic is new; False if it existed.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client create the topic.
            ConfigurationError: The name, the number or a setting is refused.
            SendFailed: It was not done in time; it may be done all the same.
        """
        ...

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        """Delete a topic, and wait until it is gone. A missing topic is no error.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client delete the topic.
            ConfigurationError: The broker refuses to delete it.
            SendFailed: It was not done in time; it may be done all the same.
        """

    async def partition_counts(
        self, topics: Collection[str], timeout_s: float
    ) -> Mapping[str, int]:
        """Return each topic's number of partitions, 0 if it does not exist. Creates none.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client see one of the topics.
            ConfigurationError: The broker refuses one of the names.
            SendFailed: No broker answered in time.
        """
        ...

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        """Return the number of the group's members, 0 if there is no such group.

        Raises:
            AuthenticationFailed: The broker refused the credentials.
            AuthorizationFailed: The broker does not let this client describe the group.
            ConfigurationError: The broker refuses to describe it.
            SendFailed: No broker answered in time.
        """
        ...

    async def close(self, timeout_s: float) -> None:
        """Close every socket and task; may be called again.

        Records that are still on their way have `timeout_s` to be acknowledged. Then `on_sent` is
        called with a SendFailed for each of the others: in doubt if the record has gone out.
        """


ConnectProducer = Callable[[], AbstractAsyncContextManager[Producer]]
"""Opens a new producer, not started yet. Leaving the context closes it."""

ProducerFactory = Callable[[], object]
"""A user's function that returns a new producer of the client below, such as an
`aiokafka.AIOKafkaProducer`; `object`, since aiokafka is not typed."""
